"""Keys tied to leases: each anomaly beside its nearest valid twin."""

from __future__ import annotations

from typing import Any

import pytest

from checkers.lease_keys import LeasedKeys
from harness.errors import HistoryError
from harness.history import History
from harness.op import NEMESIS, STATUS, Op

LATE_S = 3.0
SECOND_NS = 1_000_000_000


def history(*ops: tuple[str, float, float, Any]) -> History:
    """Return operations on lease s1 as a history: f, when it began and returned, and the ok completion's value.

    A completion value of "?" is of unknown outcome, and one of "!" a failure; an attach asks for its value.
    """
    events: list[tuple[float, int, dict[str, Any]]] = []
    for number, (f, begin_s, end_s, answer) in enumerate(ops):
        call: dict[str, Any] = {"process": number, "f": f, "key": "s1"}
        kind = {"?": "info", "!": "fail"}.get(str(answer), "ok")
        asked = 7 if f == "attach" else None
        events.append((begin_s, number, call | {"type": "invoke", "value": asked}))
        events.append((end_s, number, call | {"type": kind, "value": answer if kind == "ok" else asked}))
    events.sort(key=lambda event: event[:2])
    return History([Op(index=at, time=int(event[0] * SECOND_NS), **event[2]) for at, event in enumerate(events)])


GRANT = ("grant", 0.0, 0.1, {"ttl_s": 2.0})
ATTACH = ("attach", 0.2, 0.3, 7)
KEPT, GONE = {"held": True}, {"held": False}
KEEP = ("keep_alive", 1.0, 1.2, KEPT)
REVOKE = ("revoke", 2.0, 2.1, KEPT)

ANOMALIES = [
    (
        "lost early",
        [GRANT, ATTACH, KEEP, ("read", 2.5, 2.6, None)],
        [GRANT, ATTACH, KEEP, ("read", 2.5, 3.1, None)],
        'lease "s1" was said at 2.60 s to have ended, but its last acknowledged renewal was sent no earlier than '
        "1.00 s, for 2 s, and nobody had ended it",
        4,
    ),
    (
        "lost early",
        [GRANT, ATTACH, ("read", 1.5, 1.6, None)],
        [GRANT, ATTACH, ("read", 0.25, 1.6, None)],  # it may have been read before the attach
        'lease "s1" was said at 1.60 s to have ended, but it was asked for no earlier than 0.00 s, for 2 s, and '
        "nobody had ended it",
        4,
    ),
    (
        "lost early",
        [GRANT, ATTACH, ("revoke", 1.5, 1.6, "!"), ("read", 1.5, 1.6, None)],
        [GRANT, ATTACH, ("revoke", 1.5, 9.0, "?"), ("read", 1.5, 1.6, None)],
        'lease "s1" was said at 1.60 s to have ended, but it was asked for no earlier than 0.00 s, for 2 s, and '
        "nobody had ended it",
        4,
    ),
    (
        "lost early",
        [GRANT, ("keep_alive", 1.0, 1.2, GONE)],
        [GRANT, ("keep_alive", 2.0, 2.2, GONE)],
        'lease "s1" was said at 1.20 s to have ended, but it was asked for no earlier than 0.00 s, for 2 s, and '
        "nobody had ended it",
        4,
    ),
    (
        "denied",
        [GRANT, ATTACH, ("keep_alive", 1.0, 1.2, GONE), ("read", 1.3, 1.4, 7)],
        [GRANT, ATTACH, ("keep_alive", 1.0, 2.2, GONE), ("read", 1.3, 1.4, 7)],
        'lease "s1" was said at 1.20 s to have ended, but it was asked for no earlier than 0.00 s, for 2 s, and it was '
        "there when asked for at 1.30 s",
        6,
    ),
    (
        "late expiry",
        [GRANT, ATTACH, KEEP, ("read", 6.3, 6.4, 7)],
        [GRANT, ATTACH, KEEP, ("read", 6.1, 6.4, 7)],
        'lease "s1" was still there when asked for at 6.30 s, though it was renewed no later than 1.20 s for 2 s, and '
        "no fault and no new leader has delayed its end",
        4,
    ),
    (
        "late expiry",
        [GRANT, ATTACH, ("keep_alive", 1.0, 1.2, "!"), ("read", 5.3, 5.4, 7)],
        [GRANT, ATTACH, ("keep_alive", 1.0, 1.2, "?"), ("read", 5.3, 5.4, 7)],
        'lease "s1" was still there when asked for at 5.30 s, though it was renewed no later than 0.10 s for 2 s, and '
        "no fault and no new leader has delayed its end",
        4,
    ),
    (
        "revived",
        [GRANT, ATTACH, KEEP, REVOKE, ("read", 2.2, 2.3, 7)],
        [GRANT, ATTACH, KEEP, REVOKE, ("read", 2.05, 2.3, 7)],
        'lease "s1" had ended by 2.10 s, as its client was told, but was there when asked for at 2.20 s',
        4,
    ),
    (
        "revived",
        [GRANT, ATTACH, ("read", 2.5, 2.6, None), ("read", 2.7, 2.8, 7)],
        [GRANT, ATTACH, ("read", 2.5, 2.6, 7), ("read", 2.7, 2.8, None)],
        'lease "s1" had ended by 2.60 s, as its client was told, but was there when asked for at 2.70 s',
        4,
    ),
    (
        "value never attached",
        [GRANT, ATTACH, ("read", 1.0, 1.1, 8)],
        [GRANT, ATTACH, ("read", 1.0, 1.1, 7)],
        'the key of lease "s1" was read as 8 at 1.10 s, which nobody had attached',
        2,
    ),
    (
        "value never attached",
        [GRANT, ("read", 0.1, 0.15, 7), ATTACH],
        [GRANT, ("read", 0.1, 0.25, 7), ATTACH],
        'the key of lease "s1" was read as 7 at 0.15 s, which nobody had attached',
        2,
    ),
]


