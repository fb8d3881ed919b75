"""Which nodes a fault hits: chosen from the seed when it is planned, the leader when it is injected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final, Literal

import msgspec

from harness.protocols import Cluster

Target = Literal["one", "minority", "majority", "all", "leader", "all-but-leader"]

LEADER: Final = "leader"
"""Stands for a node in a schedule: the one that leads when the fault is injected."""

MOMENT: Final = "moment"
"""Stands for a node in an aimed fault of a schedule: the one that the moment was seen on."""


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every family's parameters can do."""

    def named(self) -> set[str]:
        """Return the nodes that the parameters name."""
        return set()


class TargetParams(Params, frozen=True, omit_defaults=True):
    """Parameters of a fault that hits servers.

    Attributes:
        target: how `nodes` were chosen: one; minority, the largest number of nodes that is less than half;
            majority, the smallest that is more than half; all; leader; or all-but-leader.
        nodes: whom it hits; "leader" stands for whoever leads then. Of all-but-leader, those of whom the leader is
            left out.
        otherwise: who is hit, or left out, instead where no leader is known; only needed with these two targets.
    """

    target: Target
    nodes: tuple[str, ...]
    otherwise: str = ""

    def __post_init__(self) -> None:
        check_target(self.target, self.nodes, self.otherwise)

    def named(self) -> set[str]:
        return {*self.nodes, self.otherwise} - {LEADER, ""}


def check_target(target: Target, nodes: Sequence[str], otherwise: str) -> None:
    """Raise ValueError where nobody would be hit, or a leader could not be replaced."""
    if not nodes:
        raise ValueError("nodes is empty: it would hit nobody")
    if (LEADER in nodes or target == "all-but-leader") and not otherwise:
        raise ValueError("it is about the leader, so otherwise must name a node for when there is none")


def sizes(count: int) -> dict[Target, int]:
    """Return how many of `count` nodes each target hits; without those that would hit none."""
    every: dict[Target, int] = {
        "one": 1,
        "minority": (count - 1) // 2,
        "majority": count // 2 + 1,
        "all": count,
        "leader": 1,
        "all-but-leader": count - 1,
    }
    return {target: size for target, size in every.items() if size}


def pick(random: Random, nodes: Sequence[str]) -> tuple[Target, tuple[str, ...], str]:
    """Choose a target, its nodes, and for a leader the node to hit where none is known: the fields of TargetParams."""
    return whom(random, nodes, random.choice(list(sizes(len(nodes)))))


def whom(random: Random, nodes: Sequence[str], target: Target) -> tuple[Target, tuple[str, ...], str]:
    """Choose the nodes of a target that `sizes` has: see pick."""
    chosen = random.sample(list(nodes), sizes(len(nodes))[target])
    if target == LEADER:
        return target, (LEADER,), chosen[0]
    if target == "all-but-leader":
        return target, tuple(nodes), next(node for node in nodes if node not in chosen)
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


def placed(params: Mapping[str, Any], node: str) -> dict[str, Any]:
    """Put the node that a moment was seen on in its place, wherever parameters list nodes; each stays there once."""
    return {
        name: list(dict.fromkeys(node if each == MOMENT else each for each in item))
        if isinstance(item, list | tuple) and MOMENT in item
        else item
        for name, item in params.items()
    }


async def aim(params: Mapping[str, Any], cluster: Cluster) -> dict[str, Any]:
    """Find out whom a fault hits now, where its parameters leave that to the leader.

    Returns:
        The parameters that differ: `nodes` by their names, and `note`, a remark for people.
    """
    nodes, otherwise = params.get("nodes", ()), params.get("otherwise", "")
    if params.get("target") == "all-but-leader":
        leader = await cluster.leader()
        note = {} if leader else {"note": f"leader unknown, left out {otherwise}"}
        return {"nodes": [node for node in nodes if node != (leader or otherwise)]} | note
    if LEADER not in nodes:
        return {}
    hit, text = resolve(nodes, await cluster.leader(), otherwise)
    return {"nodes": list(hit)} | ({"note": text} if text else {})
