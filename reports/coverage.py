"""Coverage: which kind of fault really met which state of the cluster, by the nodes' own words. Pure.

A fault meets the state that the nodes' last answers before its injection tell, no older than FRESH_NS:

- *leader*, *follower*: a node that it hit said so of itself; a leader only in the newest term that any node told.
- *electing*: no node said that it leads in the newest term.
- *recovering*: the heal of an earlier fault had begun, and since its end not all nodes had answered and named one and
  the same leader of one term.
- *beside others*: another fault was on.

*Elections* counts the faults while which, once they were on, nobody led at some time. Only verified faults count. A
system whose nodes tell no status has no coverage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from harness.errors import HistoryError
from harness.history import FaultWindow, History
from harness.leaders import Status, statuses
from harness.verdict import Coverage
from reports.faults import nodes_hit

FRESH_NS: Final = 1_000_000_000
NEVER_NS: Final = 1 << 62

View = dict[str, Status]
"""Each node's last answer."""


def coverage(history: History) -> tuple[Coverage, ...]:
    """Return a row for each kind of fault that was injected, in that order; none without statuses."""
    try:
        told = statuses(history)
    except HistoryError:  # whoever checks the history is told; a report shows what there is
        return ()
    if not told:
        return ()
    faults = history.faults
    nodes = dict.fromkeys(status.node for status in told)
    healing = [(fault.heal_ns, _recovered_ns(fault, told, len(nodes))) for fault in faults if fault.heal_ns]
    leaderless = _leaderless(told)
    rows: dict[str, Coverage] = {}
    for fault in faults:
        row = rows.setdefault(fault.kind, Coverage(kind=fault.kind))
        if fault.verified:
            rows[fault.kind] = _plus(row, _met(fault, told, nodes, faults, healing, leaderless))
    return tuple(rows.values())


def _met(
    fault: FaultWindow,
    told: Sequence[Status],
    nodes: Iterable[str],
    faults: Iterable[FaultWindow],
    healing: Iterable[tuple[int, int]],
    leaderless: Iterable[int],
) -> Coverage:
    """Return what one fault met, as counts of 0 and 1."""
    at_ns = fault.inject_ns
    view = _fresh({status.node: status for status in told if status.end_ns <= at_ns}, at_ns)
    leads = _leaders(view)
    hit = [node for node in nodes_hit(fault, nodes) if node in view]
    on_ns, off_ns = fault.active_ns or at_ns, fault.heal_ns or at_ns
    return Coverage(
        kind=fault.kind,
        verified=1,
        leader=int(any(node in leads for node in hit)),
        follower=int(any(view[node].role == "follower" for node in hit)),
        electing=int(bool(view) and not leads),
        recovering=int(any(start <= at_ns < end for start, end in healing)),
        beside=int(
            any(
                other is not fault
                and other.active_ns is not None
                and other.active_ns <= at_ns
                and (other.heal_ns is None or at_ns < other.heal_ns)
                for other in faults
            )
        ),
        elections=int(any(on_ns <= time_ns < off_ns for time_ns in leaderless)),
    )


def _plus(one: Coverage, other: Coverage) -> Coverage:
    counts = {name: getattr(one, name) + getattr(other, name) for name in Coverage.__struct_fields__ if name != "kind"}
    return Coverage(kind=one.kind, **counts)


def _fresh(view: View, at_ns: int) -> View:
    return {node: status for node, status in view.items() if at_ns - status.end_ns <= FRESH_NS}


def _leaders(view: View) -> set[str]:
    """Return the nodes that say that they lead, in the newest term of all."""
    newest = max((status.term or 0 for status in view.values()), default=0)
    return {node for node, status in view.items() if status.role == "leader" and (status.term or 0) == newest}


def _leaderless(told: Iterable[Status]) -> list[int]:
    """Return the times of the answers at which nobody led."""
    view: View = {}
    times = []
    for status in told:
        view[status.node] = status
        if not _leaders(_fresh(view, status.end_ns)):
            times.append(status.end_ns)
    return times


def _recovered_ns(fault: FaultWindow, told: Iterable[Status], count: int) -> int:
    """Return when all nodes have answered since a fault's end and agree on their leader; NEVER_NS if they did not."""
    if fault.end_ns is None:
        return NEVER_NS
    view: View = {}
    for status in told:
        if status.begin_ns < fault.end_ns:
            continue
        view[status.node] = status
        agreed = {(each.term, each.leader) for each in view.values()}
        if len(view) == count and len(agreed) == 1 and len(_leaders(view)) == 1:
            return status.end_ns
    return NEVER_NS
