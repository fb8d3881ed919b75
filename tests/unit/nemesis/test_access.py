"""The clients' links as data: what is planned, what is refused, and what counts as cut."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from harness.errors import UsageError
from harness.protocols import Trial
from nemesis import family
from nemesis.access import AccessParams
from nemesis.figures import FIGURES
from nemesis.targets import sizes
from nemesis.trials import Tally

NODES = ["n1", "n2", "n3", "n4", "n5"]
ONE: dict[str, Any] = {"target": "one", "nodes": ["n2"]}


def test_plans_cut_and_shape_in_every_direction() -> None:
    """Over many seeds every target, direction and figure comes, half are cuts, and each is one that a file may have."""
    plans = [family("access").check(family("access").plan(Random(seed), NODES), NODES) for seed in range(400)]
    found = [plan for plan in plans if isinstance(plan, AccessParams)]
    assert {plan.target for plan in found} == set(sizes(len(NODES)))
    assert {(plan.direction, plan.cut) for plan in found} == {
        (direction, cut) for direction in ("both", "from-clients", "to-clients") for cut in (True, False)
    }
    assert {name for plan in found for name in plan.figures()} == set(FIGURES)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "either cut is true, or one of delay_ms"),
        ({"cut": True, "loss": 0.1}, "either cut is true, or one of delay_ms"),
        ({"loss": 1}, "probabilities of at most 0.9"),
        ({"cut": True, "direction": "sideways"}, "Invalid enum value 'sideways'"),
        ({"cut": True, "nodes": []}, "it would hit nobody"),
        ({"cut": True, "nodes": ["leader"]}, "otherwise must name a node"),
        ({"cut": True, "nodes": ["n9"]}, "n9, which the cluster does not have"),
    ],
)
def test_what_makes_no_sense_is_refused(params: dict[str, Any], said: str) -> None:
    """Nothing at all, a cut with figures, and nodes that are not there are usage errors."""
    with pytest.raises(UsageError, match=said):
        family("access").check(ONE | params, NODES)


def test_a_node_takes_the_directions_that_are_hit() -> None:
    """A cut loses all, figures are those that were given, and a direction that is not named is not touched."""
    cut = AccessParams(target="one", nodes=("n1",), cut=True, direction="to-clients")
    assert cut.links() == {"to-clients": {"loss": 1.0}}
    slow = AccessParams(target="one", nodes=("n1",), delay_ms=5)
    assert slow.links() == {"from-clients": {"delay_ms": 5}, "to-clients": {"delay_ms": 5}}


def test_a_cut_is_counted_and_not_just_silent() -> None:
    """One packet that arrives, or one that no rule has counted, is an objection."""
    tally = Tally()
    tally.add(40, None)
    assert tally.cut(40) == []
    assert tally.cut(39) == ["of 40 packets only 39 were counted as dropped"]
    tally.add(40, Trial(1, 0, 0, 0.1, 0.1, 0.1))
    assert tally.cut(79) == ["1 of 80 packets arrive", "of 80 packets only 79 were counted as dropped"]
