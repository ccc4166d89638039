"""The person context: cases of missing persons, and the ledger of everything done in them.

The ledger holds who did what, when, why and under which authority, with ids, cameras and times. A person's name,
photographs, description and embeddings are erasable: they lie in objects that the ledger names by reference and digest.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.area import Area
from schemas.base import Command, EntityId, Event, Frozen, Name, Text, UtcTime
from schemas.road import Window
from schemas.sighting import ModelName, Sha256, SightingId

SubjectKind = Literal["minor", "dementia", "disability"]
"""Whom the law on missing persons covers: under 18; dementia; intellectual, autistic or mental disability."""

SUBJECT_KINDS_KO: dict[str, str] = {"minor": "아동", "dementia": "치매환자", "disability": "장애인"}

MAX_CASE_DAYS = 30
"""No case outlives the footage it may search; it is opened again with a new authority."""

CandidateId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\.[A-Za-z0-9][A-Za-z0-9._:-]{0,79}$")]
"""A sighting in the city: its camera, a dot, its id, for an id counts within its camera alone."""

CaseState = Literal["opened", "authorised", "expired", "closed"]
Outcome = Literal["found", "withdrawn", "unresolved"]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class CaseFacts(Frozen):
    """What a case rests on. `authority` is the police's own number of the request, `officer` who leads it."""

    kind: SubjectKind
    authority: Name
    legal_ground: Text
    reason: Text
    officer: Name
    expires_at: UtcTime


class Candidate(Frozen):
    """A sighting that a search found. `score` is the cosine, `probability` calibrated (null: no calibration)."""

    sighting: SightingId
    camera: EntityId
    time: UtcTime
    model: ModelName
    score: Annotated[float, Field(allow_inf_nan=False)]
    probability: Probability | None

    @property
    def id(self) -> str:
        """See `CandidateId`."""
        return f"{self.camera}.{self.sighting}"


class Coverage(Frozen):
    """What an answer rests on: how many shards and rows, what was missing, exact or not."""

    shards: int
    shards_answered: int
    rows_permitted: int
    rows_scanned: int
    cameras: int
    cameras_silent: tuple[EntityId, ...]
    hours_missing: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    exact: bool
    recall: Probability | None

    @property
    def complete(self) -> bool:
        """Whether every shard answered."""
        return self.shards_answered == self.shards


class Asked(Frozen):
    """What a search asked, but for what describes the person, which is erasable and lies in the query's object.

    `photos` counts photographs; with neither them nor `like` it was an embedding. `cameras` are those that the request
    and its `areas` came to, none: all. `evidence` and `hard` name attributes, not their values.
    """

    photos: int
    like: CandidateId | None
    areas: tuple[Area, ...]
    cameras: tuple[EntityId, ...]
    evidence: tuple[str, ...]
    hard: tuple[str, ...]
    min_quality: Probability
    limit: int


class Lag(Frozen):
    """Shards that answered without having read everything: since how many seconds, how many records at least, why."""

    shards: Annotated[int, Field(ge=1)]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    records: Annotated[int, Field(ge=0)]
    why: Annotated[str, Field(max_length=200)]


class PersonCommand(Command):
    """A command to one case."""

    context: ClassVar[str] = "person"
    entity_field: ClassVar[str] = "case"
    case: EntityId


class OpenCase(PersonCommand):
    """Open a case. It searches nothing before it is authorised."""

    facts: CaseFacts


class AuthoriseCase(PersonCommand):
    """Authorise an opened case; not by whom opened it, unless `sole` (police under their own authority)."""

    sole: bool = False


class RecordSearch(PersonCommand):
    """Keep what was asked and what was found. `query` is the reference of the erasable object with the query.

    `asked` is null in what older programs kept.
    """

    search: EntityId
    query: Sha256
    window: Window
    cameras: int
    models: tuple[ModelName, ...]
    candidates: Annotated[tuple[Candidate, ...], Field(max_length=100)]
    coverage: Coverage
    asked: Asked | None = None
    lag: Lag | None = None


class RecordView(PersonCommand):
    """Keep that somebody looked: at the case, candidates, a route, the ledger, or a picture."""

    what: Literal["case", "candidates", "route", "ledger", "picture"]
    candidate: CandidateId | None = None


class ConfirmCandidate(PersonCommand):
    """A human says: this is the person.

    With `each`, what another officer says, or the same for another reason, is a decision of its own; older programs
    kept none of a candidate that was confirmed already.
    """

    candidate: CandidateId
    reason: Text
    each: bool = False


class DismissCandidate(PersonCommand):
    """A human says: this is not the person. `each` as in `ConfirmCandidate`."""

    candidate: CandidateId
    reason: Text
    each: bool = False


