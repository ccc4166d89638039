"""What the ledgers of cases mean to a search shard: who is watched for, and what an ended case leaves to erase."""

from collections.abc import Callable, Mapping

from pydantic import ConfigDict

from schemas.base import Event
from schemas.person import (
    CandidateConfirmed,
    CandidateDismissed,
    CaseClosed,
    CaseErased,
    CaseExpired,
    PersonEvent,
    SearchRecorded,
    WatchEnded,
    WatchStarted,
)
from schemas.registry import read_event
from schemas.sighting import Sha256
from serve.search.catalogue import Catalogue
from serve.search.queries import Sought
from serve.search.watching import Watching

CASE = "case"
"""Task: erase what a case leaves."""
_SEARCH_RECORDED = SearchRecorded.type.rpartition(".")[0] + "."


class Searched(PersonEvent):
    """A `SearchRecorded` of any version, as far as it matters here: the object that goes with its case."""

    model_config = ConfigDict(extra="ignore")
    type = SearchRecorded.type
    query: Sha256


def read_entry(stored_type: str, data: bytes) -> Event:
    """An entry of a ledger as `Cases.evolve` takes it. Raises `UnknownEventError` where nothing reads its type.

    Most of a search is candidates, which nobody looks at here: leaving them out takes a fifth of the time.
    """
    if stored_type.startswith(_SEARCH_RECORDED):
        return Searched.model_validate_json(data)
    return read_event(stored_type, data)


class Cases:
    """`dutiful` says of which log partitions the erasures of cases are this shard's own."""

    def __init__(self, catalogue: Catalogue, watching: Watching, dutiful: Callable[[str, int], bool]) -> None:
        self._catalogue, self._watching, self._dutiful = catalogue, watching, dutiful

    def watches(self) -> list[WatchStarted]:
        """Those that have not ended."""
        found = self._catalogue.ask("SELECT event FROM watches ORDER BY person_case, watch")
        return [WatchStarted.model_validate_json(event) for (event,) in found]

    def evolve(self, event: Event, shard: int, sought: Mapping[str, Sought]) -> None:  # noqa: C901 - an event each
        """Do what an entry of a ledger says; `sought` are the objects that could be fetched. Safe to repeat."""
        match event:
            case WatchStarted():
                self._catalogue.do(
                    "INSERT OR REPLACE INTO watches VALUES (?, ?, ?)", event.watch, event.case, event.model_dump_json()
                )
                if event.query in sought:
                    self._watching.put(event, sought[event.query])
                self._object(event.case, event.query)
            case WatchEnded():
                self._catalogue.do("DELETE FROM watches WHERE person_case = ? AND watch = ?", event.case, event.watch)
                self._watching.remove(event.case, event.watch)
            case Searched():
                self._object(event.case, event.query)
            case CandidateConfirmed(candidate=found):
                self._catalogue.do(
                    "INSERT OR REPLACE INTO case_sightings VALUES (?, ?, ?)", event.case, found.camera, found.sighting
                )
            case CandidateDismissed(candidate=found):
                self._catalogue.do(
                    "DELETE FROM case_sightings WHERE person_case = ? AND camera = ? AND sighting = ?",
                    *(event.case, found.camera, found.sighting),
                )
            case CaseClosed() | CaseExpired():
                self._catalogue.do("DELETE FROM watches WHERE person_case = ?", event.case)
                self._watching.remove(event.case)
                if self._dutiful("person", shard):
                    self._catalogue.add_task(CASE, event.case, {})
            case CaseErased():
                for table in ("case_objects", "case_sightings"):
                    self._catalogue.do(f"DELETE FROM {table} WHERE person_case = ?", event.case)  # noqa: S608 - our names
                self._catalogue.done(CASE, event.case)

    def _object(self, case: str, name: str) -> None:
        self._catalogue.do("INSERT OR REPLACE INTO case_objects VALUES (?, ?)", case, name)
