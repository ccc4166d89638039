"""The catalogue context: a dataset is registered, refreshed, late, opened to staff and to citizens, retired."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.base import Command, EntityId, Event, Frozen, Text, UtcTime
from schemas.dataset import Action, Dataset, FindingKind, Header

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Opened = Literal["staff", "citizen"]


class Counted(Frozen):
    """How many rows of a refresh have this finding in this column (None: in the row or file as a whole)."""

    kind: FindingKind
    column: str | None
    action: Action
    rows: Count


class Refresh(Frozen):
    """What one refresh brought.

    `version` is the SHA-256 of the object that holds the rows, `listing` of the one that lists its findings row by row;
    `token` is in the names of both, so that the objects of one refresh are no other's: rows may come back to what they
    were while those of before are being deleted. `based_on` is the version that new rows were joined to.
    `received` rows came, `dropped` of them did not load; `rows` are all that the version holds. `header` are the
    columns as the source names them, `schema_digest` covers their names and kinds. `completeness` is the share of
    declared cells that are not empty. `data_time` is the newest moment that a column of times tells of. `source` says
    from where, without keys; `mark` is what tells the source whether anything is new (an ETag, a digest). `uploaded`
    rows came from somebody and not from the source, whose mark stays.
    """

    version: Digest
    token: Annotated[str, Field(pattern=r"^[0-9a-f]{8,32}$")]
    based_on: Digest | None = None
    rows: Count
    received: Count
    dropped: Count
    bytes: Count
    findings: tuple[Counted, ...] = ()
    listing: Digest | None = None
    header: tuple[Header, ...]
    schema_digest: Digest
    completeness: Annotated[float, Field(ge=0, le=1)]
    data_time: UtcTime | None = None
    source: Text
    mark: Annotated[str, Field(max_length=300)] = ""
    uploaded: bool = False
    took_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class CatalogueCommand(Command):
    """A command to one dataset."""

    context: ClassVar[str] = "catalogue"
    entity_field: ClassVar[str] = "dataset"
    dataset: EntityId


class RegisterDataset(CatalogueCommand):
    """Make a dataset known, or change what it is.

    With `seed` it is what a pack says: that makes it known, and changes what a pack said before, but neither what
    anybody else has said since nor a dataset that is retired.
    """

    facts: Dataset
    seed: bool = False


class RecordRefresh(CatalogueCommand):
    """Rows came, and lie in their object."""

    refresh: Refresh


class RecordUnchanged(CatalogueCommand):
    """The source was asked and has nothing new."""


class RecordFailure(CatalogueCommand):
    """The source was asked and gave nothing that can be read."""

    reason: Text


class ThinVersions(CatalogueCommand):
    """Forget versions that few will ask for.

    Of those replaced more than a day ago stay those that were the newest at the end of an hour, of those replaced more
    than a week ago those at the end of a day (Asia/Seoul), of those replaced more than `days` ago none.
    """

    days: Annotated[int, Field(ge=1, le=36_500)]


class RetireDataset(CatalogueCommand):
    """The dataset is no longer kept up; its last rows stay readable, and marked."""

    reason: Text
    superseded_by: EntityId | None = None


class CatalogueEvent(Event):
    """Something that happened to one dataset."""

    context: ClassVar[str] = "catalogue"
    entity_field: ClassVar[str] = "dataset"
    dataset: EntityId


class DatasetRegistered(CatalogueEvent):
    """The dataset is this from now on."""

    type: ClassVar[str] = "city.catalogue.dataset-registered.v1"
    facts: Dataset
    by: str
    seed: bool


class ColumnsChanged(CatalogueEvent):
    """The source has other columns than at the refresh before; with none gone or new, in another order or kind."""

    type: ClassVar[str] = "city.catalogue.columns-changed.v1"
    gone: tuple[str, ...]
    new: tuple[str, ...]


class DatasetRefreshed(CatalogueEvent):
    """The rows are these from now on."""

    type: ClassVar[str] = "city.catalogue.dataset-refreshed.v1"
    refresh: Refresh


class DatasetConfirmed(CatalogueEvent):
    """The source was asked, and the rows are still these."""

    type: ClassVar[str] = "city.catalogue.dataset-confirmed.v1"


class ProviderFailed(CatalogueEvent):
    """The source gives nothing that can be read, since now and until `ProviderRestored`."""

    type: ClassVar[str] = "city.catalogue.provider-failed.v1"
    reason: str


class ProviderRestored(CatalogueEvent):
    """The source answers again, after so many seconds."""

    type: ClassVar[str] = "city.catalogue.provider-restored.v1"
    down_s: float


class DatasetLate(CatalogueEvent):
    """A refresh was due at a moment and did not come."""

    type: ClassVar[str] = "city.catalogue.dataset-late.v1"
    due: UtcTime


class DatasetOpened(CatalogueEvent):
    """Staff, or citizens, may read the rows: their day (Asia/Seoul) has come."""

    type: ClassVar[str] = "city.catalogue.dataset-opened.v1"
    audience: Opened
    day: date


class DatasetClosed(CatalogueEvent):
    """They may no longer: the day was moved or taken away."""

    type: ClassVar[str] = "city.catalogue.dataset-closed.v1"
    audience: Opened


class VersionsDropped(CatalogueEvent):
    """The versions that began at these moments were forgotten; `objects` are the names that nothing names any more."""

    type: ClassVar[str] = "city.catalogue.versions-dropped.v1"
    since: tuple[UtcTime, ...]
    objects: tuple[str, ...]


class DatasetRetired(CatalogueEvent):
    """The dataset is no longer kept up."""

    type: ClassVar[str] = "city.catalogue.dataset-retired.v1"
    reason: str
    superseded_by: EntityId | None
    by: str


COMMANDS: tuple[type[CatalogueCommand], ...] = (
    RegisterDataset,
    RecordRefresh,
    RecordUnchanged,
    RecordFailure,
    ThinVersions,
    RetireDataset,
)
EVENTS: tuple[type[CatalogueEvent], ...] = (
    DatasetRegistered,
    ColumnsChanged,
    DatasetRefreshed,
    DatasetConfirmed,
    ProviderFailed,
    ProviderRestored,
    DatasetLate,
    DatasetOpened,
    DatasetClosed,
    VersionsDropped,
    DatasetRetired,
)
