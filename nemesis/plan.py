"""When which fault comes, planned from the seed. Pure.

A phase's formula. A quiet lead of a third of an interval, at most LEAD_S_MAX, lets the clients get going. The rest of
the phase is divided into slots of equal length, as many as whole intervals fit into it, but at least one. In each slot
one fault comes after 0 to EARLY_MAX of it, stays for STAY_MIN to STAY_MAX of it, and is followed by quiet: at
least 1 - EARLY_MAX - STAY_MAX of a slot, in which the cluster can recover. So one fault is on at a time, and all are
healed before the phase ends.

Families are dealt from a bag that holds each as often as its weight says, and that is filled anew when it is empty: as
long as there are slots, none misses its turn.

Where more faults may be on at once, each lasts into as many later slots as a die says, as far as that number allows and
no fault comes meanwhile that takes hold of the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

import msgspec

from harness.config import Schedule, Step
from harness.errors import UsageError
from nemesis.family import Family, family
from nemesis.overlap import share

LEAD_S_MAX: Final = 3.0
EARLY_MAX: Final = 0.1
STAY_MIN: Final = 0.4
STAY_MAX: Final = 0.7
INTERVAL_S_MIN: Final = 0.1


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a run with one mix of faults.

    Attributes:
        start_s, stop_s: where it lies in the run; every fault is healed by then.
        interval_s: mean time from one fault to the next.
        weights: of families, by name: how often each is in the bag. None is quiet.
        overlap: how many faults may be on at once.
    """

    start_s: float
    stop_s: float
    interval_s: float
    weights: Mapping[str, int]
    overlap: int = 1


def plan(phases: Sequence[Phase], fixed: Sequence[Step], nodes: Sequence[str], random: Random) -> Schedule:
    """Plan a run's faults; the same arguments and state of `random` give the same plan.

    Args:
        phases: in order of time.
        fixed: steps that are part of it in any case; what they hold is left alone meanwhile.
        nodes: names of the cluster's nodes.
        random: every choice comes from it.

    Returns:
        All steps, numbered in the order of their times.

    Raises:
        UsageError: an unknown family, too few nodes for one, or times that are too short.
    """
    steps = [*fixed]
    for phase in phases:
        steps += _Planner(phase, [step for step in fixed if not step.when], nodes, random).steps()
    steps.sort(key=lambda step: step.start_s)
    return Schedule(tuple(msgspec.structs.replace(step, fault=number) for number, step in enumerate(steps)))


@dataclass(frozen=True, slots=True)
class _Dealt:
    """A fault in its slot, which lasts up to the slot `last`; `end` is how far into that, as a share of it."""

    slot: int
    last: int
    start_s: float
    end: float
    family: Family


@dataclass(frozen=True, slots=True)
class _Planner:
    """Plans one phase."""

    phase: Phase
    fixed: Sequence[Step]
    nodes: Sequence[str]
    random: Random

    def steps(self) -> list[Step]:
        phase = self.phase
        bag = [family(name) for name, weight in phase.weights.items() for _ in range(weight)]
        length_s = phase.stop_s - phase.start_s
        if not bag:
            return []
        for each in bag:
            each.check_count(len(self.nodes))
        if phase.interval_s < INTERVAL_S_MIN or length_s < INTERVAL_S_MIN:
            shorter = min(phase.interval_s, length_s)
            message = f"faults need more than {shorter:g} s to be seen"
            raise UsageError(message, "give a longer interval or time limit")
        lead_s = min(phase.interval_s / 3, LEAD_S_MAX, length_s / 3)
        count = max(1, int((length_s - lead_s) / phase.interval_s))
        slot_s, first_s = (length_s - lead_s) / count, phase.start_s + lead_s
        dealt = self._lasting(self._deal(bag, count, first_s, slot_s), first_s, slot_s)
        return [
            Step(
                fault=0,
                kind=each.family.name,
                start_s=round(each.start_s, 3),
                stop_s=round(first_s + slot_s * (each.last + each.end), 3),
                params=each.family.plan(self.random, self.nodes),
            )
            for each in dealt
        ]

    def _deal(self, bag: Sequence[Family], count: int, first_s: float, slot_s: float) -> list[_Dealt]:
        """Give each slot the next family of the bag that meets no fixed fault; what has to wait keeps its turn."""
        random, dealt = self.random, []
        left: list[Family] = []
        for slot in range(count):
            start = random.uniform(0, EARLY_MAX)
            end = start + random.uniform(STAY_MIN, STAY_MAX)
            left = left or random.sample(bag, len(bag))
            start_s, stop_s = first_s + slot_s * (slot + start), first_s + slot_s * (slot + end)
            fitting = next((each for each in left if not self._meets_fixed(each, start_s, stop_s)), None)
            if fitting is not None:
                left.remove(fitting)
                dealt.append(_Dealt(slot, slot, start_s, end, fitting))
        return dealt

    def _lasting(self, dealt: list[_Dealt], first_s: float, slot_s: float) -> list[_Dealt]:
        """Let faults last into later slots."""
        for at, each in enumerate(dealt):
            wanted = self.random.randint(0, self.phase.overlap - 1) if self.phase.overlap > 1 else 0
            for slot in range(each.slot + 1, each.slot + 1 + wanted):
                on = [other for other in dealt[:at] if other.last >= slot]
                beside = [other for other in dealt[at + 1 :] if other.slot == slot]
                stop_s = first_s + slot_s * (slot + each.end)
                if (
                    slot > dealt[-1].slot
                    or len(on) + len(beside) >= self.phase.overlap
                    or any(share(each.family, other.family) for other in beside)
                    or self._meets_fixed(each.family, each.start_s, stop_s)
                ):
                    break
                dealt[at] = replace(dealt[at], last=slot)
        return dealt

    def _meets_fixed(self, each: Family, start_s: float, stop_s: float) -> bool:
        return any(
            share(each, family(step.kind)) and start_s < step.stop_s and step.start_s < stop_s for step in self.fixed
        )
