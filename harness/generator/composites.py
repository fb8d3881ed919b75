"""Generators of several others: side by side, one after the other, by key, by role."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from harness.generator.base import SECOND_NS, Context, Generator, Source, Wait, fork
from harness.generator.leaves import sequence
from harness.op import NEMESIS, Call


@dataclass(frozen=True, slots=True, init=False)
class mix(Generator):  # noqa: N801
    """Each time a random one of `inner` (naming one twice doubles its share); exhausted ones drop out.

    A worker that meets a barrier in one is asked for by the others all the same.
    """

    inner: tuple[Generator, ...]

    def __init__(self, *inner: Generator) -> None:
        object.__setattr__(self, "inner", inner)

    def start(self, random: Random) -> Source:
        return _Mix([inner.start(fork(random)) for inner in self.inner], random)


class _Mix(Source):
    def __init__(self, inner: list[Source], random: Random) -> None:
        self._inner, self._random, self._sample = inner, random.random, random.sample
        self._done: dict[int, set[int]] = {}

    def next(self, context: Context) -> Call | Wait | None:
        inner = self._inner
        if inner and context.worker not in self._done:
            found = inner[int(self._random() * len(inner))].next(context)
            if isinstance(found, Call) or (found is not None and not found.early):
                return found
        return self._search(context, self._done.setdefault(context.worker, set()))

    def _search(self, context: Context, done: set[int]) -> Call | Wait | None:
        """Ask all in random order until one has a call, or says how long to wait."""
        early: Wait | None = None
        alive = [at for at in range(len(self._inner)) if at not in done]
        for at in self._sample(alive, len(alive)):
            found = self._inner[at].next(context)
            if isinstance(found, Call):
                return found
            if found is None:
                done.add(at)
            elif not found.early:
                return found if early is None else Wait(min(found.until_ns, early.until_ns), early=True)
            elif early is None or found.until_ns < early.until_ns:
                early = found
        return early


@dataclass(frozen=True, slots=True)
class every(Generator):  # noqa: N801
    """`inner`, and one of `now_and_then` in its place, 0 to twice `interval_s` after the last such one."""

    interval_s: float
    now_and_then: Generator
    inner: Generator

    def start(self, random: Random) -> Source:
        rare, common = self.now_and_then.start(fork(random)), self.inner.start(fork(random))
        return _Every(2 * self.interval_s * SECOND_NS, rare, common, random)


class _Every(Source):
    def __init__(self, spread_ns: float, rare: Source, common: Source, random: Random) -> None:
        self._spread_ns, self._rare, self._common, self._random = spread_ns, rare, common, random
        self._due_ns = -1

    def next(self, context: Context) -> Call | Wait | None:
        if context.time_ns < self._due_ns:
            return self._common.next(context)
        self._due_ns = context.time_ns + int(self._random.random() * self._spread_ns)
        return self._rare.next(context)


@dataclass(frozen=True, slots=True, init=False)
class then(Generator):  # noqa: N801
    """Each worker goes on to the next generator by itself as soon as the one before has no more for it."""

    inner: tuple[Generator, ...]

    def __init__(self, *inner: Generator) -> None:
        object.__setattr__(self, "inner", inner)

    def start(self, random: Random) -> Source:
        return _Chain([inner.start(fork(random)) for inner in self.inner], barrier=False)


@dataclass(frozen=True, slots=True, init=False)
class phases(Generator):  # noqa: N801
    """One generator after the other; each starts when every worker, the nemesis too, is done with the one before."""

    inner: tuple[Generator, ...]

    def __init__(self, *inner: Generator) -> None:
        object.__setattr__(self, "inner", inner)

    def start(self, random: Random) -> Source:
        return _Chain([inner.start(fork(random)) for inner in self.inner], barrier=True)


_AT_BARRIER: Final = Wait(early=True)


class _Chain(Source):
    """Sources one after the other, with or without a barrier between them; each worker has its own place."""

    def __init__(self, sources: list[Source], *, barrier: bool) -> None:
        self._sources = sources
        self._barrier = barrier
        self._at: dict[int, int] = {}
        self._arrived: set[int] = set()

    def next(self, context: Context) -> Call | Wait | None:
        while True:
            at = self._at.setdefault(context.worker, 0)
            if at == len(self._sources):
                return None
            found = self._sources[at].next(context)
            if found is not None:
                return found
            if not self._barrier:
                self._at[context.worker] = at + 1
            elif not self._open_barrier(context):
                return _AT_BARRIER

    def _open_barrier(self, context: Context) -> bool:
        """Move every worker on when this was the last one to arrive."""
        self._arrived.add(context.worker)
        if len(self._arrived) < context.workers:
            return False
        for worker in self._arrived:
            self._at[worker] += 1
        self._arrived.clear()
        context.changed = True
        return True


@dataclass(frozen=True, slots=True)
class repeat(Generator):  # noqa: N801
    """`inner` again and again, `count` times or without end; started anew when it has no more for one worker."""

    inner: Generator
    count: int | None = None

    def start(self, random: Random) -> Source:
        return _Repeat(self.inner, self.count, random)


class _Repeat(Source):
    def __init__(self, inner: Generator, count: int | None, random: Random) -> None:
        self._inner, self._left, self._random = inner, count, random
        self._source: Source | None = None
        self._gave = True

    def next(self, context: Context) -> Call | Wait | None:
        while True:
            found = self._source.next(context) if self._source else None
            if found is not None:
                self._gave = True
                return found
            if self._left == 0 or not self._gave:  # a generator without any call would be repeated for ever
                return None
            self._left = None if self._left is None else self._left - 1
            self._gave = False
            self._source = self._inner.start(fork(self._random))


@dataclass(frozen=True, slots=True)
class on_keys(Generator):  # noqa: N801
    """Clients in groups of `group`, each group on one key of its own until `make(key)` has no more for one of them.

    Then the group goes on to the next of `keys`; without further keys its clients are done. All keys are worked on by
    neighbours, which are pinned to different nodes. Nothing for the nemesis.
    """

    keys: Callable[[], Iterable[Any]]
    group: int
    make: Callable[[Any], Generator]

    def start(self, random: Random) -> Source:
        return _OnKeys(iter(self.keys()), self.group, self.make, random)


class _OnKeys(Source):
    def __init__(self, keys: Iterator[Any], group: int, make: Callable[[Any], Generator], random: Random) -> None:
        self._keys, self._group, self._make, self._random = keys, group, make, random
        self._current: dict[int, tuple[Any, Source]] = {}

    def next(self, context: Context) -> Call | Wait | None:
        if context.process == NEMESIS:
            return None
        group = context.worker // self._group
        members = min(self._group, context.clients - group * self._group, context.workers)
        while True:
            current = self._current.get(group) or self._rotate(group)
            if current is None:
                return None
            key, source = current
            workers, context.workers = context.workers, members
            found = source.next(context)
            context.workers = workers
            if type(found) is Call:
                return Call(found.f, key, found.value)
            if found is not None:
                return found
            self._current.pop(group)
            context.changed = True

    def _rotate(self, group: int) -> tuple[Any, Source] | None:
        for key in self._keys:
            self._current[group] = (key, self._make(key).start(fork(self._random)))
            return self._current[group]
        return None


@dataclass(frozen=True, slots=True)
class nemesis(Generator):  # noqa: N801
    """`faults` for the nemesis, and `clients` for everybody else."""

    faults: Generator
    clients: Generator = field(default_factory=lambda: sequence(()))

    def start(self, random: Random) -> Source:
        return _Nemesis(self.faults.start(fork(random)), self.clients.start(fork(random)))


def clients(inner: Generator) -> Generator:
    """`inner` for the clients, nothing for the nemesis."""
    return nemesis(sequence(()), inner)


class _Nemesis(Source):
    def __init__(self, faults: Source, clients: Source) -> None:
        self._faults, self._clients = faults, clients

    def next(self, context: Context) -> Call | Wait | None:
        if context.process == NEMESIS:
            inner, peers = self._faults, context.workers - context.clients
        else:
            inner, peers = self._clients, min(context.workers, context.clients)
        # barriers inside count only the workers that are sent there
        workers, context.workers = context.workers, peers
        found = inner.next(context)
        context.workers = workers
        return found
