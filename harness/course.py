"""The course of a run's faults: which call of the nemesis is due when, as a generator for its workers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final, Literal

import msgspec

from harness.config import Schedule, Step
from harness.generator.base import SECOND_NS, Context, Generator, Source, Wait
from harness.op import AWAIT, HEAL, INJECT, Call, EventType
from nemesis import family
from nemesis.overlap import share
from nemesis.schedule import latest_s

NEVER_S: Final = math.inf

State = Literal["planned", "waiting", "came", "injecting", "on", "healing", "done"]


def hands(schedule: Schedule) -> int:
    """Return how many workers the nemesis needs: as many as there are faults at one time, waited for or on."""
    steps = schedule.steps
    return max((sum(each.start_s <= step.start_s < each.stop_s for each in steps) for step in steps), default=1)


@dataclass(frozen=True, slots=True)
class course(Generator):  # noqa: N801 - generators read as verbs where they are composed
    """Every fault of a schedule: waited for, injected and healed, each in its time, to whoever of the nemesis asks.

    What takes longer than planned is seen to its end: a fault is healed when its injection has ended, and one that
    takes hold of what another one held until then is injected when that is healed. An aimed fault whose moment does not
    come, and one whose injection certainly did not happen, need no heal.
    """

    schedule: Schedule

    def start(self, random: Random) -> Source:
        return _Course(self.schedule.steps)


class _Leg:
    """One fault, and how far it is."""

    def __init__(self, step: Step, after: Sequence[_Leg]) -> None:
        self.step = step
        self.state: State = "planned"
        self._after = after
        self._heal_s = step.stop_s

    def due_s(self) -> float:
        """Return when its next call is due; NEVER_S where others must end first, or there is none."""
        if self.state == "planned":
            return self.step.start_s if all(leg.state == "done" for leg in self._after) else NEVER_S
        return {"came": 0.0, "on": self._heal_s}.get(self.state, NEVER_S)

    def call(self, now_s: float) -> Call:
        """Return the next call, which begins now."""
        step = self.step
        value: dict[str, Any] = {"kind": step.kind}
        if self.state == "on":
            self.state = "healing"
            return Call(HEAL, step.fault, value)
        if self.state == "planned" and step.when:
            self.state = "waiting"
            within_s = round(max(0.0, latest_s(step) - now_s), 3)
            return Call(AWAIT, step.fault, value | msgspec.to_builtins(step.when) | {"within_s": within_s})
        if step.when:
            self._heal_s = now_s + step.when.lasts_s
        self.state = "injecting"
        return Call(INJECT, step.fault, value | step.params)

    def ended(self, outcome: EventType) -> None:
        """Hear how the call ended."""
        if self.state == "waiting":
            self.state = "came" if outcome == "ok" else "done"
        elif self.state == "injecting":
            self.state = "done" if outcome == "fail" else "on"
        else:
            self.state = "done"


class _Course(Source):
    def __init__(self, steps: Sequence[Step]) -> None:
        self._start_ns = -1
        self._legs: list[_Leg] = []
        for step in sorted(steps, key=lambda step: step.start_s):
            one = family(step.kind)
            after = [leg for leg in self._legs if leg.step.stop_s <= step.start_s and share(one, family(leg.step.kind))]
            self._legs.append(_Leg(step, after))

    def next(self, context: Context) -> Call | Wait | None:
        if self._start_ns < 0:
            self._start_ns = context.time_ns
        if all(leg.state == "done" for leg in self._legs):
            return None
        leg = min(self._legs, key=_Leg.due_s)
        due_s = leg.due_s()
        if due_s == NEVER_S:
            return Wait(early=True)
        due_ns = self._start_ns + int(due_s * SECOND_NS)
        if context.time_ns < due_ns:
            return Wait(due_ns, early=True)
        context.on_end.append(partial(_Leg.ended, leg))
        return leg.call((context.time_ns - self._start_ns) / SECOND_NS)
