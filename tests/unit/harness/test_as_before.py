"""Whether a node is as before: what counts as a difference, and what a run makes of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import memory_runs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.memory.node import MemoryBackend, MemoryNode
from harness import conditions
from harness.conditions import SHOWN_MAX, differences
from reports.text import explain

LINES = st.lists(st.sampled_from("abcde"), max_size=6)


@given(LINES, LINES)
def test_what_came_and_what_went_is_told_as_often_as_it_did(before: list[str], after: list[str]) -> None:
    """Two lists differ by what one has more often than the other, whatever the order; equal ones do not."""
    had, has = Counter(before), Counter(after)
    told = differences({"rules": before}, {"rules": after})
    expected = sorted(
        [f"rules: has {line}" for line in (has - had).elements()]
        + [f"rules: no longer has {line}" for line in (had - has).elements()]
    )
    assert told[:SHOWN_MAX] == expected[:SHOWN_MAX]
    assert told[SHOWN_MAX:] == ([f"and {len(expected) - SHOWN_MAX} more"] if len(expected) > SHOWN_MAX else [])


def test_a_part_that_was_told_only_once_says_nothing() -> None:
    """A server that is dead has no limits, and that is no difference."""
    assert differences({"limits": ["a"], "rules": []}, {"rules": []}) == []


def test_a_run_says_that_every_node_is_as_before(tmp_path: Path) -> None:
    """After the last heal each node is asked, and the report says so; a run without faults asks nobody."""
    result = memory_runs.run_one(memory_runs.config(nemesis=("pause",)), tmp_path)
    told = [op.node for op in result.history.strangers if op.f == "condition" and op.type == "ok"]
    assert sorted(filter(None, told)) == ["n1", "n2", "n3", "n4", "n5"]
    assert "After the last heal every node was as before." in " ".join(explain(result.summary, result.history))
    calm = memory_runs.run_one(memory_runs.config(), tmp_path)
    assert not [op for op in calm.history.strangers if op.f == "condition"]


def test_what_a_fault_left_makes_the_run_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that was not there before the faults is named with its node, in the verdict and in its text."""
    asked: Counter[str] = Counter()

    async def condition(self: MemoryNode) -> Mapping[str, Sequence[str]]:
        asked[self.name] += 1
        return {"rules": ["-j DROP"] if self.name == "n2" and asked["n2"] > 1 else []}

    monkeypatch.setattr(MemoryNode, "condition", condition)
    monkeypatch.setattr(conditions, "PROVE_S", 0.1)
    result = memory_runs.run_one(memory_runs.config(nemesis=("pause",)), tmp_path, backend=MemoryBackend("0"))
    assert result.summary.verdict == "error"
    assert result.summary.error == "n2 is not as it was before the faults: rules: has -j DROP"
    assert "n2 is not as it was before" in " ".join(explain(result.summary, result.history))
