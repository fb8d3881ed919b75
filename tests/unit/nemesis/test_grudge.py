"""Shapes of partitions, for every size of cluster and every order."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nemesis.grudge import SHAPES, Grudge, Shape, grudge, possible

orders = st.integers(2, 11).flatmap(lambda count: st.permutations([f"n{number}" for number in range(1, count + 1)]))
shapes = st.sampled_from(SHAPES)


def hears(cut: Grudge, node: str) -> frozenset[str]:
    """Return whom a node hears, with itself."""
    return frozenset(cut) - cut[node]


def mutual(cut: Grudge) -> bool:
    """Say whether every link is cut in both directions or in none."""
    return all(node in cut[source] for node, sources in cut.items() for source in sources)


@given(shapes, orders, st.booleans())
def test_every_shape_cuts_something_and_names_every_node(shape: Shape, order: list[str], known: bool) -> None:
    """A possible shape has a rule set for each node, never cuts a node from itself, and cuts at least one link."""
    assume(shape in possible(len(order)))
    cut = grudge(shape, order, order[-1] if known else None)
    assert set(cut) == set(order)
    assert any(cut.values())
    assert all(node not in sources and sources <= set(order) for node, sources in cut.items())
    assert mutual(cut) == (shape != "one-way")


@given(orders)
def test_halves(order: list[str]) -> None:
    """Two sides whose sizes differ by one at most, each whole, cut from each other."""
    cut = grudge("halves", order)
    sides = {hears(cut, node) for node in order}
    assert sorted(map(len, sides)) == [len(order) // 2, len(order) - len(order) // 2]
    assert all(hears(cut, node) == side for side in sides for node in side)


@given(orders)
def test_one(order: list[str]) -> None:
    """One node is alone, and all others are together."""
    cut = grudge("one", order)
    assert {hears(cut, node) for node in order} == {frozenset(order[:1]), frozenset(order[1:])}


@given(orders)
def test_majority(order: list[str]) -> None:
    """The smallest majority is together, and every other node alone."""
    assume("majority" in possible(len(order)))
    cut = grudge("majority", order)
    alone = [node for node in order if hears(cut, node) == {node}]
    together = frozenset(order) - set(alone)
    assert len(together) == len(order) // 2 + 1
    assert all(hears(cut, node) == together for node in together)


@given(orders)
def test_majorities_ring(order: list[str]) -> None:
    """Every node hears a majority, and no two hear the same."""
    assume("majorities-ring" in possible(len(order)))
    cut = grudge("majorities-ring", order)
    seen = [hears(cut, node) for node in order]
    assert all(len(each) > len(order) / 2 for each in seen)
    assert len(set(seen)) == len(order)


@given(orders)
def test_bridge(order: list[str]) -> None:
    """One node hears all, and without it two halves are cut from each other."""
    assume("bridge" in possible(len(order)))
    cut = grudge("bridge", order)
    bridge, *others = order
    assert hears(cut, bridge) == set(order)
    sides = {hears(cut, node) - {bridge} for node in others}
    assert len(sides) == 2
    assert frozenset().union(*sides) == set(others)
    assert abs(len(min(sides, key=len)) - len(max(sides, key=len))) <= 1


@given(orders, st.integers(0, 10))
def test_isolate_leader(order: list[str], at: int) -> None:
    """The leader is alone; an unknown leader, or one that is no node of it, is the order's first."""
    leader = order[at % len(order)]
    assert hears(grudge("isolate-leader", order, leader), leader) == {leader}
    for unknown in (None, "n99"):
        assert hears(grudge("isolate-leader", order, unknown), order[0]) == {order[0]}


@given(orders)
def test_one_way(order: list[str]) -> None:
    """Some nodes do not hear the rest, and the rest hears everybody."""
    cut = grudge("one-way", order)
    deaf = {node for node in order if cut[node]}
    assert 0 < len(deaf) <= len(order) / 2
    assert all(cut[node] == set(order) - deaf for node in deaf)


@pytest.mark.parametrize(
    ("count", "missing"), [(2, {"majority", "bridge", "majorities-ring"}), (3, {"majorities-ring"})]
)
def test_small_clusters_have_fewer_shapes(count: int, missing: set[str]) -> None:
    """A shape that could cut nothing, or would be another one, is not offered."""
    assert set(SHAPES) - set(possible(count)) == missing
    assert possible(4) == list(SHAPES)
