"""Workers on a virtual clock: a generator is driven as harness.worker does it, without any event loop."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from harness.generator import Context, Generator, Wait
from harness.generator.base import FOREVER_NS
from harness.op import NEMESIS, Call, EventType

STEPS_MAX = 50_000
MS = 1_000_000


class NeverEndsError(Exception):
    """All workers wait for each other, or they go on without end."""


@dataclass(frozen=True)
class Done:
    """One operation as it happened, in the order of the invocations."""

    call: Call
    worker: int
    process: int | str
    invoke_ns: int
    end_ns: int
    outcome: EventType


@dataclass(frozen=True)
class World:
    """What surrounds the generator.

    Attributes:
        clients: how many.
        nemesis: whether there is one.
        seed: of the generator and of the world's own choices.
        duration_ms: an operation takes 0 to this long.
        info, fail: shares of the operations that end so.
    """

    clients: int = 3
    nemesis: bool = False
    seed: int = 0
    duration_ms: float = 5
    info: float = 0.0
    fail: float = 0.0

    def run(self, generator: Generator) -> list[Done]:
        """Drive to the end; return what was done."""
        return _Simulation(self, generator).run()


class _Simulation:
    def __init__(self, world: World, generator: Generator) -> None:
        count = world.clients + world.nemesis
        self.world = world
        self.random = Random(f"world {world.seed}")
        self.source = generator.start(Random(world.seed))
        self.contexts = [Context(number, number, count, world.clients) for number in range(world.clients)]
        if world.nemesis:
            self.contexts.append(Context(-1, NEMESIS, count, world.clients))
        self.now_ns = 0
        self.order = itertools.count()
        self.agenda: list[tuple[int, int, int, Callable[[Context], None]]] = []
        self.early: dict[int, int] = {}  # who waits for a change → the number of its appointment, to be cancelled
        self.cancelled: set[int] = set()
        self.done: dict[int, Done] = {}
        self.left = count

    def run(self) -> list[Done]:
        for at in range(len(self.contexts)):
            self.plan(0, at, self.ask)
        for _ in range(STEPS_MAX):
            if not self.agenda:
                break
            self.now_ns, number, at, act = heapq.heappop(self.agenda)
            if number not in self.cancelled:
                act(self.contexts[at])
        if self.left:
            raise NeverEndsError(f"{self.left} workers, at {self.now_ns / MS} ms, after {len(self.done)} operations")
        return [self.done[number] for number in sorted(self.done)]

    def plan(self, time_ns: int, at: int, act: Callable[[Context], None]) -> int:
        number = next(self.order)
        heapq.heappush(self.agenda, (time_ns, number, at, act))
        return number

    def ask(self, context: Context) -> None:
        at = context.worker  # -1 is the nemesis, and the last
        self.early.pop(at, None)
        context.time_ns = self.now_ns
        found = self.source.next(context)
        if context.changed:
            context.changed = False
            self.wake()
        if found is None:
            self.left -= 1
            self.wake()
        elif isinstance(found, Wait):
            number = -1
            if found.until_ns < FOREVER_NS:
                number = self.plan(max(found.until_ns, self.now_ns), at, self.ask)
            if found.early:
                self.early[at] = number
        else:
            self.perform(context, found)

    def perform(self, context: Context, call: Call) -> None:
        listeners, context.on_end = context.on_end, []
        process, start_ns, number = context.process, self.now_ns, next(self.order)
        chance = self.random.random()
        info, fail = self.world.info, self.world.fail
        outcome: EventType = "info" if chance < info else "fail" if chance < info + fail else "ok"

        def end(context: Context) -> None:
            self.done[number] = Done(call, context.worker, process, start_ns, self.now_ns, outcome)
            if outcome == "info" and isinstance(context.process, int):
                context.process += context.workers
            for ended in listeners:
                ended(outcome)
            if listeners:
                self.wake()
            self.ask(context)

        self.plan(start_ns + int(self.random.random() * self.world.duration_ms * MS), context.worker, end)

    def wake(self) -> None:
        waiting, self.early = self.early, {}
        for at, number in waiting.items():
            self.cancelled.add(number)
            self.plan(self.now_ns, at, self.ask)
