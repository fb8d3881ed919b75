"""When which fault comes: planned from the seed, or read from a file.

The plan's formula. A quiet lead of a third of an interval, at most LEAD_S_MAX, lets the clients get going. The rest of
the time limit is divided into slots of equal length, as many as whole intervals fit into it, but at least one. In
each slot one fault comes after 0 to EARLY_MAX of it, stays for STAY_MIN to STAY_MAX of it, and is followed by quiet: at
least 1 - EARLY_MAX - STAY_MAX of a slot, in which the cluster can recover. So one fault is on at a time, and all are
healed before the time limit. The families come in a shuffled cycle: none comes again before each has come once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from harness.config import Schedule, Step
from harness.errors import UsageError
from nemesis.family import family

LEAD_S_MAX: Final = 3.0
EARLY_MAX: Final = 0.1
STAY_MIN: Final = 0.4
STAY_MAX: Final = 0.7
INTERVAL_S_MIN: Final = 0.1


def plan(
    families: Sequence[str], nodes: Sequence[str], time_limit_s: float, interval_s: float, random: Random
) -> Schedule:
    """Plan a run's faults; the same arguments and state of `random` give the same plan.

    Args:
        families: names; none gives an empty schedule.
        nodes: names of the cluster's nodes.
        time_limit_s: every fault is healed by then.
        interval_s: mean time from one fault to the next.
        random: every choice comes from it.

    Raises:
        UsageError: an unknown family, too few nodes for one, or times that are too short.
    """
    known = [family(name) for name in dict.fromkeys(families)]
    if not known:
        return Schedule()
    if interval_s < INTERVAL_S_MIN or time_limit_s < INTERVAL_S_MIN:
        shorter = min(interval_s, time_limit_s)
        raise UsageError(f"faults need more than {shorter:g} s to be seen", "give a longer --interval or --time-limit")
    lead = min(interval_s / 3, LEAD_S_MAX, time_limit_s / 3)
    count = max(1, int((time_limit_s - lead) / interval_s))
    slot = (time_limit_s - lead) / count
    cycle = _cycle(random, [each.name for each in known])
    steps = []
    for fault in range(count):
        start = lead + slot * (fault + random.uniform(0, EARLY_MAX))
        stop = start + slot * random.uniform(STAY_MIN, STAY_MAX)
        kind = family(next(cycle))
        params = kind.plan(random, nodes)
        steps.append(Step(fault=fault, kind=kind.name, start_s=round(start, 3), stop_s=round(stop, 3), params=params))
    return Schedule(tuple(steps))


def _cycle(random: Random, names: Sequence[str]) -> Iterator[str]:
    while True:
        yield from random.sample(names, len(names))


class _Step(Step, frozen=True, forbid_unknown_fields=True):
    """A step as a file must have it."""


class _Schedule(Schedule, frozen=True, forbid_unknown_fields=True):
    """A schedule as a file must have it."""

    steps: tuple[_Step, ...] = ()


def dump(schedule: Schedule, path: Path) -> None:
    """Write a schedule as a file that people can edit and `load` reads."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(schedule), indent=2) + b"\n")


def load(path: Path, nodes: Sequence[str]) -> Schedule:
    """Read a schedule from a file, to replay it on these nodes.

    Raises:
        UsageError: naming the file and what is wrong: it cannot be read, is no schedule, has two faults on at a time,
            or a step's family, parameters or nodes are unknown.
    """
    try:
        schedule = msgspec.json.decode(path.read_bytes(), type=_Schedule)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "give the schedule of a run from the store") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{path}: not a schedule: {error}", "docs/reference.md shows the format") from error
    steps = sorted(schedule.steps, key=lambda step: step.start_s)
    for step in steps:
        _check(step, nodes, path)
    for before, after in pairwise(steps):
        if after.start_s < before.stop_s:
            message = f"{path}: fault {after.fault} starts before fault {before.fault} is healed"
            raise UsageError(message, "one fault is on at a time: mend start_s or stop_s")
    if len({step.fault for step in steps}) < len(steps):
        raise UsageError(f"{path}: two steps have the same fault number", "number the faults 0, 1, 2, …")
    return Schedule(tuple(msgspec.convert(steps, list[Step], from_attributes=True)))


def _check(step: Step, nodes: Sequence[str], path: Path) -> None:
    if not 0 <= step.start_s < step.stop_s:
        message = f"{path}: fault {step.fault} lasts from {step.start_s:g} to {step.stop_s:g} s"
        raise UsageError(message, "start_s is at least 0 and less than stop_s")
    try:
        family(step.kind).check(step.params, nodes)
    except UsageError as error:
        raise UsageError(f"{path}: fault {step.fault}: {error.message}", error.hint) from error
