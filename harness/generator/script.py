"""A generator for processes whose next step depends on how the one before ended."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Generator as Steps
from dataclasses import dataclass
from random import Random

from harness.generator.base import SECOND_NS, Context, Generator, Source, Wait
from harness.generator.wrappers import each_process
from harness.op import Call, EventType

Script = Steps[Call | float, EventType | None, None]
"""Yields a call, and is sent how it ended; or yields a pause in seconds, and is sent None."""


@dataclass(frozen=True, slots=True)
class script(Generator):  # noqa: N801
    """Each process plays `make(random)` by itself; one that takes the place of a retired process begins anew."""

    make: Callable[[Random], Script]

    def start(self, random: Random) -> Source:
        return each_process(_Play(self.make)).start(random)


@dataclass(frozen=True, slots=True)
class _Play(Generator):
    make: Callable[[Random], Script]

    def start(self, random: Random) -> Source:
        return _Playing(self.make(random))


class _Playing(Source):
    def __init__(self, steps: Script) -> None:
        self._steps = steps
        self._until_ns = 0
        self._outcome: EventType | None = None

    def next(self, context: Context) -> Call | Wait | None:
        if context.time_ns < self._until_ns:
            return Wait(self._until_ns)
        outcome, self._outcome = self._outcome, None
        try:
            step = self._steps.send(outcome)
        except StopIteration:
            return None
        if isinstance(step, Call):
            context.on_end.append(self._ended)
            return step
        self._until_ns = context.time_ns + int(step * SECOND_NS)
        return Wait(self._until_ns)

    def _ended(self, outcome: EventType) -> None:
        self._outcome = outcome
