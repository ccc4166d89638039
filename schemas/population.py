"""The population context: sources that count people or boardings per 500 m cell and hour, day by day.

One event stands for the thousands of counts of a day: the rows lie in a block, an object named by its digest that is
stored before the command.
"""

from datetime import date, datetime, timedelta
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from schemas.base import Command, EntityId, Event, Frozen, Name, Text
from schemas.sighting import Sha256

Measure = Literal["people-present", "living-population", "boardings", "alightings", "residents"]
"""What a source counts. The two that are both called 체류인구 in Korean are two measures, and never added."""


class Meaning(NamedTuple):
    """What a measure is and is not, in words for readers.

    `adds`: counts of several hours add up (a flow); else they are averaged (people who are there). `hourly`: it is told
    by the hour; else its rows have the hour 0.
    """

    ko: str
    en: str
    not_ko: str
    not_en: str
    unit_ko: str
    unit_en: str
    adds: bool
    hourly: bool


MEANINGS: dict[Measure, Meaning] = {
    "people-present": Meaning(
        "시간대별 체류인구 (그 시간에 그곳에 있는 사람)",
        "people present per cell and hour",
        "법정 체류인구(하루 3시간 이상, 월 1회 이상 머문 방문자)나 생활인구가 아님",
        "not the legal 체류인구 (visitors of 3 h a day at least once a month), nor the living population",
        "명",
        "people",
        adds=False,
        hourly=True,
    ),
    "living-population": Meaning(
        "생활인구 (주민등록인구 + 등록외국인 + 법정 체류인구)",
        "living population: registered residents and foreigners, and visitors of 3 h a day at least once a month",
        "특정 시간에 그곳에 있는 사람 수가 아님",
        "not the people present at an hour",
        "명",
        "people",
        adds=False,
        hourly=False,
    ),
    "boardings": Meaning(
        "버스 승차 건수",
        "bus boardings",
        "체류인구가 아님: 그곳에 있는 사람이 아니라 교통카드 승차 기록의 수이며, 한 사람이 여러 번일 수 있음",
        "not people present: fare-card boardings, of which one person may make several",
        "건",
        "boardings",
        adds=True,
        hourly=True,
    ),
    "alightings": Meaning(
        "버스 하차 건수",
        "bus alightings",
        "체류인구가 아님: 교통카드 하차 기록의 수이며, 하차 태그를 하지 않은 승객은 빠져 있음",
        "not people present: fare-card alightings, and those who do not tap out are missing",
        "건",
        "alightings",
        adds=True,
        hourly=True,
    ),
    "residents": Meaning(
        "거주인구 (주민등록 기준)",
        "registered residents",
        "특정 시간에 그곳에 있는 사람 수가 아님",
        "not the people present at an hour",
        "명",
        "people",
        adds=False,
        hourly=False,
    ),
}
"""In Korean and English, with what each must not be taken for."""

SEOUL_AHEAD = timedelta(hours=9)
"""Asia/Seoul is UTC+9 all year, since 1988."""


def _ascending(hours: tuple[int, ...]) -> tuple[int, ...]:
    if list(hours) != sorted(set(hours)):
        raise ValueError("hours are named once each, in ascending order")
    return hours


Hours = Annotated[tuple[Annotated[int, Field(ge=0, le=23)], ...], AfterValidator(_ascending)]
"""Hours of Asia/Seoul: 7 is 07:00 to 08:00."""

Count = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A number of people or boardings; estimates of operators have fractions."""


class SourceFacts(Frozen):
    """What a source is. Counts between 0 and `suppress_below` never leave; `hours` are those in which it counts.

    3 is the least threshold: below 2 stands 1 alone, and hiding it would tell it.
    """

    title_ko: Name
    title_en: Name
    provider: Name
    measure: Measure
    suppress_below: Annotated[int, Field(ge=3, le=1_000)] = 5
    hours: Annotated[Hours, Field(min_length=1)] = tuple(range(24))
    licence: Name
    synthetic: bool = False

    @model_validator(mode="after")
    def _hours_are_those_of_its_measure(self) -> "SourceFacts":
        if not MEANINGS[self.measure].hourly and self.hours != (0,):
            raise ValueError(f"{self.measure} are not told by the hour: `hours` is [0]")
        return self


class DayFacts(Frozen):
    """A day (Asia/Seoul) of a source. Block, `rows` and `total` are what is placed in cells of the city.

    `outside` was counted at `places_outside` places outside the city, `unplaced` at `places_unplaced` without
    coordinates, `repeated` in rows that came before: `total + outside + unplaced + repeated` is what was received.
    `hours` have rows; `whole` says that all of the source's hours have them and nothing was cut off. `input` is the
    digest of the file.
    """

    day: date
    block: Sha256
    rows: Annotated[int, Field(ge=0)]
    total: Count
    hours: Hours
    whole: bool
    outside: Count = 0
    unplaced: Count = 0
    repeated: Count = 0
    places_outside: Annotated[int, Field(ge=0)] = 0
    places_unplaced: Annotated[int, Field(ge=0)] = 0
    input: Sha256


class PopulationCommand(Command):
    """A command to one source."""

    context: ClassVar[str] = "population"
    entity_field: ClassVar[str] = "source"
    source: EntityId


class RegisterSource(PopulationCommand):
    """Make a source known, or correct its facts; its measure stays once it has days."""

    facts: SourceFacts


class RecordDay(PopulationCommand):
    """Tell the counts of a day, whose block is stored already. A day told before with other counts is replaced."""

    facts: DayFacts

    @property
    def begun(self) -> bool:
        """Whether the day has begun in Seoul when it is told."""
        return self.facts.day <= seoul_day(self.at)


class RetireSource(PopulationCommand):
    """Nothing more comes of a source; what it told stays."""

    reason: Text


class PopulationEvent(Event):
    """An event of one source."""

    context: ClassVar[str] = "population"
    entity_field: ClassVar[str] = "source"
    source: EntityId
    by: Name


class SourceRegistered(PopulationEvent):
    """A source is known, or its facts were corrected."""

    type: ClassVar[str] = "city.population.source-registered.v1"
    facts: SourceFacts


class DayRecorded(PopulationEvent):
    """The counts of a day are known; `replaces` is the block that held them before."""

    type: ClassVar[str] = "city.population.day-recorded.v1"
    facts: DayFacts
    replaces: Sha256 | None


class SourceRetired(PopulationEvent):
    """Nothing more comes of a source."""

    type: ClassVar[str] = "city.population.source-retired.v1"
    reason: Text


def seoul_day(time: datetime) -> date:
    """The day of a moment (UTC) in Seoul."""
    return (time + SEOUL_AHEAD).date()


COMMANDS: tuple[type[PopulationCommand], ...] = (RegisterSource, RecordDay, RetireSource)
EVENTS: tuple[type[PopulationEvent], ...] = (SourceRegistered, DayRecorded, SourceRetired)
