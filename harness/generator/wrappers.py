"""Generators around one other: how many, how long, how fast, how often."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from harness.generator.base import SECOND_NS, Context, Generator, Source, Wait, fork
from harness.op import Call, EventType


class _Wrapper(Source):
    """A source around one other."""

    def __init__(self, inner: Source) -> None:
        self._inner = inner


@dataclass(frozen=True, slots=True)
class limit(Generator):  # noqa: N801
    """At most `count` calls of `inner`."""

    count: int
    inner: Generator

    def start(self, random: Random) -> Source:
        return _Limit(self.count, self.inner.start(random))


class _Limit(_Wrapper):
    def __init__(self, count: int, inner: Source) -> None:
        super().__init__(inner)
        self._left = count

    def next(self, context: Context) -> Call | Wait | None:
        if self._left <= 0:
            return None
        found = self._inner.next(context)
        if type(found) is Call:
            self._left -= 1
        return found


@dataclass(frozen=True, slots=True)
class time_limit(Generator):  # noqa: N801
    """`inner`, until `seconds` after the first question."""

    seconds: float
    inner: Generator

    def start(self, random: Random) -> Source:
        return _TimeLimit(self.seconds, self.inner.start(random))


class _TimeLimit(_Wrapper):
    def __init__(self, seconds: float, inner: Source) -> None:
        super().__init__(inner)
        self._length_ns, self._stop_ns = int(seconds * SECOND_NS), -1

    def next(self, context: Context) -> Call | Wait | None:
        if self._stop_ns < 0:
            self._stop_ns = context.time_ns + self._length_ns
        if context.time_ns >= self._stop_ns:
            return None
        found = self._inner.next(context)
        if type(found) is Wait and found.until_ns > self._stop_ns:
            return Wait(self._stop_ns, found.early)
        return found


@dataclass(frozen=True, slots=True)
class stagger(Generator):  # noqa: N801
    """`inner` at a total rate: calls are 0 to twice `interval_s` apart, evenly spread, over all workers together."""

    interval_s: float
    inner: Generator

    def start(self, random: Random) -> Source:
        return _Stagger(self.interval_s, self.inner.start(fork(random)), random)


class _Stagger(_Wrapper):
    """Each worker that asks reserves the next slot, so that a slot wakes one worker and not all of them."""

    def __init__(self, interval_s: float, inner: Source, random: Random) -> None:
        super().__init__(inner)
        self._spread_ns = 2 * interval_s * SECOND_NS
        self._random = random
        self._free_ns = -1
        self._slots: dict[int, int] = {}

    def next(self, context: Context) -> Call | Wait | None:
        now_ns = context.time_ns
        slot_ns = self._slots.pop(context.worker, -1)
        if slot_ns < 0:
            # a stalled run does not catch up in one burst: slots in the past are lost
            slot_ns = max(self._free_ns, now_ns)
            self._free_ns = slot_ns + int(self._random.random() * self._spread_ns)
        if slot_ns <= now_ns:
            return self._inner.next(context)
        self._slots[context.worker] = slot_ns
        return Wait(slot_ns)


@dataclass(frozen=True, slots=True)
class until_ok(Generator):  # noqa: N801
    """`inner`, until one of its calls was ok; calls already under way still end."""

    inner: Generator

    def start(self, random: Random) -> Source:
        return _UntilOk(self.inner.start(random))


class _UntilOk(_Wrapper):
    def __init__(self, inner: Source) -> None:
        super().__init__(inner)
        self._ok = False

    def next(self, context: Context) -> Call | Wait | None:
        if self._ok:
            return None
        found = self._inner.next(context)
        if type(found) is Call:
            context.on_end.append(self._ended)
        return found

    def _ended(self, outcome: EventType) -> None:
        self._ok = self._ok or outcome == "ok"


@dataclass(frozen=True, slots=True)
class each_process(Generator):  # noqa: N801
    """A copy of `inner` for each process: a worker whose process was retired starts afresh."""

    inner: Generator

    def start(self, random: Random) -> Source:
        return _EachProcess(self.inner, random)


class _EachProcess(Source):
    def __init__(self, inner: Generator, random: Random) -> None:
        self._inner, self._random = inner, random
        self._sources: dict[int, tuple[int | str, Source]] = {}

    def next(self, context: Context) -> Call | Wait | None:
        process, source = self._sources.get(context.worker, (None, None))
        if source is None or process != context.process:
            source = self._inner.start(fork(self._random))
            self._sources[context.worker] = (context.process, source)
        workers, context.workers = context.workers, 1
        found = source.next(context)
        context.workers = workers
        return found
