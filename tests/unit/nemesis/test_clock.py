"""Skews as data: what is planned, what is refused, and what the nodes are told."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from clusters.memory import Memory, MemoryBackend
from harness.config import RunConfig, Schedule, Step
from harness.errors import UsageError
from harness.session import check_faults
from nemesis import family
from nemesis.clock import OFFSET_MS, RATE, WALK_STEPS, ClockParams

NODES = ["n1", "n2", "n3", "n4", "n5"]
CONFIG = RunConfig(system="memory")
ONE: dict[str, Any] = {"target": "one", "nodes": ["n1"]}


def test_plans_go_from_milliseconds_to_days_in_every_shape() -> None:
    """Over many seeds all shapes and targets come, both signs, small and large; never another clock than realtime."""
    plans = [family("clock").check(family("clock").plan(Random(seed), NODES), NODES) for seed in range(400)]
    clocks = [plan for plan in plans if isinstance(plan, ClockParams)]
    assert {plan.shape for plan in clocks} == {"offset", "strobe", "drift", "walk"}
    assert {plan.target for plan in clocks} == {"one", "minority", "majority", "all", "leader", "all-but-leader"}
    assert {plan.clocks for plan in clocks} == {("realtime",)}
    offsets = [abs(plan.offset_ms) for plan in clocks if plan.offset_ms]
    assert OFFSET_MS[0] <= min(offsets) < 100
    assert 3_600_000 < max(offsets) <= OFFSET_MS[1]
    assert {plan.offset_ms > 0 for plan in clocks if plan.offset_ms} == {True, False}
    assert all(RATE[0] <= abs(plan.rate) <= RATE[1] for plan in clocks if plan.shape == "drift")
    assert all(len(plan.walk_ms) == WALK_STEPS for plan in clocks if plan.shape == "walk")


@pytest.mark.parametrize(
    ("params", "programme"),
    [
        ({"shape": "offset", "offset_ms": -1.5}, [(86_400, -1_500_000, 0)]),
        ({"shape": "strobe", "offset_ms": 200, "period_s": 0.5}, [(0.25, 200_000_000, 0), (0.25, 0, 0)]),
        ({"shape": "drift", "rate": 0.1}, [(86_400, 0, 0.1)]),
        ({"shape": "walk", "walk_ms": [1, -2], "period_s": 3}, [(3, 1_000_000, 0), (3, -2_000_000, 0)]),
    ],
)
def test_a_shape_is_a_programme_for_the_nodes(
    params: dict[str, Any], programme: list[tuple[float, int, float]]
) -> None:
    """Each shape becomes steps of seconds, nanoseconds ahead, and rate."""
    checked = family("clock").check(ONE | params, NODES)
    assert isinstance(checked, ClockParams)
    assert checked.programme() == programme


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"shape": "offset"}, "shape offset takes offset_ms, not 0"),
        ({"shape": "offset", "offset_ms": 5, "rate": 0.1}, "and nothing else"),
        ({"shape": "strobe", "offset_ms": 5}, "takes offset_ms and period_s"),
        ({"shape": "strobe", "offset_ms": 5, "period_s": 0.001}, "period_s is at least"),
        ({"shape": "drift", "rate": -1}, "rate is -0.9 to 10"),
        ({"shape": "walk", "walk_ms": [], "period_s": 1}, "takes walk_ms"),
        ({"shape": "offset", "offset_ms": 5, "clocks": []}, "clocks is empty"),
        ({"shape": "offset", "offset_ms": 5, "clocks": ["tai"]}, "Invalid enum value 'tai'"),
        ({"shape": "offset", "offset_ms": 5, "nodes": []}, "it would hit nobody"),
    ],
)
def test_what_makes_no_sense_is_refused(params: dict[str, Any], said: str) -> None:
    """Parameters of another shape, missing ones, and values that no clock can follow are usage errors."""
    with pytest.raises(UsageError, match=said):
        family("clock").check(ONE | params, NODES)


def test_a_schedule_is_held_to_what_the_backend_can() -> None:
    """Before anything starts, a fault that the backend's nodes cannot have is a usage error that says why."""
    step = Step(fault=0, kind="clock", start_s=1, stop_s=2, params=ONE | {"shape": "drift", "rate": 0.1})
    check_faults(Schedule(()), CONFIG, MemoryBackend("0"), Memory())
    with pytest.raises(UsageError, match="no clock on the backend memory: nodes in memory have no clock of their own"):
        check_faults(Schedule((step,)), CONFIG, MemoryBackend("0"), Memory())
    with pytest.raises(UsageError, match="no client processes with the backend memory"):
        check_faults(Schedule(()), RunConfig(system="memory", client_processes=2), MemoryBackend("0"), Memory())
