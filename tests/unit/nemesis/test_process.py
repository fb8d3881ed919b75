"""Faults of processes as data: what is planned, and what is refused."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from harness.errors import UsageError
from nemesis import family
from nemesis.process import ACTIONS, CHOSEN_SIGNALS, ProcessParams

NODES = ["n1", "n2", "n3", "n4", "n5"]
ONE: dict[str, Any] = {"target": "one", "nodes": ["n1"]}


def test_plans_have_every_action_on_every_target() -> None:
    """Over many seeds all actions, targets and signals come, and each plan is one that a file may have."""
    plans = [family("process").check(family("process").plan(Random(seed), NODES), NODES) for seed in range(300)]
    chosen = [plan for plan in plans if isinstance(plan, ProcessParams)]
    assert {plan.action for plan in chosen} == set(ACTIONS)
    assert {plan.target for plan in chosen} == {"one", "minority", "majority", "all", "leader", "all-but-leader"}
    assert {plan.signal for plan in chosen} == {"", *CHOSEN_SIGNALS}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"action": "stop", "signal": "SIGTERM"}, "action stop takes nothing"),
        ({"action": "signal"}, "action signal takes signal"),
        ({"action": "signal", "signal": "SIGKILL"}, "which other faults send"),
        ({"action": "signal", "signal": "SIGNAL"}, "SIGNAL is no signal"),
        ({"action": "burst", "share": 0.5}, "takes period_s and share"),
        ({"action": "burst", "share": 1, "period_s": 1}, "share is more than 0"),
        ({"action": "restarts", "period_s": 20}, "period_s is 0.02 to 1.5"),
        ({"action": "fly"}, "Invalid enum value 'fly'"),
    ],
)
def test_what_makes_no_sense_is_refused(params: dict[str, Any], said: str) -> None:
    """Parameters of another action, missing ones, foreign signals and values out of bounds are usage errors."""
    with pytest.raises(UsageError, match=said):
        family("process").check(ONE | params, NODES)
