"""Digests and lines of logs: each anomaly beside its nearest valid twin."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from checkers import Divergence, LogPatterns
from harness.errors import HistoryError
from harness.history import History
from harness.op import Op


def history(*events: dict[str, Any]) -> History:
    return History([msgspec.convert({"index": at, "time": at * 10**8} | event, Op) for at, event in enumerate(events)])


def digest(node: str, at: Any, digest: str, kind: str = "ok") -> dict[str, Any]:
    value = {"at": at, "digest": digest} if kind == "ok" else None
    return {"process": f"digest:{node}", "type": kind, "f": "digest", "node": node, "value": value}


def line(node: str, text: str, pattern: str = "panic") -> dict[str, Any]:
    value = {"log": "server.log", "pattern": pattern, "line": text}
    return {"process": f"log:{node}", "type": "ok", "f": "log", "node": node, "value": value}


def test_divergence() -> None:
    """Different digests of one state are an anomaly that names the sides."""
    (found,) = (
        Divergence().check(history(digest("n1", 7, "aa"), digest("n2", 7, "bb"), digest("n3", 7, "aa"))).anomalies
    )
    assert found.kind == "divergence"
    assert found.summary == "the nodes' data differed at the same state 7, by 0.20 s: aa on n1 n3, bb on n2"
    assert found.witness == (0, 1, 2)


@pytest.mark.parametrize(
    "events",
    [
        [digest("n1", 7, "aa"), digest("n2", 7, "aa")],
        [digest("n1", {"revision": 7, "compacted": 0}, "aa"), digest("n2", {"revision": 7, "compacted": 3}, "bb")],
        [digest("n1", 7, "aa"), digest("n2", 7, "bb"), digest("n1", 8, "cc"), digest("n2", 8, "cc")],
        [digest("n1", 7, "aa"), digest("n2", 7, "bb", "info")],
        [digest("n1", True, "aa"), digest("n2", 1, "bb")],
        [],
    ],
    ids=["equal", "another state", "an earlier answer", "no answer", "JSON's equality", "nothing"],
)
def test_what_is_no_divergence(events: list[dict[str, Any]]) -> None:
    """Only the nodes' last answers about one state are compared."""
    assert Divergence().check(history(*events)).status == "valid"


def test_lines_of_logs() -> None:
    """One anomaly for each node and pattern, with the first line; a history without any is valid."""
    told = history(
        line("n1", "panic: a"), line("n2", "panic: b"), line("n1", "panic: c"), line("n1", "x", "corruption")
    )
    found = LogPatterns().check(told).anomalies
    assert [(each.kind, each.summary, each.witness) for each in found] == [
        ("panic", "server.log of n1 says (and 1 more such lines): panic: a", (0, 2)),
        ("panic", "server.log of n2 says: panic: b", (1,)),
        ("corruption", "server.log of n1 says: x", (3,)),
    ]
    assert LogPatterns().check(history(digest("n1", 7, "aa"))).status == "valid"


def test_what_a_damaged_node_logs_is_no_bug() -> None:
    """A server whose files were damaged is right to refuse them; what the others log is held against them still."""
    value = {"kind": "damage", "nodes": ["n1"]}
    damage = {"process": "nemesis", "type": "ok", "f": "inject", "key": 0, "value": value}
    found = LogPatterns().check(history(damage, line("n1", "panic: a"), line("n2", "panic: b"))).anomalies
    assert [each.summary for each in found] == ["server.log of n2 says: panic: b"]
    kill = damage | {"value": {"kind": "kill", "nodes": ["n1"]}}
    assert LogPatterns().check(history(kill, line("n1", "panic: a"))).status == "invalid"


@pytest.mark.parametrize("value", [None, 7, {"at": 1}, {"at": 1, "digest": 2}, {"log": "a", "line": "b"}])
def test_malformed_events_are_named(value: Any) -> None:
    """What is no digest or no line of a log is an error that names the event."""
    for checker, event in ((Divergence(), digest("n1", 7, "aa")), (LogPatterns(), line("n1", "a"))):
        with pytest.raises(HistoryError, match="event 0: "):
            checker.check(history(event | {"value": value}))
