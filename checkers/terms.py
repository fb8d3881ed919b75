"""What the checkers of leaders share: a term with two leaders, and sentences about who saw whom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from checkers.words import seconds
from harness.leaders import CAMPAIGN, LEADER, WATCH, Sighting
from harness.op import STATUS
from harness.verdict import Anomaly

MAX_REPORTED: Final = 10
"""Anomalies of one kind; more would tell a reader nothing new."""


def two_in_one_term(checker: str, sightings: Iterable[Sighting]) -> list[Anomaly]:
    """Return an anomaly for each term with more than one leader.

    Args:
        checker: who asks.
        sightings: of one election, whose observers saw term and leader at one moment.
    """
    first: dict[int, dict[str, Sighting]] = {}
    for sighting in sorted(sightings, key=lambda each: each.end_ns):
        known = first.setdefault(sighting.term, {})
        before = known.get(sighting.leader)
        if before is None or (sighting.itself and not before.itself):  # what leaders say of themselves says most
            known[sighting.leader] = sighting
    found = []
    for term, leaders in sorted(first.items()):
        if len(leaders) < 2:
            continue
        one, other = sorted(leaders.values(), key=lambda each: (not each.itself, each.end_ns))[:2]
        times = seconds(one.end_ns, other.end_ns)
        summary = (
            f"{saw(one)} in term {term} at {times[0]}, and {saw(other)} in the same term at {times[1]}: a term has one "
            "leader"
        )
        found.append(anomaly(checker, "two leaders in one term", summary, (one, other), one.election))
    return found[:MAX_REPORTED]


def saw(sighting: Sighting) -> str:
    """Return "n1 said that it leads", "n2 took n1 for the leader", "process 3 was told that c7 leads", …"""
    who, leader = sighting.observer, sighting.leader
    if sighting.how == STATUS:
        return f"{who} said that it leads" if sighting.itself else f"{who} took {leader} for the leader"
    if sighting.how == CAMPAIGN:
        return f"{leader} of {who} was elected"
    return f"{who} {_TOLD[sighting.how]} that {leader} leads"


_TOLD: Final = {LEADER: "was told", WATCH: "saw in its watch"}


def anomaly(checker: str, kind: str, summary: str, proof: Iterable[Sighting], key: Any, *more: int) -> Anomaly:
    """Return an anomaly whose witness is the events of these sightings, and these other events."""
    events = {index for sighting in proof for index in sighting.events} | set(more)
    return Anomaly(checker=checker, kind=kind, summary=summary, witness=tuple(sorted(events)), key=key)
