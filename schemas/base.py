"""What all commands and events share: frozen models, ids, UTC times."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints

EntityId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""An id that is one NATS subject token, one MQTT topic level and one URL path segment."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=120)]


def _utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError as error:  # pydantic turns only ValueError into a validation error
        raise ValueError("the moment lies outside the years 1 to 9999 in UTC") from error


UtcTime = Annotated[AwareDatetime, AfterValidator(_utc)]
"""A moment with its zone given on the way in, UTC inside."""

_MICRO = 1_000_000
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def micros(time: datetime) -> int:
    """Microseconds since the epoch, exactly (no float on the way)."""
    return (time - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """Inverse of `micros`."""
    seconds, rest = divmod(value, _MICRO)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


class Frozen(BaseModel):
    """An immutable model that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    def to_json(self) -> bytes:
        """What `model_dump_json` gives, as bytes and in half the time."""
        return self.__pydantic_serializer__.to_json(self)


class Command(Frozen):
    """An imperative to one entity. `at` is the clock at the edge, `by` the principal who asks.

    `context` and `entity` route it to its shard; deciders read no clock but `at`.
    """

    context: ClassVar[str]
    entity_field: ClassVar[str]
    at: UtcTime
    by: Name

    @property
    def entity(self) -> str:
        """The id of the aggregate that decides this command."""
        value: str = getattr(self, self.entity_field)
        return value


class Event(Frozen):
    """A fact in the past tense, stored for ever under `type` (`city.<context>.<event>.v<N>`).

    The stored name and version never change; `schemas.registry` reads older shapes through upcasters.
    """

    type: ClassVar[str]
    context: ClassVar[str]
    entity_field: ClassVar[str]
    at: UtcTime

    @property
    def entity(self) -> str:
        """The id of the aggregate that the fact belongs to."""
        value: str = getattr(self, self.entity_field)
        return value

    @property
    def name(self) -> str:
        """The event's part of a subject: `alarm-raised`."""
        return self.type.split(".")[2]
