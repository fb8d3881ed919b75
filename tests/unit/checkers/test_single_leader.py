"""What nodes say of themselves: each anomaly beside its nearest valid twin."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from checkers import SingleLeader
from harness.errors import HistoryError
from harness.history import History
from harness.leaders import reigns
from harness.op import Op
from harness.verdict import Verdict

MS = 1_000_000


def said(node: str, begin_ms: int, end_ms: int, role: str, term: int | None, leader: str | None = None) -> list[Any]:
    """A question to a node and its answer."""
    asked = {"time": begin_ms * MS, "process": f"status:{node}", "type": "invoke", "f": "status", "node": node}
    value = {"role": role, "term": term, "leader": leader, "atomic": True}
    return [asked, asked | {"time": end_ms * MS, "type": "ok", "value": value}]


def fault(kind: str, begin_ms: int, end_ms: int, nodes: list[str] | None = None, done: str = "ok") -> list[Any]:
    """A fault from its inject to its heal."""
    value = {"kind": kind} | ({"nodes": nodes} if nodes else {})
    event = {"process": "nemesis", "key": 0, "value": value}
    return [
        event | {"time": begin_ms * MS, "type": "invoke", "f": "inject"},
        event | {"time": begin_ms * MS, "type": done, "f": "inject", "error": None if done == "ok" else "why"},
        event | {"time": end_ms * MS, "type": "invoke", "f": "heal"},
        event | {"time": end_ms * MS, "type": "ok", "f": "heal"},
    ]


def history(*parts: list[Any]) -> History:
    events = sorted((event for part in parts for event in part), key=lambda event: event["time"])
    return History([msgspec.convert({"index": at} | event, Op) for at, event in enumerate(events)])


def verdict(*parts: list[Any]) -> Verdict:
    return SingleLeader().check(history(*parts))


def test_two_nodes_that_lead_in_one_term() -> None:
    """Two claims in one term are an anomaly, whenever they were made; in two terms they are none."""
    one, other = said("n1", 0, 5, "leader", 3, "n1"), said("n2", 900, 904, "leader", 3, "n2")
    (found,) = verdict(one, other).anomalies
    assert found.kind == "two leaders in one term"
    assert found.summary == (
        "n1 said that it leads in term 3 at 0.01 s, and n2 said that it leads in the same term at 0.90 s: a term has "
        "one leader"
    )
    assert found.witness == (0, 1, 2, 3)
    assert verdict(one, said("n2", 900, 905, "leader", 4, "n2")).status == "valid"


def test_two_nodes_that_name_different_leaders_of_one_term() -> None:
    """Followers of different leaders are as good a proof as the leaders; one that knows of none is no proof."""
    one = said("n1", 0, 5, "follower", 3, "n2")
    (found,) = verdict(one, said("n3", 10, 15, "follower", 3, "n4")).anomalies
    assert "n1 took n2 for the leader in term 3" in found.summary
    for leader, term in (("n2", 3), (None, 3), ("n4", 4)):
        assert verdict(one, said("n3", 10, 15, "follower", term, leader)).status == "valid"


def test_what_leaders_say_of_themselves_is_the_witness() -> None:
    """Of many sightings the leaders' own are shown, and one anomaly a term."""
    parts = [said("n3", 0, 1, "follower", 3, "n1"), said("n4", 0, 2, "follower", 3, "n2")]
    parts += [said("n1", 10, 11, "leader", 3, "n1"), said("n2", 20, 21, "leader", 3, "n2")]
    (found,) = verdict(*parts).anomalies
    assert "n1 said that it leads" in found.summary
    assert "n2 said that it leads" in found.summary


def test_a_status_that_is_not_atomic_accuses_nobody() -> None:
    """A role and a term of different moments prove nothing, and a reason says that they were not used."""
    one, other = said("n1", 0, 5, "leader", 3), said("n2", 10, 15, "leader", 3)
    other[1]["value"]["atomic"] = one[1]["value"]["atomic"] = False
    found = verdict(one, other)
    assert found.status == "valid"
    assert "atomic" in found.reasons[0]


def test_a_term_that_goes_back() -> None:
    """A lower term than before is an anomaly; the same or a higher one, or one of an overlapping question, is none."""
    (found,) = verdict(said("n1", 0, 5, "follower", 4), said("n1", 10, 15, "follower", 3)).anomalies
    assert found.kind == "term went back"
    assert found.witness == (0, 1, 2, 3)
    assert verdict(said("n1", 0, 5, "follower", 4), said("n1", 10, 15, "follower", 4)).status == "valid"
    assert verdict(said("n1", 0, 5, "follower", 4), said("n2", 10, 15, "follower", 3)).status == "valid"
    assert verdict(said("n1", 0, 12, "follower", 4), said("n1", 10, 15, "follower", 3)).status != "invalid"


@pytest.mark.parametrize(
    ("between", "status"),
    [
        (fault("kill", 6, 8, ["n1"]), "valid"),
        (fault("kill", 2, 3, ["n1"]), "valid"),
        (fault("kill", 6, 8), "valid"),
        (fault("kill", 6, 8, ["n2"], done="info"), "valid"),
        (fault("wipe", 6, 8, ["n1"]), "valid"),
        (fault("kill", 6, 8, ["n2"]), "invalid"),
        (fault("kill", 20, 30, ["n1"]), "invalid"),
        (fault("pause", 6, 8, ["n1"]), "invalid"),
        (fault("partition", 6, 8), "invalid"),
    ],
)
def test_a_term_may_be_lost_in_a_restart(between: list[Any], status: str) -> None:
    """A node may tell a term that is not on its disk yet: whatever may have started it anew excuses it."""
    assert verdict(said("n1", 0, 5, "follower", 4), between, said("n1", 10, 15, "follower", 3)).status == status


def test_silence_and_other_events_say_nothing() -> None:
    """No answer, an answer without a term, and a history without any status are valid."""
    silent = said("n1", 0, 5, "leader", 3)[:1]
    assert verdict(silent, said("n2", 10, 15, "leader", 3)).status == "valid"
    assert verdict(said("n1", 0, 5, "leader", None), said("n2", 10, 15, "leader", None)).status == "valid"
    assert verdict() == Verdict(status="valid")


@pytest.mark.parametrize(
    "value", [None, 7, {}, {"role": 1}, {"role": "leader", "term": "3"}, {"role": "x", "leader": 4}]
)
def test_a_malformed_status_is_named(value: Any) -> None:
    """What is no status is an error that names the event."""
    events = said("n1", 0, 5, "leader", 3)
    events[1]["value"] = value
    with pytest.raises(HistoryError, match="event 1: status ok"):
        verdict(events)


def test_the_table_of_terms() -> None:
    """For each leader of each term: who saw it, from when to when."""
    told = history(
        said("n1", 0, 5, "leader", 3, "n1"),
        said("n2", 10, 15, "follower", 3, "n1"),
        said("n2", 20, 25, "follower", 4, "n3"),
    )
    found = [(each.term, each.leader, each.first_ns // MS, each.last_ns // MS, each.observers) for each in reigns(told)]
    assert found == [(3, "n1", 5, 15, ("n1", "n2")), (4, "n3", 25, 25, ("n2",))]


def test_many_statuses_cost_little() -> None:
    """50,000 answers of five nodes, whose terms grow, are checked within the time-out of a test."""
    parts = [said(f"n{at % 5}", at, at + 1, "follower", at // 1000, "n1") for at in range(50_000)]
    assert verdict(*parts).status == "valid"
