"""Choosing whom a fault hits."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemesis.targets import LEADER, aim, pick, placed, resolve, sizes

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
    assert (target, chosen, otherwise) == pick(Random(seed), nodes)
    if target == "all-but-leader":
        assert (list(chosen), otherwise in nodes) == (nodes, True)
        return
    assert len(set(chosen)) == len(chosen) == sizes(count)[target]
    assert (chosen == (LEADER,) and otherwise in nodes) if target == LEADER else otherwise == ""
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


class Led:
    """A cluster of which only the leader is known, or nobody."""

    def __init__(self, leader: str | None) -> None:
        self._leader = leader

    async def leader(self) -> str | None:
        return self._leader


@pytest.mark.parametrize(
    ("params", "leader", "expected"),
    [
        ({"target": "one", "nodes": ["n1"]}, "n2", {}),
        ({"shape": "one", "order": ["n1", "n2"]}, "n2", {}),
        ({"target": "leader", "nodes": ["leader"], "otherwise": "n3"}, "n2", {"nodes": ["n2"]}),
        (
            {"target": "leader", "nodes": ["leader"], "otherwise": "n3"},
            None,
            {"nodes": ["n3"], "note": "leader unknown, hit n3"},
        ),
        ({"target": "all-but-leader", "nodes": ["n1", "n2", "n3"], "otherwise": "n3"}, "n2", {"nodes": ["n1", "n3"]}),
        (
            {"target": "all-but-leader", "nodes": ["n1", "n2", "n3"], "otherwise": "n3"},
            None,
            {"nodes": ["n1", "n2"], "note": "leader unknown, left out n3"},
        ),
    ],
)
def test_aim(params: dict[str, Any], leader: str | None, expected: dict[str, Any]) -> None:
    """What is about the leader hits, or spares, whoever leads at that time; anything else stays as it is."""
    assert asyncio.run(aim(params, Led(leader))) == expected  # type: ignore[arg-type]


def test_a_moments_node_takes_its_place() -> None:
    """Wherever nodes are listed, the moment's node stands in its place, and once."""
    assert placed({"target": "one", "nodes": ["moment"]}, "n2") == {"target": "one", "nodes": ["n2"]}
    order = {"shape": "one", "order": ["moment", "n1", "n2", "n3"], "loss": 0.5}
    assert placed(order, "n2") == {"shape": "one", "order": ["n2", "n1", "n3"], "loss": 0.5}