class StartWatch(PersonCommand):
    """Begin a standing query that ends with the case."""

    watch: EntityId
    query: Sha256
    models: tuple[ModelName, ...]
    min_probability: Probability
    cameras: tuple[EntityId, ...] = ()


class RecordHits(PersonCommand):
    """Keep what a standing query matched; a sighting hits a watch once."""

    watch: EntityId
    hits: Annotated[tuple[Candidate, ...], Field(min_length=1, max_length=100)]


class EndWatch(PersonCommand):
    """End a standing query before the case ends."""

    watch: EntityId
    reason: Text


class CloseCase(PersonCommand):
    """Close a case: searches and watches end, erasure begins."""

    outcome: Outcome
    reason: Text


class CompleteCaseErasure(PersonCommand):
    """Tell that the erasable objects of a closed or expired case are gone."""

    objects: tuple[Sha256, ...]
    erasures: tuple[EntityId, ...] = ()


class PersonEvent(Event):
    """An entry of one case's ledger; `by` is who did it, `system` for what time or a camera did."""

    context: ClassVar[str] = "person"
    entity_field: ClassVar[str] = "case"
    case: EntityId
    by: str


class CaseOpened(PersonEvent):
    """A case was opened."""

    type: ClassVar[str] = "city.person.case-opened.v1"
    facts: CaseFacts


class CaseAuthorised(PersonEvent):
    """A case may search."""

    type: ClassVar[str] = "city.person.case-authorised.v1"
    sole: bool


class SearchRecorded(PersonEvent):
    """A search was answered. `asked` is null where version 1 did not say."""

    type: ClassVar[str] = "city.person.search-recorded.v2"
    search: EntityId
    query: Sha256
    window: Window
    cameras: int
    models: tuple[ModelName, ...]
    candidates: tuple[Candidate, ...]
    coverage: Coverage
    asked: Asked | None


class SearchLagged(PersonEvent):
    """The search of this id was answered by shards that had not read everything: sightings may be missing from it."""

    type: ClassVar[str] = "city.person.search-lagged.v1"
    search: EntityId
    lag: Lag


class ViewRecorded(PersonEvent):
    """Somebody looked."""

    type: ClassVar[str] = "city.person.view-recorded.v1"
    what: str
    candidate: CandidateId | None


class CandidateConfirmed(PersonEvent):
    """A human said: this is the person."""

    type: ClassVar[str] = "city.person.candidate-confirmed.v1"
    candidate: Candidate
    reason: str


class CandidateDismissed(PersonEvent):
    """A human said: this is not the person."""

    type: ClassVar[str] = "city.person.candidate-dismissed.v1"
    candidate: Candidate
    reason: str


class WatchStarted(PersonEvent):
    """A standing query began."""

    type: ClassVar[str] = "city.person.watch-started.v1"
    watch: EntityId
    query: Sha256
    models: tuple[ModelName, ...]
    min_probability: float
    cameras: tuple[EntityId, ...]


class WatchHit(PersonEvent):
    """A standing query matched a new sighting."""

    type: ClassVar[str] = "city.person.watch-hit.v1"
    watch: EntityId
    candidate: Candidate


class WatchEnded(PersonEvent):
    """A standing query ended."""

    type: ClassVar[str] = "city.person.watch-ended.v1"
    watch: EntityId
    reason: str


class CaseExpired(PersonEvent):
    """The case's authority ended with time: no more searches, no more watches; erasure begins."""

    type: ClassVar[str] = "city.person.case-expired.v1"


class CaseClosed(PersonEvent):
    """The case was closed: no more searches, no more watches; erasure begins."""

    type: ClassVar[str] = "city.person.case-closed.v1"
    outcome: Outcome
    reason: str


class CaseErased(PersonEvent):
    """The receipt: the erasable objects of the case are gone, and the erasures of its sightings are named."""

    type: ClassVar[str] = "city.person.case-erased.v1"
    objects: tuple[Sha256, ...]
    erasures: tuple[EntityId, ...]


COMMANDS: tuple[type[PersonCommand], ...] = (
    OpenCase,
    AuthoriseCase,
    RecordSearch,
    RecordView,
    ConfirmCandidate,
    DismissCandidate,
    StartWatch,
    RecordHits,
    EndWatch,
    CloseCase,
    CompleteCaseErasure,
)
EVENTS: tuple[type[PersonEvent], ...] = (
    CaseOpened,
    CaseAuthorised,
    SearchRecorded,
    SearchLagged,
    ViewRecorded,
    CandidateConfirmed,
    CandidateDismissed,
    WatchStarted,
    WatchHit,
    WatchEnded,
    CaseExpired,
    CaseClosed,
    CaseErased,
)
