"""Planning faults from the seed: when each comes, which family's turn it is, and what may overlap."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config import Schedule, Step
from harness.errors import UsageError
from nemesis import FAMILIES, family
from nemesis.overlap import share
from nemesis.plan import EARLY_MAX, STAY_MAX, Phase, plan

NODES = ["n1", "n2", "n3", "n4", "n5"]

families = st.lists(st.sampled_from(sorted(FAMILIES)), min_size=1, unique=True)
limits = st.floats(0.5, 600)
intervals = st.floats(0.5, 60)


def planned(names: list[str], limit_s: float, interval_s: float, seed: int, overlap: int = 1) -> tuple[Step, ...]:
    """Plan one phase of families that have equal weights."""
    return plan([Phase(0, limit_s, interval_s, dict.fromkeys(names, 1), overlap)], (), NODES, Random(seed)).steps


@given(families, limits, intervals, st.integers())
def test_faults_come_one_at_a_time_with_quiet_between(
    names: list[str], limit_s: float, interval_s: float, seed: int
) -> None:
    """There is always a fault; one is on at a time; there is quiet before, between and after; times are whole ms."""
    steps = planned(names, limit_s, interval_s, seed)
    assert steps
    assert [step.fault for step in steps] == list(range(len(steps)))
    assert steps[0].start_s >= min(interval_s, limit_s, 9) / 3 - 0.001
    assert all(step.start_s < step.stop_s < limit_s for step in steps)
    slot = (limit_s - min(interval_s / 3, 3, limit_s / 3)) / len(steps)
    quiet = slot * (1 - EARLY_MAX - STAY_MAX) - 0.002
    assert all(before.stop_s + quiet <= after.start_s for before, after in pairwise(steps))
    assert all(step.start_s == round(step.start_s, 3) and step.stop_s == round(step.stop_s, 3) for step in steps)


@given(families, limits, intervals, st.integers(), st.integers(1, 4))
def test_every_family_comes_before_one_comes_again(
    names: list[str], limit_s: float, interval_s: float, seed: int, overlap: int
) -> None:
    """In each round of the bag, each family comes once, whatever overlaps: none is missed where the time is enough."""
    kinds = [step.kind for step in planned(names, limit_s, interval_s, seed, overlap)]
    for start in range(0, len(kinds), len(names)):
        part = kinds[start : start + len(names)]
        assert len(set(part)) == len(part)
        assert set(part) <= set(names)


@given(families, limits, intervals, st.integers(), st.integers(2, 4))
def test_faults_overlap_as_far_as_they_may(
    names: list[str], limit_s: float, interval_s: float, seed: int, overlap: int
) -> None:
    """Never more than `overlap` are on at once, and never two that take hold of the same; all end in time."""
    steps = planned(names, limit_s, interval_s, seed, overlap)
    assert all(step.start_s < step.stop_s < limit_s for step in steps)
    for step in steps:
        assert sum(each.start_s <= step.start_s < each.stop_s for each in steps) <= overlap
    for one, other in combinations(steps, 2):
        if one.start_s < other.stop_s and other.start_s < one.stop_s:
            assert not share(family(one.kind), family(other.kind))


def test_overlaps_do_happen() -> None:
    """With three at once, three different holds are on together now and then."""
    steps = planned(list(FAMILIES), 600, 6, 1, 3)
    assert max(sum(each.start_s <= step.start_s < each.stop_s for each in steps) for step in steps) == 3


@given(st.integers(), st.integers(1, 3), st.integers(1, 3))
def test_weights_are_exact(seed: int, pauses: int, kills: int) -> None:
    """In each round a family comes as often as its weight says."""
    weights = {"pause": pauses, "kill": kills, "clock": 0}
    rounds = 4
    phase = Phase(0, 6.0 * rounds * (pauses + kills) + 3, 6, weights)
    steps = plan([phase], (), NODES, Random(seed)).steps
    assert Counter(step.kind for step in steps) == {"pause": pauses * rounds, "kill": kills * rounds}


@given(families, st.integers())
def test_fixed_faults_have_their_place(names: list[str], seed: int) -> None:
    """What is fixed is part of the plan as it is, and nothing that holds the same is drawn beside it."""
    fixed = Step(fault=0, kind="pause", start_s=20, stop_s=31, params={"target": "one", "nodes": ["n2"]})
    steps = plan([Phase(0, 60, 4, dict.fromkeys(names, 1), 2)], [fixed], NODES, Random(seed)).steps
    found = [step for step in steps if (step.kind, step.start_s, step.stop_s) == ("pause", 20, 31)]
    assert len(found) == 1
    for step in steps:
        if step is not found[0] and share(family(step.kind), family("pause")):
            assert step.stop_s <= 20 or step.start_s >= 31


def test_phases_keep_to_their_time() -> None:
    """Each phase has its own mix, in its own time; one without faults is quiet."""
    phases = [Phase(0, 20, 4, {"kill": 1}), Phase(20, 40, 4, {}), Phase(40, 60, 4, {"pause": 1})]
    steps = plan(phases, (), NODES, Random(3)).steps
    assert {step.kind for step in steps if step.stop_s <= 20} == {"kill"}
    assert {step.kind for step in steps if step.start_s >= 40} == {"pause"}
    assert not [step for step in steps if step.start_s < 40 and step.stop_s > 20]


@given(families, st.integers())
def test_a_plan_is_the_seeds(names: list[str], seed: int) -> None:
    """The same seed gives the same plan."""
    assert planned(names, 60, 6, seed, 2) == planned(names, 60, 6, seed, 2)


def test_the_shortest_run_still_has_faults() -> None:
    """10 s at an interval of 3 s have three faults, one of each of three families, the first after 1 s of quiet."""
    names = list(FAMILIES)[:3]
    for seed in range(20):
        steps = planned(names, 10, 3, seed)
        assert {step.kind for step in steps} == set(names)
        assert len(steps) == 3
        assert steps[0].start_s >= 1


def test_no_family_is_no_fault() -> None:
    """A run without --nemesis has an empty schedule."""
    assert plan([Phase(0, 10, 3, {})], (), NODES, Random(0)) == Schedule()


@pytest.mark.parametrize(
    ("names", "nodes", "limit_s", "interval_s", "message"),
    [
        (["clocks"], NODES, 10, 3, "there is no nemesis 'clocks'"),
        (["partition"], ["n1"], 10, 3, "partition needs 2 nodes, and there are 1"),
        (["pause"], NODES, 10, 0, "faults need more than 0 s"),
        (["pause"], NODES, 0.01, 3, "faults need more than 0.01 s"),
    ],
)
def test_what_cannot_be_planned(
    names: list[str], nodes: list[str], limit_s: float, interval_s: float, message: str
) -> None:
    """What was asked for wrongly is a UsageError that says what, and what to do."""
    with pytest.raises(UsageError, match=message) as caught:
        plan([Phase(0, limit_s, interval_s, dict.fromkeys(names, 1))], (), nodes, Random(0))
    assert caught.value.hint
