"""The course of a run's faults, on the real drive in virtual time: what comes when, and what waits for what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from stage import Do, seconds

from harness.config import Schedule, Step, When
from harness.course import course, hands
from harness.errors import Definite, FaultError
from harness.generator import nemesis as with_nemesis
from harness.history import History
from harness.op import Call, Op
from harness.recorder import Recorder
from harness.worker import Drive
from tests.virtual_time import now_ns, run

N1: dict[str, Any] = {"target": "one", "nodes": ["n1"]}
WHEN = When(moment="became leader", delay_ms=50, lasts_s=2)


def step(fault: int, kind: str, start_s: float, stop_s: float, when: When | None = None) -> Step:
    """Return a step; nobody looks at its parameters."""
    return Step(fault=fault, kind=kind, start_s=start_s, stop_s=stop_s, params=N1, when=when)


class Took:
    """A nemesis whose calls take as long as is said, and end as is said.

    Args:
        lengths_s: by f and fault; 0.01 otherwise.
        ends: what is raised, by f and fault.
    """

    def __init__(self, lengths_s: dict[tuple[str, int], float], ends: dict[tuple[str, int], Exception]) -> None:
        self._lengths_s = lengths_s
        self._ends = ends

    async def __call__(self, call: Call) -> Any:
        await asyncio.sleep(self._lengths_s.get((call.f, call.key), 0.01))
        if error := self._ends.get((call.f, call.key)):
            raise error
        return call.value


def told(
    folder: Path,
    steps: Sequence[Step],
    lengths_s: dict[tuple[str, int], float] | None = None,
    ends: dict[tuple[str, int], Exception] | None = None,
) -> list[tuple[str, int, float]]:
    """Follow a schedule; return what was invoked of which fault, and when in seconds."""
    schedule = Schedule(tuple(steps))

    async def whole() -> list[Op]:
        recorder = Recorder(folder / "history.jsonl", now_ns)
        client = Do(Took(lengths_s or {}, ends or {}))
        drive = Drive(recorder, ("n1",), lambda node: client, client, 1, 1.0, hands(schedule))
        await drive.run(with_nemesis(course(schedule)), Random(1), asyncio.Event())
        recorder.close()
        return list(History.load(folder / "history.jsonl").events)

    return [(op.f, op.key, round(seconds(op), 2)) for op in run(whole()) if op.type == "invoke"]


def test_faults_overlap_as_planned(tmp_path: Path) -> None:
    """Each is injected and healed in its time, whatever else is on, and the order of the steps does not matter."""
    steps = [step(1, "clock", 2, 6), step(0, "pause", 1, 4), step(2, "partition", 3, 5)]
    assert hands(Schedule(tuple(steps))) == 3
    assert told(tmp_path, steps) == [
        ("inject", 0, 1),
        ("inject", 1, 2),
        ("inject", 2, 3),
        ("heal", 0, 4),
        ("heal", 2, 5),
        ("heal", 1, 6),
    ]


def test_what_is_slow_delays_only_what_would_meet_it(tmp_path: Path) -> None:
    """A heal waits for its inject, and a fault for the one before it that holds the same; others come in time."""
    steps = [step(0, "pause", 1, 2), step(1, "kill", 3, 4), step(2, "clock", 1, 3.5)]
    assert told(tmp_path, steps, {("inject", 0): 3.0, ("heal", 0): 1.0}) == [
        ("inject", 0, 1),
        ("inject", 2, 1),
        ("heal", 2, 3.5),
        ("heal", 0, 4),
        ("inject", 1, 5),
        ("heal", 1, 5.01),
    ]


def test_an_aimed_fault_comes_at_its_moment(tmp_path: Path) -> None:
    """It waits from its start, is injected at once when the wait is over, and healed after its own length."""
    steps = [step(0, "pause", 1, 20, WHEN), step(1, "partition", 2, 4)]
    assert told(tmp_path, steps, {("await", 0): 5.0, ("inject", 0): 0.5}) == [
        ("await", 0, 1),
        ("inject", 1, 2),
        ("heal", 1, 4),
        ("inject", 0, 6),
        ("heal", 0, 8),
    ]


def test_what_did_not_come_needs_no_heal(tmp_path: Path) -> None:
    """A moment that does not come, and an inject that certainly did not happen, end the fault; the next one comes."""
    steps = [step(0, "pause", 1, 20, WHEN), step(1, "clock", 2, 4), step(2, "kill", 21, 22)]
    ends: dict[tuple[str, int], Exception] = {("await", 0): Definite("not seen"), ("inject", 1): Definite("in the way")}
    found = told(tmp_path, steps, {("await", 0): 16.0}, ends)
    assert found == [("await", 0, 1), ("inject", 1, 2), ("inject", 2, 21), ("heal", 2, 22)]
    history = History.load(tmp_path / "history.jsonl")
    assert [(missed.fault, missed.kind, missed.why) for missed in history.missed] == [
        (1, "clock", "in the way"),
        (0, "pause", "not seen"),
    ]
    assert [(fault.fault, fault.kind) for fault in history.faults] == [(2, "kill")]


def test_a_fault_that_did_not_take_effect_is_healed(tmp_path: Path) -> None:
    """An inject that failed half-way is healed in its time, and the fault is not verified."""
    found = told(tmp_path, [step(0, "pause", 1, 2)], ends={("inject", 0): FaultError("not paused")})
    assert found == [("inject", 0, 1), ("heal", 0, 2)]
    (fault,) = History.load(tmp_path / "history.jsonl").faults
    assert (fault.verified, fault.error) == (False, "not paused")


@pytest.mark.parametrize(("kinds", "count"), [(("pause",), 1), (("pause", "pause"), 1), ((), 1)])
def test_one_after_another_needs_one_hand(kinds: tuple[str, ...], count: int) -> None:
    """Where nothing is planned to overlap, nothing does: one worker is enough."""
    steps = tuple(step(number, kind, 2.0 * number, 2.0 * number + 2) for number, kind in enumerate(kinds))
    assert hands(Schedule(steps)) == count
