"""Which fault met which state of the cluster, from hand-made histories."""

from __future__ import annotations

from itertools import chain
from typing import Any

import msgspec
import pytest

from harness.history import History
from harness.op import Op
from harness.verdict import Coverage, Summary
from reports.coverage import coverage
from reports.text import coverage_table

NODES = ("n1", "n2", "n3")
Event = tuple[float, str, str, str, Any, Any]


def says(time_s: float, **roles: tuple[str, int, str | None]) -> list[Event]:
    """Let nodes say their role, term and leader at a time, asked 10 ms before."""
    events: list[Event] = []
    for node, (role, term, leader) in roles.items():
        process = f"status:{node}"
        events.append((time_s - 0.01, process, "invoke", "status", node, None))
        events.append((time_s, process, "ok", "status", node, {"role": role, "term": term, "leader": leader}))
    return events


def settled(start_s: float, stop_s: float, leader: str = "n1", term: int = 2) -> list[Event]:
    """Let all nodes agree on a leader, four times a second."""
    roles = {node: ("leader" if node == leader else "follower", term, leader) for node in NODES}
    count = round((stop_s - start_s) * 4)
    return [event for turn in range(count) for event in says(start_s + turn / 4, **roles)]


def fault(
    number: int, start_s: float, stop_s: float, kind: str = "pause", *, verified: bool = True, **params: Any
) -> list[Event]:
    """Inject and heal a fault, each in 0.1 s."""
    value = {"kind": kind} | params
    return [
        (start_s, "nemesis", "invoke", "inject", number, value),
        (start_s + 0.1, "nemesis", "ok" if verified else "info", "inject", number, value),
        (stop_s, "nemesis", "invoke", "heal", number, {"kind": kind}),
        (stop_s + 0.1, "nemesis", "ok", "heal", number, {"kind": kind}),
    ]


def met(*parts: list[Event]) -> tuple[Coverage, ...]:
    """Return the coverage of a history of these events."""
    ops = []
    for index, (time_s, process, kind, f, who, value) in enumerate(sorted(chain(*parts), key=lambda event: event[0])):
        place = {"key": who} if process == "nemesis" else {"node": who}
        raw = {"index": index, "time": round(time_s * 1e9), "process": process, "type": kind, "f": f, "value": value}
        ops.append(msgspec.convert(raw | place, Op))
    return coverage(History(ops))


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        (["n1"], {"leader": 1}),
        (["n2", "n3"], {"follower": 1}),
        (["n1", "n2"], {"leader": 1, "follower": 1}),
        (["n9"], {}),
    ],
)
def test_whom_a_fault_hit(nodes: list[str], expected: dict[str, int]) -> None:
    """A fault counts for the leader and for a follower by what the nodes that it hit said last."""
    assert met(settled(0, 4), fault(0, 2, 3, nodes=nodes)) == (Coverage(kind="pause", verified=1, **expected),)


def test_a_leader_of_an_old_term_does_not_lead() -> None:
    """Where another node tells a newer term, whoever leads in the older one is no leader, and nobody leads."""
    old = says(1.9, n1=("leader", 2, "n1"), n2=("candidate", 3, None), n3=("follower", 3, None))
    (row,) = met(old, fault(0, 2, 3, nodes=["n1"]))
    assert (row.leader, row.electing) == (0, 1)


def test_what_was_said_long_ago_is_no_state() -> None:
    """A second after a node's last answer nothing is known of it: neither that it leads, nor that nobody does."""
    (row,) = met(says(1.0, n1=("leader", 2, "n1")), fault(0, 2.5, 3, nodes=["n1"]))
    assert row == Coverage(kind="pause", verified=1)


def test_an_election_under_a_fault() -> None:
    """Nobody leading while a fault is on counts as an election with it; before and after it does not."""
    lost = says(2.5, n1=("follower", 2, None), n2=("candidate", 3, None), n3=("follower", 2, None))
    parts = [settled(0, 2.4), lost, settled(2.6, 9, "n2", 3)]
    during, before, after = fault(0, 2, 3, nodes=["n1"]), fault(0, 1, 2.3, nodes=["n1"]), fault(0, 3, 4, nodes=["n1"])
    assert [met(*parts, each)[0].elections for each in (during, before, after)] == [1, 0, 0]


def test_recovering_lasts_until_all_agree_again() -> None:
    """From the heal's begin until every node answered after its end, and all name one leader of one term."""
    first = fault(0, 1, 2, "kill", nodes=["n3"])
    apart = says(2.5, n1=("leader", 2, "n1"), n2=("follower", 2, "n1"), n3=("follower", 1, None))
    parts = [settled(0, 2), first, apart, settled(3, 6)]
    early, late = fault(1, 2.6, 2.8, nodes=["n2"]), fault(1, 4, 5, nodes=["n2"])
    assert met(*parts, early)[1] == Coverage(kind="pause", verified=1, follower=1, recovering=1)
    assert met(*parts, late)[1] == Coverage(kind="pause", verified=1, follower=1)


def test_faults_beside_one_another() -> None:
    """The later of two overlapping faults came beside another one; one that ended before does not count."""
    clock = fault(0, 1, 4, "clock", nodes=["n2"])
    rows = met(settled(0, 6), clock, fault(1, 2, 3, nodes=["n1"]), fault(2, 4.5, 5, nodes=["n1"]))
    assert [(row.kind, row.verified, row.beside) for row in rows] == [("clock", 1, 0), ("pause", 2, 1)]


def test_only_what_was_verified_counts() -> None:
    """A kind whose faults did not take effect has a row of nothing."""
    assert met(settled(0, 4), fault(0, 2, 3, verified=False, nodes=["n1"])) == (Coverage(kind="pause"),)


def test_shaped_links_hit_whom_they_cut_off() -> None:
    """Packets hit the node most of whose links they shape, as a partition does."""
    links = {"n1": ["n2", "n3"], "n2": ["n1"], "n3": ["n1"]}
    (row,) = met(settled(0, 4), fault(0, 2, 3, "packets", links=links))
    assert (row.leader, row.follower) == (1, 0)


def test_without_statuses_there_is_no_coverage() -> None:
    """Where no node told anything nothing is claimed."""
    assert met(fault(0, 2, 3, nodes=["n1"])) == ()


def test_the_table_for_a_terminal() -> None:
    """A line for each kind, its numbers below their titles; nothing where nothing is known."""
    assert coverage_table(Summary(verdict="valid")) == []
    rows = (Coverage(kind="pause", verified=12, leader=3), Coverage(kind="membership", verified=1, elections=1))
    _, head, pause, membership = coverage_table(Summary(verdict="valid", coverage=rows))
    assert head.split()[:2] == ["faults", "verified"]
    at = head.index("on leader") + len("on leader")
    assert pause[:at].endswith(" 3")
    assert membership[:at].endswith(" -")
    assert membership.endswith(" 1")
    assert len({len(line) for line in (head, pause, membership)}) == 1
    assert len(head) <= 100
