"""A schedule as a file: written with every run, read again to replay it, or after somebody edited or shrank it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import msgspec

from harness.config import Schedule, Step, When
from harness.errors import UsageError
from nemesis.family import family
from nemesis.moments import LOG_LINE, MOMENTS
from nemesis.overlap import clash
from nemesis.targets import MOMENT, placed


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
        UsageError: naming the file and what is wrong: it cannot be read, is no schedule, has faults that meet, or a
            step's family, parameters, moment or nodes are unknown.
    """
    try:
        schedule = msgspec.json.decode(path.read_bytes(), type=_Schedule)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "give the schedule of a run from the store") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{path}: not a schedule: {error}", "docs/reference.md shows the format") from error
    steps = sorted(schedule.steps, key=lambda step: step.start_s)
    if len({step.fault for step in steps}) < len(steps):
        raise UsageError(f"{path}: two steps have the same fault number", "number the faults 0, 1, 2, …")
    for step in steps:
        try:
            check(step, nodes)
        except UsageError as error:
            raise UsageError(f"{path}: fault {step.fault}: {error.message}", error.hint) from error
    for before, after in combinations(steps, 2):
        if common := clash(before, after):
            message = f"{path}: fault {after.fault} ({after.kind}) starts before fault {before.fault} ({before.kind})"
            hint = f"both take hold of {common}, so they cannot be on at once: mend start_s or stop_s"
            raise UsageError(f"{message} is healed", hint)
    return Schedule(tuple(msgspec.convert(steps, list[Step], from_attributes=True)))


def check(step: Step, nodes: Sequence[str]) -> None:
    """Hold a step to what is possible on these nodes.

    Raises:
        UsageError: its times, its moment or its parameters are not.
    """
    if not 0 <= step.start_s < step.stop_s:
        message = f"it lasts from {step.start_s:g} to {step.stop_s:g} s"
        raise UsageError(message, "start_s is at least 0 and less than stop_s")
    if step.when:
        _check_when(step.when, step)
    elif any(isinstance(item, list | tuple) and MOMENT in item for item in step.params.values()):
        raise UsageError(f'"{MOMENT}" stands for a node, but no moment is waited for', "add when, or name a node")
    family(step.kind).check(placed(step.params, nodes[0]), nodes)


def _check_when(when: When, step: Step) -> None:
    if when.moment not in MOMENTS:
        raise UsageError(f"there is no moment {when.moment!r}", f"choose one of {', '.join(MOMENTS)}")
    if bool(when.pattern) != (when.moment == LOG_LINE):
        raise UsageError(
            f"{when.moment!r} with the pattern {when.pattern!r}", f"{LOG_LINE!r} needs one, and no other has"
        )
    try:
        re.compile(when.pattern)
    except re.error as error:
        raise UsageError(f"pattern {when.pattern!r} is no regular expression: {error}", "see Python's re") from error
    if when.delay_ms < 0 or when.lasts_s <= 0:
        raise UsageError("it is healed before it is injected", "delay_ms is at least 0, and lasts_s more than 0")
    if latest_s(step) <= step.start_s:
        message = f"from {step.start_s:g} to {step.stop_s:g} s there is no time to wait for {when.moment!r}"
        raise UsageError(message, "it is waited for until stop_s less lasts_s and delay_ms")


def latest_s(step: Step) -> float:
    """Return until when an aimed fault waits for its moment."""
    assert step.when is not None
    return step.stop_s - step.when.lasts_s - step.when.delay_ms / 1000
