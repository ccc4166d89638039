"""given(...).when(...).then(...) over a context that commands, and time, move."""

from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from actors.context import Context
from schemas.base import Command, Event

S = TypeVar("S")


@dataclass
class Answer:
    events: list[Event]
    error: Exception | None = None

    def then(self, *names: str) -> list[Event]:
        assert self.error is None
        assert [event.name for event in self.events] == list(names)
        return self.events

    def then_nothing(self) -> None:
        self.then()

    def then_raises(self, error: type[Exception], match: str) -> None:
        assert isinstance(self.error, error)
        assert match in str(self.error)


class Given(Generic[S]):
    def __init__(self, context: Context[S]) -> None:
        self.context, self.state = context, context.initial_state()

    def and_(self, *commands: Command) -> Self:
        for command in commands:
            for event in self.context.decide(self.state, command):
                self.context.evolve(self.state, event)
        return self

    def when(self, command: Command) -> Answer:
        """Decide and, where it is possible, evolve."""
        try:
            events = self.context.decide(self.state, command)
        except Exception as error:
            return Answer([], error)
        for event in events:
            self.context.evolve(self.state, event)
        return Answer(events)

    def table(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.context.tables(self.state)[name].to_pylist()
        return rows