@pytest.mark.parametrize(("kind", "bad", "good", "summary", "events"), ANOMALIES)
def test_each_anomaly_and_its_valid_twin(kind: str, bad: Any, good: Any, summary: str, events: int) -> None:
    """An anomaly is named and told with its witness; the nearest valid history is valid."""
    checker = LeasedKeys(late_s=LATE_S)
    (anomaly,) = checker.check(history(*bad)).anomalies
    assert (anomaly.kind, anomaly.summary, len(anomaly.witness)) == (kind, summary, events)
    assert checker.check(history(*good)).anomalies == ()


@pytest.mark.parametrize(
    ("then", "kind"),
    [
        (("read", 1.3, 1.4, 7), "denied"),
        (("read", 1.1, 1.4, 7), "lost early"),  # it may have been read before it was lost
        (("read", 1.3, 1.4, "?"), "lost early"),
        (("keep_alive", 1.3, 1.4, KEPT), "denied"),
        (("keep_alive", 1.3, 1.4, "?"), "lost early"),
    ],
)
def test_what_was_there_afterwards_was_denied_and_not_lost(then: Any, kind: str) -> None:
    """Only an answer that it stands, asked for after it was said to have ended, tells that it had not."""
    verdict = LeasedKeys(late_s=LATE_S).check(history(GRANT, ATTACH, ("keep_alive", 1.0, 1.2, GONE), then))
    assert [anomaly.kind for anomaly in verdict.anomalies] == [kind]


@pytest.mark.parametrize(
    "disturbance",
    [
        [Op(8, 3 * SECOND_NS, NEMESIS, "invoke", "inject", key=0, value={"kind": "pause"})],
        [
            Op(8, 0, "status:n1", "ok", STATUS, value={"role": "leader", "term": 1}),
            Op(9, 3 * SECOND_NS, "status:n1", "ok", STATUS, value={"role": "leader", "term": 2}),
        ],
    ],
    ids=["fault", "new leader"],
)
def test_a_lease_may_live_longer_where_something_was_on(disturbance: list[Op]) -> None:
    """A fault, or a new leader that gives every lease its time anew, delays the end."""
    calm = history(GRANT, ATTACH, KEEP, ("read", 6.3, 6.4, 7))
    disturbed = History(sorted([*calm.events, *disturbance], key=lambda op: op.time))
    assert LeasedKeys(late_s=LATE_S).check(calm).status == "invalid"
    assert LeasedKeys(late_s=LATE_S).check(disturbed).status == "valid"


def test_a_lease_whose_grant_is_not_known_says_nothing() -> None:
    """Nobody knows its time to live."""
    lost = ("grant", 0.0, 0.1, "?")
    assert LeasedKeys(late_s=LATE_S).check(history(lost, ATTACH, ("read", 0.5, 0.6, None))).status == "valid"
    assert LeasedKeys(late_s=LATE_S).check(History([])).status == "valid"


@pytest.mark.parametrize(
    ("ops", "what"),
    [
        ([("grant", 0, 1, {"ttl_s": "2"})], "event 1: an ok grant has no ttl_s in its value"),
        ([("grant", 0, 1, None)], "event 1: an ok grant has no ttl_s in its value"),
        ([GRANT, ("keep_alive", 2, 3, True)], "event 3: an ok keep_alive has no held in its value"),
        ([GRANT, ("revoke", 2, 3, {"held": 1})], "event 3: an ok revoke has no held in its value"),
        ([GRANT, ("grant", 2, 3, {"ttl_s": 2.0})], "event 3: a lease was granted twice by one name"),
    ],
)
def test_a_malformed_value_is_an_error(ops: Any, what: str) -> None:
    """The error names the event."""
    with pytest.raises(HistoryError, match=what):
        LeasedKeys(late_s=LATE_S).check(history(*ops))
