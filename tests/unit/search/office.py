"""The owners of the logs of a `Town`, in memory: the real deciders, committing to its logs."""

from collections.abc import Sequence
from typing import Any

from actors.person.context import PersonContext
from actors.sighting.context import SightingContext
from schemas.base import Command, Event
from schemas.errors import BomnaeError
from streams.subjects import partition
from tests.unit.search.town import Town


class Office:
    """Submits for a town. `refuse`: answers to give instead of deciding, oldest first."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.contexts: dict[str, Any] = {"sighting": SightingContext(), "person": PersonContext()}
        self.states: dict[tuple[str, int], Any] = {}
        self.refuse: list[BomnaeError] = []
        self.asked: list[Command] = []

    def _state(self, context: str, shard: int) -> Any:
        return self.states.setdefault((context, shard), self.contexts[context].initial_state())

    async def say(self, *events: Event) -> None:
        """Commit events as they are."""
        for event in events:
            shard = partition(event.entity, self.town.partitions) if event.context == "sighting" else 0
            self.contexts[event.context].evolve(self._state(event.context, shard), event)
        await self.town.say(*events)

    async def submit(self, commands: Sequence[Command]) -> list[BomnaeError | None]:
        answers: list[BomnaeError | None] = []
        for command in commands:
            self.asked.append(command)
            if self.refuse:
                answers.append(self.refuse.pop(0))
                continue
            shard = partition(command.entity, self.town.partitions) if command.context == "sighting" else 0
            try:
                events = self.contexts[command.context].decide(self._state(command.context, shard), command)
            except BomnaeError as error:
                answers.append(error)
                continue
            if events:
                await self.say(*events)
            answers.append(None)
        return answers
