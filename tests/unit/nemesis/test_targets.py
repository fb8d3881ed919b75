"""Choosing whom a fault hits."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemesis.targets import LEADER, pick, resolve, sizes

counts = st.integers(1, 12)


@given(counts)
def test_sizes(count: int) -> None:
    """A minority is the most that is less than half, a majority the least that is more, and nobody hits nobody."""
    found = sizes(count)
    assert all(0 < size <= count for size in found.values())
    assert found["majority"] * 2 > count >= (found["majority"] - 1) * 2
    assert "minority" in found if count >= 3 else "minority" not in found
    if "minority" in found:
        assert found["minority"] * 2 < count <= (found["minority"] + 1) * 2


@given(counts, st.integers())
def test_pick_follows_its_target(count: int, seed: int) -> None:
    """The nodes are distinct, in order, and as many as the target says; only a leader has a stand-in."""
    nodes = [f"n{number}" for number in range(count)]
    target, chosen, otherwise = pick(Random(seed), nodes)
    assert len(set(chosen)) == len(chosen) == sizes(count)[target]
    assert (chosen == (LEADER,) and otherwise in nodes) if target == LEADER else otherwise == ""
    assert (target, chosen, otherwise) == pick(Random(seed), nodes)
    if target != LEADER:
        assert list(chosen) == [node for node in nodes if node in chosen]


@pytest.mark.parametrize(
    ("nodes", "leader", "expected"),
    [
        (("n1", "n2"), None, (("n1", "n2"), "")),
        ((LEADER,), "n2", (("n2",), "")),
        ((LEADER, "n2"), "n2", (("n2",), "")),
        ((LEADER,), None, (("n3",), "leader unknown, hit n3")),
    ],
)
def test_resolve(nodes: tuple[str, ...], leader: str | None, expected: tuple[tuple[str, ...], str]) -> None:
    """The leader takes its place, once; where none is known the stand-in does, and it is said."""
    assert resolve(nodes, leader, "n3") == expected
