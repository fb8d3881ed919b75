"""What clients of elections were told: each anomaly beside its nearest valid twin."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from checkers.elections import Elections
from harness.errors import HistoryError
from harness.history import History
from harness.leaders import reigns
from harness.op import Op
from harness.verdict import Verdict

MS = 1_000_000


def op(process: int, begin_ms: int, end_ms: int, f: str, asked: Any, value: Any, kind: str = "ok") -> list[Any]:
    """One operation on the election e."""
    base = {"process": process, "f": f, "node": "n1", "key": "e"}
    begun = base | {"time": begin_ms * MS, "type": "invoke", "value": asked}
    return [begun, base | {"time": end_ms * MS, "type": kind, "value": value}]


def campaign(
    process: int, begin_ms: int, end_ms: int, name: str, term: int, ttl_ms: int = 100, kind: str = "ok"
) -> Any:
    asked = {"id": name, "ttl_s": ttl_ms / 1000}
    return op(process, begin_ms, end_ms, "campaign", asked, asked | ({"term": term} if kind == "ok" else {}), kind)


def leader(process: int, begin_ms: int, end_ms: int, name: str | None, term: int = 0) -> Any:
    return op(process, begin_ms, end_ms, "leader", None, name and {"id": name, "term": term})


def renew(process: int, begin_ms: int, end_ms: int, held: bool) -> Any:
    return op(process, begin_ms, end_ms, "renew", None, {"held": held})


def resign(process: int, begin_ms: int, end_ms: int, held: bool = True, kind: str = "ok") -> Any:
    return op(process, begin_ms, end_ms, "resign", None, {"held": held} if kind == "ok" else None, kind)


def watch(process: int, begin_ms: int, end_ms: int, *seen: tuple[str, int] | None) -> Any:
    events = [{"ns": at, "kind": "changed"} | ({"id": e[0], "term": e[1]} if e else {}) for at, e in enumerate(seen)]
    return op(process, begin_ms, end_ms, "watch", {"for_s": 0.1}, events)


def write(process: int, at_ms: int, name: str, term: int, sequence: int, fenced: bool = True) -> Any:
    value = {"id": name, "term": term, "sequence": sequence, "fenced": fenced}
    return op(process, at_ms, at_ms + 1, "write", None, value)


def told(*parts: list[Any]) -> History:
    events = sorted((event for part in parts for event in part), key=lambda event: event["time"])
    return History([msgspec.convert({"index": at} | event, Op) for at, event in enumerate(events)])


def check(*parts: list[Any]) -> Verdict:
    return Elections().check(told(*parts))


def kinds(*parts: list[Any]) -> set[str]:
    return {anomaly.kind for anomaly in check(*parts).anomalies}


A, B = campaign(1, 0, 10, "a", 1), campaign(2, 0, 300, "b", 2)

CASES = [
    ("two leaders in one term", [A, campaign(2, 200, 210, "b", 1)], [A, campaign(2, 200, 210, "b", 2)]),
    ("two leaders in one term", [A, B, watch(3, 300, 400, ("b", 1))], [A, B, watch(3, 300, 400, ("b", 2))]),
    ("term went back", [A, B, leader(3, 301, 310, "a", 1)], [A, B, leader(3, 299, 310, "a", 1)]),
    (
        "term went back",
        [campaign(1, 0, 10, "a", 5), campaign(2, 200, 210, "b", 4)],
        [campaign(1, 0, 10, "a", 5), campaign(2, 5, 210, "b", 4)],
    ),
    (
        "term went back",
        [A, B, watch(3, 300, 400, ("b", 2), ("a", 1))],
        [A, B, watch(3, 300, 400, ("a", 1), None, ("b", 2)), watch(4, 420, 430, ("a", 1))],
    ),
    (
        "never a candidate",
        [A, leader(3, 200, 210, "x", 2)],
        [A, leader(3, 200, 210, "x", 2), campaign(2, 209, 400, "x", 0, 9, "info")],
    ),
    (
        "never a candidate",
        [A, campaign(2, 200, 201, "x", 0, 9, "fail"), leader(3, 205, 210, "x", 2)],
        [A, campaign(2, 200, 201, "x", 0, 9, "info"), leader(3, 205, 210, "x", 2)],
    ),
    (
        "led after it resigned",
        [A, resign(1, 20, 30), leader(3, 31, 32, "a", 1)],
        [A, resign(1, 20, 30), leader(3, 30, 32, "a", 1)],
    ),
    (
        "led after it resigned",
        [A, resign(1, 20, 30), leader(3, 31, 32, "a", 1)],
        [A, resign(1, 20, 30, kind="info"), leader(3, 31, 32, "a", 1)],
    ),
    ("two leaders at once", [A, campaign(2, 20, 99, "b", 2)], [A, campaign(2, 20, 100, "b", 2)]),
    (
        "two leaders at once",
        [A, renew(1, 50, 60, True), campaign(2, 80, 140, "b", 2)],
        [A, renew(1, 50, 60, True), campaign(2, 80, 150, "b", 2)],
    ),
    (
        "two leaders at once",
        [A, renew(1, 150, 160, True), campaign(2, 80, 140, "b", 2)],
        [A, renew(1, 150, 160, False), campaign(2, 80, 140, "b", 2)],
    ),
    (
        "two leaders at once",
        [A, campaign(2, 20, 39, "b", 2), resign(1, 40, 60)],
        [A, campaign(2, 20, 41, "b", 2), resign(1, 40, 60, kind="info")],
    ),
    ("lost early", [A, leader(3, 20, 90, None)], [A, leader(3, 20, 101, None)]),
    ("lost early", [A, leader(3, 10, 90, None)], [A, leader(3, 9, 90, None)]),
    (
        "lost early",
        [A, campaign(2, 20, 200, "b", 2, kind="info"), leader(3, 20, 90, "b", 2)],
        [A, campaign(2, 20, 200, "b", 2, kind="info"), leader(3, 20, 90, "a", 1), leader(3, 99, 101, "b", 2)],
    ),
]


@pytest.mark.parametrize(("kind", "broken", "valid"), CASES)
def test_each_anomaly_beside_its_valid_twin(kind: str, broken: list[Any], valid: list[Any]) -> None:
    """The history is accused of exactly this; one that differs by as little as it can is not."""
    assert kinds(*broken) == {kind}
    assert check(*valid).anomalies == ()


@pytest.mark.parametrize(("kind", "broken", "valid"), CASES)
def test_a_witness_proves_by_itself(kind: str, broken: list[Any], valid: list[Any]) -> None:
    """The events of a witness alone, with every campaign, are accused of the same."""
    (found,) = check(*broken).anomalies
    events = sorted((event for part in broken for event in part), key=lambda event: event["time"])
    kept = [event for at, event in enumerate(events) if at in found.witness or event["f"] == "campaign"]
    assert kinds(kept) == {kind}


def test_elections_are_told_apart() -> None:
    """Each election has terms of its own."""
    other = [event | {"key": ["other"]} for event in campaign(2, 20, 30, "b", 1)]
    assert check(A, other).status == "valid"


def test_what_a_fence_is_for() -> None:
    """A leader that wrote after a newer one is a reason and no anomaly, whether or not the fence refused it."""
    late = check(A, B, write(2, 310, "b", 2, 1), write(1, 320, "a", 1, 2, fenced=False))
    assert late.status == "valid"
    assert late.reasons[0].startswith("unsafe but fenced: a, leader of term 1, wrote at 0.32 s, though b, leader of ")
    assert check(A, B, write(2, 310, "b", 2, 1), write(1, 320, "a", 1, 2)).reasons[0].startswith("unsafe: a")
    assert check(A, B, write(1, 310, "a", 1, 1), write(2, 320, "b", 2, 2)).reasons == ()


def test_nobody_campaigned() -> None:
    """A leader without any campaign is an anomaly; the table of terms leaves other workloads' watches alone."""
    assert kinds(leader(3, 20, 30, "a", 1)) == {"never a candidate"}
    assert check() == check(leader(3, 20, 30, None)) == Verdict(status="valid", engine="elections")
    assert reigns(told(op(1, 0, 1, "watch", "prefix", [{"key": "k", "revision": 1}]))) == ()


