"""Planning faults, and reading them from files."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config import Schedule
from harness.errors import UsageError
from nemesis import FAMILIES, calls
from nemesis.schedule import EARLY_MAX, STAY_MAX, dump, load, plan

NODES = ["n1", "n2", "n3", "n4", "n5"]
STEP: dict[str, Any] = {
    "fault": 0, "kind": "pause", "start_s": 1, "stop_s": 2, "params": {"target": "one", "nodes": ["n2"]}
}  # fmt: skip

families = st.lists(st.sampled_from(sorted(FAMILIES)), min_size=1, unique=True)
limits = st.floats(0.5, 600)
intervals = st.floats(0.5, 60)


@given(families, limits, intervals, st.integers())
def test_faults_come_one_at_a_time_with_quiet_between(
    names: list[str], limit_s: float, interval_s: float, seed: int
) -> None:
    """There is always a fault; one is on at a time; there is quiet before, between and after; times are whole ms."""
    steps = plan(names, NODES, limit_s, interval_s, Random(seed)).steps
    assert steps
    assert [step.fault for step in steps] == list(range(len(steps)))
    assert steps[0].start_s >= min(interval_s, limit_s, 9) / 3 - 0.001
    assert all(step.start_s < step.stop_s < limit_s for step in steps)
    slot = (limit_s - min(interval_s / 3, 3, limit_s / 3)) / len(steps)
    quiet = slot * (1 - EARLY_MAX - STAY_MAX) - 0.002
    assert all(before.stop_s + quiet <= after.start_s for before, after in pairwise(steps))
    assert all(step.start_s == round(step.start_s, 3) and step.stop_s == round(step.stop_s, 3) for step in steps)


@given(families, limits, intervals, st.integers())
def test_every_family_comes_before_one_comes_again(
    names: list[str], limit_s: float, interval_s: float, seed: int
) -> None:
    """In each round of the cycle, each family comes once."""
    kinds = [step.kind for step in plan(names, NODES, limit_s, interval_s, Random(seed)).steps]
    for start in range(0, len(kinds), len(names)):
        part = kinds[start : start + len(names)]
        assert len(set(part)) == len(part)
        assert set(part) <= set(names)


@given(families, st.integers(1, 9), st.integers())
def test_a_plan_is_the_seeds_and_survives_a_file(
    tmp_path_factory: Any, names: list[str], count: int, seed: int
) -> None:
    """The same seed gives the same plan, and what is dumped loads as the same schedule."""
    nodes = [f"n{number}" for number in range(1, count + 1)]
    usable = [name for name in names if FAMILIES[name].nodes_min <= count]
    first = plan(usable, nodes, 60, 6, Random(seed))
    assert first == plan(usable, nodes, 60, 6, Random(seed))
    path = tmp_path_factory.mktemp("schedule") / "schedule.json"
    dump(first, path)
    assert load(path, nodes) == first
    assert all(type(step) is type(again) for step, again in zip(first.steps, load(path, nodes).steps, strict=True))


def test_the_shortest_run_still_has_faults() -> None:
    """10 s at an interval of 3 s have three faults, one of each of three families, the first after 1 s of quiet."""
    names = list(FAMILIES)[:3]
    for seed in range(20):
        steps = plan(names, NODES, 10, 3, Random(seed)).steps
        assert {step.kind for step in steps} == set(names)
        assert len(steps) == 3
        assert steps[0].start_s >= 1


def test_no_family_is_no_fault() -> None:
    """A run without --nemesis has an empty schedule."""
    assert plan([], NODES, 10, 3, Random(0)) == Schedule()


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
        plan(names, nodes, limit_s, interval_s, Random(0))
    assert caught.value.hint


def step(**changes: Any) -> dict[str, Any]:
    """Return STEP with changes."""
    return STEP | changes


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([step(kind="clocks")], "fault 0: there is no nemesis 'clocks'"),
        ([step(start="1")], "unknown field `start`"),
        ([step(stop_s=1)], "fault 0 lasts from 1 to 1 s"),
        ([step(start_s=-1)], "lasts from -1 to 2 s"),
        ([step(), step(fault=1, start_s=1.5, stop_s=3)], "fault 1 starts before fault 0 is healed"),
        ([step(), step(start_s=3, stop_s=4)], "two steps have the same fault number"),
        ([step(params={"target": "one", "nodes": ["n9"]})], "a pause of n9, which the cluster does not have"),
        ([step(params={"target": "some", "nodes": ["n1"]})], "Invalid enum value 'some'"),
        ([step(params={"target": "one", "nodes": ["n1"], "note": ""})], "unknown field `note`"),
        ([step(params={"target": "one", "nodes": []})], "it would hit nobody"),
        ([step(params={"target": "leader", "nodes": ["leader"]})], "otherwise must name a node"),
        ([step(kind="partition", params={"shape": "bridge", "order": ["n1", "n2"]})], "enough of them for bridge"),
        ([step(kind="partition", params={"shape": "one", "order": ["n1", "n1"]})], "name each node once"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, steps: list[dict[str, Any]], message: str) -> None:
    """The error names the file and what is wrong in it."""
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"steps": steps}))
    with pytest.raises(UsageError, match=message) as caught:
        load(path, NODES)
    assert str(path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", '{"steps": 3}', '{"stages": []}'])
def test_what_is_no_schedule_is_refused(tmp_path: Path, text: str) -> None:
    """Any other content, or no file at all, is a UsageError that names the file."""
    path = tmp_path / "mine.json"
    with pytest.raises(UsageError, match=r"mine\.json: No such file"):
        load(path, NODES)
    path.write_text(text)
    with pytest.raises(UsageError, match=r"mine\.json: not a schedule"):
        load(path, NODES)


def test_calls_are_in_order_of_time() -> None:
    """Each step is an inject and a heal; where they meet, the heal comes first; file order does not matter."""
    later = step(fault=1, kind="kill", start_s=2, stop_s=3)
    schedule = msgspec.convert({"steps": [STEP, later]}, Schedule)
    found = [(time, call.f, call.key, call.value["kind"]) for time, call in calls(schedule)]
    assert found == [
        (1, "inject", 0, "pause"),
        (2, "heal", 0, "pause"),
        (2, "inject", 1, "kill"),
        (3, "heal", 1, "kill"),
    ]
    assert calls(schedule)[0][1].value == {"kind": "pause", "target": "one", "nodes": ["n2"]}
