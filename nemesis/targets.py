"""Which nodes a fault hits: chosen from the seed when it is planned, the leader when it is injected."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

import msgspec

Target = Literal["one", "minority", "majority", "all", "leader"]

LEADER = "leader"
"""Stands for a node in a schedule: the one that leads when the fault is injected."""


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every family's parameters can do."""

    def named(self) -> set[str]:
        """Return the nodes that the parameters name."""
        return set()


class TargetParams(Params, frozen=True, omit_defaults=True):
    """Parameters of a fault that hits servers.

    Attributes:
        target: how `nodes` were chosen: one; minority, the largest number of nodes that is less than half;
            majority, the smallest that is more than half; all; or leader.
        nodes: whom it hits; "leader" stands for whoever leads then.
        otherwise: whom it hits instead where no leader is known; only needed where "leader" is one of `nodes`.
    """

    target: Target
    nodes: tuple[str, ...]
    otherwise: str = ""

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ValueError("nodes is empty: it would hit nobody")
        if LEADER in self.nodes and not self.otherwise:
            raise ValueError("nodes has the leader, so otherwise must name a node for when there is none")

    def named(self) -> set[str]:
        return {*self.nodes, self.otherwise} - {LEADER, ""}


def sizes(count: int) -> dict[Target, int]:
    """Return how many of `count` nodes each target hits; without those that would hit none."""
    every: dict[Target, int] = {
        "one": 1,
        "minority": (count - 1) // 2,
        "majority": count // 2 + 1,
        "all": count,
        "leader": 1,
    }
    return {target: size for target, size in every.items() if size}


def pick(random: Random, nodes: Sequence[str]) -> tuple[Target, tuple[str, ...], str]:
    """Choose a target, its nodes, and for a leader the node to hit where none is known: the fields of TargetParams."""
    size = sizes(len(nodes))
    target = random.choice(list(size))
    chosen = random.sample(list(nodes), size[target])
    if target == LEADER:
        return target, (LEADER,), chosen[0]
    return target, tuple(sorted(chosen, key=nodes.index)), ""


def resolve(nodes: Sequence[str], leader: str | None, otherwise: str) -> tuple[tuple[str, ...], str]:
    """Put the leader in its place.

    Args:
        nodes: as planned.
        leader: the leader now, None where it is unknown.
        otherwise: stands in for an unknown leader.

    Returns:
        The nodes to hit, each once, and a remark for people ("" where there is nothing to say).
    """
    if LEADER not in nodes:
        return tuple(nodes), ""
    found = dict.fromkeys((leader or otherwise) if node == LEADER else node for node in nodes)
    return tuple(found), "" if leader else f"leader unknown, hit {otherwise}"