def test_an_answer_without_id_and_term_names_nobody() -> None:
    """As null does."""
    (seen,) = check(A + op(1, 20, 21, "leader", None, {})).anomalies
    assert "nobody led" in seen.summary


@pytest.mark.parametrize(
    "part",
    [
        op(1, 0, 1, "campaign", {"id": "a"}, {"id": "a", "term": 1}),
        op(1, 0, 1, "campaign", None, {"id": "a", "term": 1, "ttl_s": 1}),
        op(1, 0, 1, "campaign", {"id": "a"}, {"id": "a", "term": "1", "ttl_s": 1}),
        A + op(1, 20, 21, "renew", None, None),
        A + op(1, 20, 21, "leader", None, {"id": 4, "term": 1}),
        A + op(1, 20, 21, "watch", None, {"id": "a"}),
        A + op(1, 20, 21, "write", None, {"id": "a"}),
    ],
)
def test_a_malformed_value_is_named(part: list[Any]) -> None:
    """What the workload would not have recorded is an error that names the event."""
    with pytest.raises(HistoryError, match=r"history: event [0-3]: "):
        check(part)


def test_a_long_history_costs_little() -> None:
    """40,000 events are checked within the time-out of a test."""
    parts = []
    for at in range(5_000):
        parts += [campaign(1, 8 * at, 8 * at + 1, f"c{at}", at), leader(2, 8 * at, 8 * at + 2, f"c{at}", at)]
        parts += [renew(1, 8 * at + 2, 8 * at + 3, True), resign(1, 8 * at + 4, 8 * at + 5)]
    assert check(*parts).status == "valid"
