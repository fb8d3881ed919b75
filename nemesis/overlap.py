"""Which faults may be on at the same time: those that do not take hold of the same thing. Pure.

A family says what it takes hold of (`Family.holds`): links, servers, clocks or clients. Two faults with a hold in
common would undo each other: a server that is killed while it is paused is not paused any more, and the heal of one
partition opens the links that the other one cut. On different nodes they may be on at once, unless one of them takes
hold of all nodes (`Family.whole`). What does not meet may overlap freely, two faults of one family too.

Where a schedule itself shows that two faults meet, it is refused. Whom the leader or a moment decides on is known when
it happens: the later of two faults that meet then does not come, and the run says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.config import Step
from nemesis.family import Family, family
from nemesis.targets import LEADER, MOMENT


def share(one: Family, other: Family) -> bool:
    """Say whether faults of two families ever take hold of the same."""
    return not set(one.holds).isdisjoint(other.holds)


def meet(one: Family, its: Iterable[str], other: Family, others: Iterable[str]) -> str:
    """Return what faults of two families on these nodes both take hold of, for people; "" where they do not meet."""
    common = [hold for hold in one.holds if hold in other.holds]
    if not common:
        return ""
    if one.whole or other.whole:
        return f"the {' and the '.join(common)}"
    nodes = [node for node in its if node in set(others)]
    return f"the {' and the '.join(common)} of {', '.join(nodes)}" if nodes else ""


def nodes_of(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the nodes that a fault certainly hits; those that a leader or a moment decides on are left out."""
    if params.get("target") == "all-but-leader":
        return ()
    return tuple(node for node in params.get("nodes", ()) if node not in (LEADER, MOMENT))


def clash(one: Step, other: Step) -> str:
    """Return what two steps both take hold of at one time, as far as the schedule tells; "" where they do not meet."""
    if one.when or other.when or one.stop_s <= other.start_s or other.stop_s <= one.start_s:
        return ""
    return meet(family(one.kind), nodes_of(one.params), family(other.kind), nodes_of(other.params))
