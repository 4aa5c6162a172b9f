"""Shared reads: queries whose statements go to the database together with those of other queries.

Such a read is written as a generator: it sends its statements, yields once, and returns its answer from their rows. All
queries of a snapshot send before any of them awaits rows, so on PostgreSQL they take one round trip.
"""

from collections.abc import Callable, Generator
from functools import partial, update_wrapper
from typing import Concatenate, Generic, ParamSpec, TypeVar

from jangteo.storage.port import Snapshot

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

Steps = Generator[None, None, Answer]
"""What a shared read is written as. Between its start and its `yield` it may send statements, but not iterate rows."""


class SharedRead(Generic[Arguments, Answer]):
    """A read in two steps; called like a function, it takes both. Use it as a decorator of a generator function."""

    def __init__(self, steps: Callable[Concatenate[Snapshot, Arguments], Steps[Answer]]) -> None:
        self._steps = steps
        update_wrapper(self, steps)

    def __call__(self, snapshot: Snapshot, *arguments: Arguments.args, **named: Arguments.kwargs) -> Answer:
        """Read the answer alone. Raises what the read raises."""
        return self.send(snapshot, *arguments, **named)()

    def send(self, snapshot: Snapshot, *arguments: Arguments.args, **named: Arguments.kwargs) -> Callable[[], Answer]:
        """Send the statements; what is returned makes the answer of their rows."""
        steps = self._steps(snapshot, *arguments, **named)
        next(steps)
        return partial(_finish, steps)


def _finish(steps: Steps[Answer]) -> Answer:
    try:
        next(steps)
    except StopIteration as end:
        answer: Answer = end.value
        return answer
    raise TypeError("a shared read yields once")
