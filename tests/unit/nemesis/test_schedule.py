"""Schedules as files: what is written loads again, steps can be taken out, and what makes no sense is refused."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config import Schedule, Step, When
from harness.errors import UsageError
from nemesis import FAMILIES
from nemesis.plan import Phase, plan
from nemesis.schedule import dump, load

NODES = ["n1", "n2", "n3", "n4", "n5"]
STEP: dict[str, Any] = {
    "fault": 0, "kind": "pause", "start_s": 1, "stop_s": 2, "params": {"target": "one", "nodes": ["n2"]}
}  # fmt: skip
AIMED: dict[str, Any] = STEP | {
    "stop_s": 9, "params": {"target": "one", "nodes": ["moment"]}, "when": {"moment": "became leader", "lasts_s": 1}
}  # fmt: skip
CUT = {"shape": "one", "order": NODES}


@given(st.lists(st.sampled_from(sorted(FAMILIES)), min_size=1, unique=True), st.integers(1, 9), st.integers())
def test_what_is_written_loads_again(tmp_path_factory: Any, names: list[str], count: int, seed: int) -> None:
    """A plan survives its file, whole and with any of its steps taken out."""
    nodes = [f"n{number}" for number in range(1, count + 1)]
    weights = {name: 1 for name in names if FAMILIES[name].nodes_min <= count}
    when = When(moment="became leader", delay_ms=50, lasts_s=2)
    aimed = Step(fault=0, kind="kill", start_s=0, stop_s=50, params={"target": "one", "nodes": ["moment"]}, when=when)
    first = plan([Phase(0, 60, 6, weights, 2)], [aimed], nodes, Random(seed))
    path = tmp_path_factory.mktemp("schedule") / "schedule.json"
    dump(first, path)
    again = load(path, nodes)
    assert again == first
    assert all(type(step) is type(other) for step, other in zip(first.steps, again.steps, strict=True))
    left = Schedule(tuple(step for step in first.steps if Random(seed + step.fault).random() < 0.5))
    dump(left, path)
    assert load(path, nodes) == left


def step(**changes: Any) -> dict[str, Any]:
    """Return STEP with changes."""
    return STEP | changes


def aimed(**changes: Any) -> dict[str, Any]:
    """Return AIMED with changes of its moment."""
    return AIMED | {"when": AIMED["when"] | changes}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([step(kind="clocks")], "fault 0: there is no nemesis 'clocks'"),
        ([step(start="1")], "unknown field `start`"),
        ([step(stop_s=1)], "fault 0: it lasts from 1 to 1 s"),
        ([step(start_s=-1)], "lasts from -1 to 2 s"),
        ([step(), step(start_s=3, stop_s=4)], "two steps have the same fault number"),
        ([step(params={"target": "one", "nodes": ["n9"]})], "a pause of n9, which the cluster does not have"),
        ([step(params={"target": "some", "nodes": ["n1"]})], "Invalid enum value 'some'"),
        ([step(params={"target": "one", "nodes": ["n1"], "note": ""})], "unknown field `note`"),
        ([step(params={"target": "one", "nodes": []})], "it would hit nobody"),
        ([step(params={"target": "leader", "nodes": ["leader"]})], "otherwise must name a node"),
        ([step(params={"target": "all-but-leader", "nodes": NODES})], "otherwise must name a node"),
        ([step(params={"target": "one", "nodes": ["moment"]})], "no moment is waited for"),
        ([step(kind="partition", params={"shape": "bridge", "order": ["n1", "n2"]})], "enough of them for bridge"),
        ([step(kind="partition", params={"shape": "one", "order": ["n1", "n1"]})], "name each node once"),
        ([aimed(moment="full moon")], "there is no moment 'full moon'"),
        ([aimed(pattern="x")], "'became leader' with the pattern 'x'"),
        ([aimed(moment="log line")], "'log line' with the pattern ''"),
        ([aimed(moment="log line", pattern="(")], "no regular expression"),
        ([aimed(lasts_s=0)], "healed before it is injected"),
        ([aimed(delay_ms=-1)], "healed before it is injected"),
        ([aimed(delay_ms=7000)], "from 1 to 9 s there is no time to wait"),
        ([aimed(within=3)], "unknown field `within`"),
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


@pytest.mark.parametrize(
    ("other", "common"),
    [
        ({"kind": "pause"}, "the servers of n2"),
        ({"kind": "kill", "params": {"target": "minority", "nodes": ["n1", "n2"]}}, "the servers of n2"),
        ({"kind": "membership", "params": {"target": "one", "nodes": ["n4"]}}, "the servers"),
        ({"kind": "kill", "params": {"target": "one", "nodes": ["n3"]}}, ""),
        ({"kind": "kill", "params": {"target": "leader", "nodes": ["leader"], "otherwise": "n2"}}, ""),
        ({"kind": "partition", "params": CUT}, ""),
        (
            {"kind": "clock", "params": {"target": "one", "nodes": ["n2"], "shape": "drift", "rate": 0.1}},
            "",
        ),
        ({"kind": "pause", "start_s": 2}, ""),
        (AIMED, ""),
    ],
)
def test_what_meets_is_refused(tmp_path: Path, other: dict[str, Any], common: str) -> None:
    """Two faults of one kind on one node at once are refused, and so is whatever takes hold of the same; else not."""
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"steps": [step(), step(start_s=1.5, stop_s=3) | other | {"fault": 1}]}))
    if not common:
        assert len(load(path, NODES).steps) == 2
        return
    with pytest.raises(UsageError, match=r"fault 1 \(\w+\) starts before fault 0 \(pause\) is healed") as caught:
        load(path, NODES)
    assert caught.value.hint.startswith(f"both take hold of {common},")


def test_links_are_held_as_a_whole(tmp_path: Path) -> None:
    """Partitions and packets are never on at once, whichever links they hit."""
    path = tmp_path / "mine.json"
    slow = {"shape": "one", "order": NODES[::-1], "delay_ms": 20}
    steps = [step(kind="partition", params=CUT), step(kind="packets", params=slow, fault=1)]
    path.write_text(json.dumps({"steps": steps}))
    with pytest.raises(UsageError, match="starts before fault 0") as caught:
        load(path, NODES)
    assert "the links" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", '{"steps": 3}', '{"stages": []}'])
def test_what_is_no_schedule_is_refused(tmp_path: Path, text: str) -> None:
    """Any other content, or no file at all, is a UsageError that names the file."""
    path = tmp_path / "mine.json"
    with pytest.raises(UsageError, match=r"mine\.json: No such file"):
        load(path, NODES)
    path.write_text(text)
    with pytest.raises(UsageError, match=r"mine\.json: not a schedule"):
        load(path, NODES)
