"""Generators that make calls, or keep from making them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from harness.generator.base import SECOND_NS, Context, Generator, Source, Wait
from harness.op import Call


@dataclass(frozen=True, slots=True)
class calls(Generator):  # noqa: N801 - generators read as verbs where they are composed
    """Without end: what `make(random)` returns."""

    make: Callable[[Random], Call]

    def start(self, random: Random) -> Source:
        return _Calls(self.make, random)


class _Calls(Source):
    def __init__(self, make: Callable[[Random], Call], random: Random) -> None:
        self._make, self._random = make, random

    def next(self, context: Context) -> Call:
        return self._make(self._random)


@dataclass(frozen=True, slots=True)
class sequence(Generator):  # noqa: N801
    """These calls, each once, in order, to whoever asks."""

    items: Sequence[Call]

    def start(self, random: Random) -> Source:
        return _Timeline([(0.0, call) for call in self.items])


def once(call: Call) -> Generator:
    """This call, once."""
    return sequence((call,))


@dataclass(frozen=True, slots=True)
class timeline(Generator):  # noqa: N801
    """Each call not before its time, in seconds since the first question; in order, to whoever asks."""

    items: Sequence[tuple[float, Call]]

    def start(self, random: Random) -> Source:
        return _Timeline(self.items)


class _Timeline(Source):
    def __init__(self, items: Sequence[tuple[float, Call]]) -> None:
        self._items, self._at, self._start_ns = items, 0, -1

    def next(self, context: Context) -> Call | Wait | None:
        if self._start_ns < 0:
            self._start_ns = context.time_ns
        if self._at == len(self._items):
            return None
        seconds, call = self._items[self._at]
        due_ns = self._start_ns + int(seconds * SECOND_NS)
        if context.time_ns < due_ns:
            return Wait(due_ns)
        self._at += 1
        return call


@dataclass(frozen=True, slots=True)
class sleep(Generator):  # noqa: N801
    """No call; every worker waits this many seconds from the first question on."""

    seconds: float

    def start(self, random: Random) -> Source:
        return _Sleep(self.seconds)


class _Sleep(Source):
    def __init__(self, seconds: float) -> None:
        self._length_ns, self._until_ns = int(seconds * SECOND_NS), -1

    def next(self, context: Context) -> Wait | None:
        if self._until_ns < 0:
            self._until_ns = context.time_ns + self._length_ns
        return Wait(self._until_ns) if context.time_ns < self._until_ns else None
