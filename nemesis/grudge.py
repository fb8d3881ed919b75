"""Shapes of partitions: who does not hear whom. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, get_args

Shape = Literal["halves", "one", "majority", "majorities-ring", "bridge", "isolate-leader", "one-way"]
SHAPES: tuple[Shape, ...] = get_args(Shape)

NODES_MIN: Mapping[Shape, int] = {"majority": 3, "bridge": 3, "majorities-ring": 4}
"""Smallest cluster for a shape; 2 for those that are not here."""

Grudge = dict[str, frozenset[str]]
"""To each node the nodes that it does not hear. Where it is mutual, the link is cut in both directions."""


def possible(count: int) -> list[Shape]:
    """Return the shapes that cut something in a cluster of `count` nodes, in the order of SHAPES."""
    return [shape for shape in SHAPES if count >= NODES_MIN.get(shape, 2)]


def grudge(shape: Shape, order: Sequence[str], leader: str | None = None) -> Grudge:
    """Return who does not hear whom.

    - halves: the first n // 2 nodes and the rest are cut from each other; where n is odd, the rest is a majority.
    - one: the first node is cut from all others.
    - majority: the first n // 2 + 1 nodes stay together; every other node is alone.
    - majorities-ring: the nodes stand in a ring, and each keeps its links to the nearest on both sides, as many as make
      a majority with itself. No two nodes see the same majority.
    - bridge: the first node sees all; the others are two halves, cut from each other.
    - isolate-leader: the leader is cut from all others; where it is unknown, the first node of the order.
    - one-way: the first n // 2 nodes do not hear the rest, while the rest hears everybody.

    Args:
        shape: one of SHAPES.
        order: the nodes in the order that the seed gave them; at least as many as the shape needs.
        leader: the leader now, if known.
    """
    nodes = list(order)
    return _SHAPES[shape](nodes, leader if leader in nodes else None)


def _sides(*sides: Iterable[str]) -> Grudge:
    """Cut every side from all others, in both directions."""
    groups = [frozenset(side) for side in sides]
    everyone = frozenset().union(*groups)
    return {node: everyone - side for side in groups for node in side}


def _halves(nodes: list[str], leader: str | None) -> Grudge:
    middle = len(nodes) // 2
    return _sides(nodes[:middle], nodes[middle:])


def _one(nodes: list[str], leader: str | None) -> Grudge:
    return _sides(nodes[:1], nodes[1:])


def _majority(nodes: list[str], leader: str | None) -> Grudge:
    size = len(nodes) // 2 + 1
    return _sides(nodes[:size], *([node] for node in nodes[size:]))


def _majorities_ring(nodes: list[str], leader: str | None) -> Grudge:
    count = len(nodes)
    reach = (count // 2 + 1) // 2  # on each side; with the node itself at least count // 2 + 1
    return {
        node: frozenset(nodes) - {nodes[(at + step) % count] for step in range(-reach, reach + 1)}
        for at, node in enumerate(nodes)
    }


def _bridge(nodes: list[str], leader: str | None) -> Grudge:
    bridge, *others = nodes
    return _halves(others, leader) | {bridge: frozenset()}


def _isolate_leader(nodes: list[str], leader: str | None) -> Grudge:
    alone = leader or nodes[0]
    return _sides([alone], [node for node in nodes if node != alone])


def _one_way(nodes: list[str], leader: str | None) -> Grudge:
    middle = len(nodes) // 2
    deaf, heard = nodes[:middle], nodes[middle:]
    return dict.fromkeys(deaf, frozenset(heard)) | dict.fromkeys(heard, frozenset())


_SHAPES: Mapping[Shape, Callable[[list[str], str | None], Grudge]] = {
    "halves": _halves,
    "one": _one,
    "majority": _majority,
    "majorities-ring": _majorities_ring,
    "bridge": _bridge,
    "isolate-leader": _isolate_leader,
    "one-way": _one_way,
}
