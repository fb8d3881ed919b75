"""Clock: servers see a time that jumps, swings, drifts or wanders; the host's clock and all others stay right."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final, Literal

from harness.errors import FaultError
from harness.protocols import Clock, Cluster
from nemesis import measure
from nemesis.measure import every, states, until
from nemesis.targets import TargetParams, pick

Shape = Literal["offset", "strobe", "drift", "walk"]
Family = Literal["realtime", "monotonic"]

OFFSET_MS: Final = (5.0, 2 * 86_400_000.0)
PERIOD_S: Final = (0.02, 2.0)
RATE: Final = (0.01, 0.5)
WALK_MS: Final = (5.0, 60_000.0)
WALK_STEPS: Final = 64
LAST_LOOKS: Final = 10
DEAD_LOOKS: Final = 1500
DEAD_TRIES: Final = 3
"""So often, and for 30 s each time, a server is waited for that another fault has killed."""
DAY_S: Final = 86_400.0
TOLERANCE_NS: Final = 2_000_000
"""How far a reading may be from the plan, beyond its own uncertainty."""

HINT = "the node may not trace its server (CAP_SYS_PTRACE), or it is not x86_64: docs/nemeses.md says what it takes"
WARNING = (
    "CLOCK_MONOTONIC is skewed: the kernel still waits by the real one, so programs that wait until a time of it "
    "(Java, Python) may hang or spin"
)


class ClockParams(TargetParams, frozen=True, kw_only=True):
    """Parameters of a skew.

    Attributes:
        shape: offset, one jump of `offset_ms`; strobe, between that and the right time, back and forth in `period_s`;
            drift, away by `rate` seconds a second; walk, through `walk_ms`, each for `period_s`, again and again.
        offset_ms: how far ahead, negative for behind.
        period_s: see shape.
        rate: see shape; more than -1.
        walk_ms: see shape.
        clocks: realtime, which servers take for the time of day; monotonic, which they wait by, is for the brave.
    """

    shape: Shape
    offset_ms: float = 0.0
    period_s: float = 0.0
    rate: float = 0.0
    walk_ms: tuple[float, ...] = ()
    clocks: tuple[Family, ...] = ("realtime",)

    def __post_init__(self) -> None:
        super().__post_init__()
        needs = {
            "offset": ("offset_ms",),
            "strobe": ("offset_ms", "period_s"),
            "drift": ("rate",),
            "walk": ("walk_ms", "period_s"),
        }[self.shape]
        given = {name for name in ("offset_ms", "period_s", "rate", "walk_ms") if getattr(self, name)}
        if given != set(needs):
            raise ValueError(f"shape {self.shape} takes {' and '.join(needs)}, not 0, and nothing else")
        if self.period_s and not 0.01 <= self.period_s <= DAY_S:
            raise ValueError("period_s is at least 0.01, and at most a day")
        if self.rate and not -0.9 <= self.rate <= 10:
            raise ValueError("rate is -0.9 to 10 seconds a second")
        if not self.clocks:
            raise ValueError("clocks is empty: nothing would be skewed")

    def programme(self) -> list[tuple[float, int, float]]:
        """Return what nodes take: steps of (seconds, offset in ns, rate), again and again."""
        if self.shape == "strobe":
            return [(self.period_s / 2, round(self.offset_ms * 1e6), 0.0), (self.period_s / 2, 0, 0.0)]
        if self.shape == "walk":
            return [(self.period_s, round(offset * 1e6), 0.0) for offset in self.walk_ms]
        return [(DAY_S, round(self.offset_ms * 1e6), self.rate)]


def choose(random: Random, nodes: Sequence[str]) -> ClockParams:
    """Choose whom to skew, in which shape and how far: from milliseconds to days, each order as likely."""
    target, hit, otherwise = pick(random, nodes)
    shape: Shape = random.choice(("offset", "strobe", "drift", "walk"))
    sign = random.choice((-1, 1))
    values: dict[str, Any] = {}
    if shape in ("offset", "strobe"):
        values["offset_ms"] = sign * _between(random, *OFFSET_MS)
    if shape in ("strobe", "walk"):
        values["period_s"] = _between(random, *PERIOD_S)
    if shape == "drift":
        values["rate"] = sign * _between(random, *RATE)
    if shape == "walk":
        values["walk_ms"] = _walk(random, sign * _between(random, *WALK_MS))
    return ClockParams(target, hit, otherwise, shape=shape, **values)


def _between(random: Random, low: float, high: float) -> float:
    """Choose an order of magnitude first, and few digits, which people can read."""
    return float(f"{math.exp(random.uniform(math.log(low), math.log(high))):.3g}")


def _walk(random: Random, stride_ms: float) -> tuple[float, ...]:
    """Return the offsets of a random walk that begins with a whole stride."""
    at, offsets = stride_ms, []
    for _ in range(WALK_STEPS):
        offsets.append(round(at, 3))
        at += random.gauss(0, stride_ms)
    return tuple(offsets)


class Skew:
    """Servers with a wrong clock for a while; restarted ones too."""

    def __init__(self, cluster: Cluster, params: ClockParams) -> None:
        self._cluster = cluster
        self._params = params
        self._hit: tuple[str, ...] = ()
        self._verified = False

    async def inject(self) -> dict[str, Any]:
        """Skew the clocks; a server that another fault has killed will have the skew from its start on.

        Raises:
            FaultError: a clock cannot be skewed.
        """
        params, nodes = self._params, self._cluster.nodes
        self._hit = params.nodes
        programme = params.programme()
        await every((nodes[name].skew(programme, params.clocks) for name in self._hit), "skew")
        return {"nodes": list(self._hit)} | ({"note": WARNING} if "monotonic" in params.clocks else {})

    async def verify(self) -> dict[str, Any]:
        """Let threads of the servers read their clocks: all as planned, and on every node one of them clearly wrong.

        The dead read nothing. What was done to them is measured before the heal, if they live then; but one server at
        least must be measured now, or it is waited for.
        """
        for tries_left in reversed(range(DEAD_TRIES)):
            await until(self._all_dead, "nothing to skew", "did it crash? look at its log", looks_max=DEAD_LOOKS)
            try:
                evidence = await self._measure(skewed=True)
            except FaultError:
                if tries_left and await self._all_dead():  # killed in the middle of it
                    continue
                raise
            self._verified = True
            break
        return evidence

    async def heal(self) -> dict[str, Any]:
        """See that the skew held to the end, put the clocks right and measure that they are; those of the dead are."""
        nodes = self._cluster.nodes
        last = await self._clocks()
        for _ in range(LAST_LOOKS):
            lost = self._lost(last) if self._verified else []  # what never was is no news
            if not lost:
                break
            await asyncio.sleep(measure.PAUSE_S)  # a server that has just been started is not skewed at once
            last = await self._clocks()
        self._verified = False
        await every((nodes[name].unskew() for name in self._hit), "heal of the clocks")
        evidence = await self._measure(skewed=False)
        if lost:
            raise FaultError(f"the skew was lost before its heal: {'; '.join(lost)}", HINT)
        return {"last_ms": _offsets(last, self._params.clocks[0])} | evidence

    async def _measure(self, *, skewed: bool) -> dict[str, Any]:
        seen: dict[str, list[Clock]] = {}

        async def look() -> list[str]:
            wrong = []
            for name, clocks in (await self._clocks()).items():
                wrong += _objections(name, clocks)
                if not skewed:
                    seen[name] = clocks
                    wrong += [
                        f"the clock functions of {name} are not the kernel's" for each in clocks if not each.intact
                    ]
                elif name not in seen and all(map(self._clearly_off, clocks)) and clocks:
                    seen[name] = clocks
            unseen = [name for name in self._hit if name not in seen]
            dead = await self._dead() if unseen and seen else []
            return wrong + [f"{name} is hardly off yet" for name in unseen if name not in dead]

        what = "the skew did not take effect" if skewed else "the clocks are not right again"
        looks = await until(look, what, HINT)
        errors = [reading.error_ns for clocks in seen.values() for each in clocks for reading in each.readings.values()]
        return {
            "offsets_ms": _offsets(seen, self._params.clocks[0]),
            "error_ms": round(max(errors, default=0) / 1e6, 3),
            "looks": looks,
        }

    async def _dead(self) -> list[str]:
        return [name for name, state in (await states(self._cluster.nodes, self._hit)).items() if state == "dead"]

    async def _all_dead(self) -> list[str]:
        dead = await self._dead()
        return [f"the server of {name} is dead" for name in dead] if len(dead) == len(self._hit) else []

    async def _clocks(self) -> dict[str, list[Clock]]:
        read = await asyncio.gather(*(self._cluster.nodes[name].clock() for name in self._hit))
        return dict(zip(self._hit, read, strict=True))

    def _lost(self, last: Mapping[str, Sequence[Clock]]) -> list[str]:
        wrong = [objection for name, clocks in last.items() for objection in _objections(name, clocks)]
        return wrong + [
            f"process {clock.pid} of {name} has lost its skew"
            for name, clocks in last.items()
            for clock in clocks
            if not self._planned(clock)
        ]

    def _planned(self, clock: Clock) -> bool:
        """Say whether the node holds a process to the programme still."""
        offsets = {offset_ns for _, offset_ns, _ in self._params.programme()}
        wanted = [clock.readings[name].wanted_ns for name in self._params.clocks]
        return all(wanted) if self._params.shape == "drift" else offsets.issuperset(wanted)

    def _clearly_off(self, clock: Clock) -> bool:
        readings = [clock.readings[name] for name in self._params.clocks]
        return all(abs(reading.offset_ns) > 2 * reading.error_ns for reading in readings)


def _objections(name: str, clocks: Sequence[Clock]) -> list[str]:
    """Compare what a node's processes read with what they should."""
    return [
        f"process {clock.pid} of {name} reads {which} {reading.offset_ns / 1e6:.3f} ms off, not "
        f"{reading.wanted_ns / 1e6:.3f}"
        for clock in clocks
        for which, reading in clock.readings.items()
        if abs(reading.offset_ns - reading.wanted_ns) > reading.error_ns + TOLERANCE_NS
    ]


def _offsets(seen: Mapping[str, Sequence[Clock]], which: str) -> dict[str, float]:
    """Return how far each node's server is off, by its first process; the dead are left out."""
    return {name: round(clocks[0].readings[which].offset_ns / 1e6, 3) for name, clocks in seen.items() if clocks}
