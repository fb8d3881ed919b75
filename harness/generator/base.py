"""The two halves of a generator: the value that says what, and the source that is asked by workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from harness.op import Call, EventType

SECOND_NS: Final = 1_000_000_000
FOREVER_NS: Final = 1 << 62


@dataclass(slots=True)
class Context:
    """Who asks, and when. One object a worker, updated in place before each question.

    Attributes:
        worker: 0, 1, … for clients, -1, -2, … for those of the nemesis.
        process: the worker's present process.
        workers: how many workers are sent to the present source, with the nemesis: a barrier waits for so many.
        clients: how many client workers there are in all.
        time_ns: since the run's start.
        changed: a source sets it where it would now answer workers differently that wait: they are asked again.
        on_end: called once, with the outcome, when the call that is being returned has ended; a source that wants
            to know appends itself while it answers.
    """

    worker: int
    process: int | str
    workers: int
    clients: int
    time_ns: int = 0
    changed: bool = False
    on_end: list[Callable[[EventType], None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for this worker now.

    Attributes:
        until_ns: ask again then.
        early: ask again as soon as a source says that something has changed, too.
    """

    until_ns: int = FOREVER_NS
    early: bool = False


class Source(ABC):
    """A started generator."""

    @abstractmethod
    def next(self, context: Context) -> Call | Wait | None:
        """Return this worker's next call, or when to ask again, or None: no more for this worker, ever."""


class Generator(ABC):
    """What to do, as a value that can be started any number of times."""

    @abstractmethod
    def start(self, random: Random) -> Source:
        """Return a source whose choices come from `random` alone."""


def fork(random: Random) -> Random:
    """Return an independent stream, so that siblings do not shift each other's choices."""
    return Random(random.getrandbits(64))  # noqa: S311 - reproducible, not secret
