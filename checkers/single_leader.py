"""The checker of the nodes' own words: one leader a term, and terms that never go back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from checkers.terms import MAX_REPORTED, two_in_one_term
from checkers.words import seconds
from harness.history import FaultWindow, History
from harness.leaders import Status, of_nodes, statuses
from harness.verdict import Anomaly, Verdict

SERVERS_LIVE_ON: Final = frozenset({"partition", "pause"})
"""Faults through which a server's memory lives; after any other one a node may have started anew."""


class SingleLeader:
    """At most one node leads in a term, and no node's term goes back, by what the nodes say of themselves.

    Detects: two nodes that say that they lead in one term, or nodes that name different leaders of one term ("two
    leaders in one term"); a node that tells a lower term than before ("term went back").

    Cannot detect: what lies between two questions, four a second; anything of a system whose statuses are not atomic (a
    reason says so); a term that was lost in a restart, since a node may tell a term that is not on its disk yet, and
    then nobody else has heard of it.

    Cost: O(n log n) in the statuses; a history without any costs nothing.

    Why it is sound: role, term and leader of an atomic status were true together at some moment between question and
    answer, and a term has its leader for ever, so moments need not be compared. For a term that went back the two
    questions must not overlap, and no fault that may restart the server may lie between them.
    """

    name = "single leader"

    def check(self, history: History) -> Verdict:
        """Hold all statuses against each other.

        Raises:
            HistoryError: an event is not a status.
        """
        told = statuses(history)
        evidence = [status for status in told if status.atomic and status.term is not None]
        anomalies = two_in_one_term(self.name, of_nodes(evidence))
        anomalies += _went_back(self.name, evidence, history.faults)
        unused = not evidence and any(status.term is not None for status in told)
        reason = "the nodes' terms were not compared: the system does not say that its statuses are atomic"
        return Verdict(
            status="invalid" if anomalies else "valid",
            anomalies=tuple(anomalies),
            reasons=(reason,) if unused else (),
        )


def _went_back(checker: str, told: Sequence[Status], faults: Sequence[FaultWindow]) -> list[Anomaly]:
    """Return an anomaly for each node whose term went back: its first time."""
    by_node: dict[str, list[Status]] = defaultdict(list)
    for status in told:
        by_node[status.node].append(status)
    found = []
    for node, statuses_of_it in by_node.items():
        restarts = [fault for fault in faults if fault.kind not in SERVERS_LIVE_ON and may_hit(fault, node)]
        highest: Status | None = None
        for status in statuses_of_it:
            if highest is None or _any_between(restarts, highest, status) or _term(status) >= _term(highest):
                highest = status
            elif status.begin_ns > highest.end_ns:
                times = seconds(highest.end_ns, status.end_ns)
                summary = (
                    f"{node} told term {highest.term} at {times[0]} and term {status.term} at {times[1]}, and it had "
                    "not been started anew between: a term never goes back"
                )
                witness = (*highest.events, *status.events)
                found.append(Anomaly(checker=checker, kind="term went back", summary=summary, witness=witness))
                break
    return found[:MAX_REPORTED]


def _term(status: Status) -> int:
    return -1 if status.term is None else status.term


def may_hit(fault: FaultWindow, node: str) -> bool:
    """Say whether a fault may have hit a node: one that was not measured to be on may have hit any."""
    nodes = fault.params.get("nodes")
    return fault.active_ns is None or not isinstance(nodes, list) or node in nodes


def _any_between(restarts: Sequence[FaultWindow], one: Status, other: Status) -> bool:
    return any(
        fault.inject_ns <= other.end_ns and (fault.end_ns is None or fault.end_ns >= one.begin_ns) for fault in restarts
    )
