"""Watches: each anomaly beside its valid twin, and the oracle's verdict on everything."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import pytest
from watch_oracle import NEVER, Did, history, is_explained, scaled, small, untold

from checkers import watch_places
from checkers.watch import WatchChecker
from harness.errors import HistoryError
from harness.facets import FROM_NOW
from harness.history import History
from harness.op import freeze
from harness.verdict import Verdict
from tests import kernel_forms


def put(revision: int | None, key: str, value: int, begin: int, end: float) -> Did:
    kind = "info" if revision is None else "ok"
    return Did("put", key, value, kind, {"value": value, "revision": revision}, begin, end)


def delete(revision: int | None, key: str, begin: int, end: float) -> Did:
    return Did("delete", key, None, "ok", {"revision": revision}, begin, end)


def watch(
    start: int | None, *changes: list[Any], prefix: str = "a/", begin: int = 10, end: int = 20, **more: Any
) -> Did:
    return Did("watch", prefix, {"start": start}, "ok", {"changes": list(changes), **more}, begin, end)


def refused(start: int | None, end: int) -> Did:
    return Did("watch", "a/", {"start": start}, "fail", 9, end - 1, end)


def look(revision: int, begin: int, end: int) -> Did:
    return Did("revision", None, None, "ok", revision, begin, end)


def compact(revision: int, begin: int, kind: str = "ok") -> Did:
    return Did("compact", None, revision, kind, revision, begin, begin + 1)


ONE, TWO, THREE = put(1, "a/1", 11, 0, 1), put(2, "a/2", 12, 2, 3), put(3, "a/1", 13, 4, 5)
C1, C2, C3 = [1, "a/1", 11], [2, "a/2", 12], [3, "a/1", 13]

ANOMALIES = [
    (
        "missed change",
        [ONE, TWO, THREE, watch(1, C1, C3)],
        [ONE, TWO, THREE, watch(1, C1), watch(3, C3), watch(None, C2, C3), watch(4)],
        "watch of a/ from revision 1 by process 3 (1.00 s to 2.00 s) delivered changes up to revision 3, but not that "
        "of a/2 at 2: the put of 12 to a/2 by process 1, acknowledged at 0.30 s",
        4,
    ),
    (
        "missed change",
        [ONE, put(None, "a/2", 12, 2, NEVER), THREE, watch(None, C1, C3), watch(2, C2)],
        [ONE, put(None, "a/2", 12, 2, NEVER), THREE, watch(None, C1, C3), watch(2, C3)],
        "watch of a/ from now by process 3 (1.00 s to 2.00 s) delivered changes up to revision 3, but not that of a/2 "
        "at 2, which watch of a/ from revision 2 by process 4 (1.00 s to 2.00 s) delivered",
        4,
    ),
    (
        "missed change",
        [ONE, delete(2, "a/1", 2, 3), THREE, watch(1, C1, C3)],
        [ONE, delete(None, "a/1", 2, 3), THREE, watch(1, C1, C3)],
        "watch of a/ from revision 1 by process 3 (1.00 s to 2.00 s) delivered changes up to revision 3, but not that "
        "of a/1 at 2: the delete of a/1 by process 1, acknowledged at 0.30 s",
        4,
    ),
    (
        "out of order",
        [ONE, TWO, THREE, watch(None, C2, C1)],
        [ONE, TWO, THREE, watch(None, C1, C2)],
        "watch of a/ from now by process 3 (1.00 s to 2.00 s) delivered the change of a/1 at revision 1 after one at "
        "revision 2",
        2,
    ),
    (
        "delivered twice",
        [ONE, watch(1, C1, C1)],
        [ONE, watch(1, C1), watch(1, C1)],
        "watch of a/ from revision 1 by process 1 (1.00 s to 2.00 s) delivered the change of a/1 at revision 1 twice",
        2,
    ),
    (
        "before its start",
        [ONE, TWO, watch(2, C1, C2)],
        [ONE, TWO, watch(2, C2)],
        "watch of a/ from revision 2 by process 2 (1.00 s to 2.00 s) delivered a change of a/1 at revision 1, before "
        "its start",
        2,
    ),
    (
        "of another prefix",
        [ONE, watch(1, C1, prefix="b/")],
        [ONE, watch(1, C1, prefix="")],
        "watch of b/ from revision 1 by process 1 (1.00 s to 2.00 s) delivered a change of a/1 at revision 1, which "
        "has another prefix",
        2,
    ),
    (
        "after its cancel",
        [ONE, TWO, watch(1, C1, late=[C2])],
        [ONE, TWO, watch(1, C1, late=[])],
        "watch of a/ from revision 1 by process 2 (1.00 s to 2.00 s) was cancelled, and then delivered the change of "
        "a/2 at 2",
        2,
    ),
    (
        "wrong value",
        [ONE, watch(1, [1, "a/1", 7])],
        [ONE, watch(1, [1, "a/1", 11])],
        "watch of a/ from revision 1 by process 1 (1.00 s to 2.00 s) delivered 7 as the change of a/1 at revision 1, "
        "but that is the put of 11 to a/1 by process 0",
        4,
    ),
    (
        "watches disagree",
        [
            put(None, "a/1", 1, 0, NEVER),
            put(None, "a/1", 2, 0, NEVER),
            watch(1, [1, "a/1", 1]),
            watch(1, [1, "a/1", 2]),
        ],
        [
            put(None, "a/1", 1, 0, NEVER),
            put(None, "a/1", 2, 0, NEVER),
            watch(1, [1, "a/1", 2]),
            watch(1, [1, "a/1", 2]),
        ],
        "watch of a/ from revision 1 by process 2 (1.00 s to 2.00 s) delivered 1 as the change of a/1 at revision 1, "
        "but watch of a/ from revision 1 by process 3 (1.00 s to 2.00 s) delivered 2",
        4,
    ),
    (
        "change never made",
        [ONE, watch(2, C2)],
        [ONE, put(None, "a/2", 12, 2, NEVER), watch(2, C2)],
        "watch of a/ from revision 2 by process 1 (1.00 s to 2.00 s) delivered 12 as the change of a/2 at revision 2, "
        "but no write of that succeeded at this revision, or may have",
        2,
    ),
    (
        "change never made",
        [ONE, watch(None, [5, "a/1", 11])],
        [ONE, watch(None, [1, "a/1", 11])],
        "watch of a/ from now by process 1 (1.00 s to 2.00 s) delivered 11 as the change of a/1 at revision 5, but "
        "that is the put of 11 to a/1 by process 0, acknowledged at revision 1",
        2,
    ),
    (
        "change never made",
        [put(None, "a/1", 1, 0, NEVER), watch(1, [1, "a/1", 1], end=15), watch(1, [4, "a/1", 1])],
        [put(None, "a/1", 1, 0, NEVER), watch(1, [1, "a/1", 1], end=15), watch(1, [1, "a/1", 1])],
        "watch of a/ from revision 1 by process 2 (1.00 s to 2.00 s) delivered 1 as the change of a/1 at revision 4, "
        "but each write of that had been delivered at another revision already",
        2,
    ),
    (
        "change never made",
        [watch(1, [1, "a/1", 1], end=15), put(None, "a/1", 1, 16, NEVER)],
        [watch(1, [1, "a/1", 1], end=15), put(None, "a/1", 1, 14, NEVER)],
        "watch of a/ from revision 1 by process 0 (1.00 s to 1.50 s) delivered 1 as the change of a/1 at revision 1, "
        "but no write of that had begun by then",
        2,
    ),
    (
        "refused without compaction",
        [compact(5, 0), refused(5, 8)],
        [compact(5, 0), refused(4, 8), compact(9, 7, "info"), refused(8, 9), refused(None, 9)],
        "watch of a/ from revision 5 by process 1 was refused as compacted at 0.80 s, but the latest compaction asked "
        "for by then is at 5",
        2,
    ),
    (
        "revision went back",
        [put(7, "a/1", 1, 0, 1), put(7, "b/1", 2, 2, 3)],
        [put(7, "a/1", 1, 0, 2), put(6, "b/1", 2, 1, 3)],
        "put of b/1 by process 1 has revision 7: it began at 0.20 s, after process 0 had been told of revision 7 at "
        "0.10 s",
        4,
    ),
    (
        "revision went back",
        [put(7, "a/1", 1, 0, 1), look(6, 2, 3)],
        [put(7, "a/1", 1, 0, 1), look(7, 2, 3)],
        "a look at the newest revision by process 1 has revision 6: it began at 0.20 s, after process 0 had been told "
        "of revision 7 at 0.10 s",
        4,
    ),
    (
        "revision went back",
        [look(7, 0, 1), put(None, "a/1", 1, 2, NEVER), watch(1, [7, "a/1", 1])],
        [look(7, 0, 1), put(None, "a/1", 1, 2, NEVER), watch(1, [8, "a/1", 1])],
        "put of a/1 by process 1 has revision 7: it began at 0.20 s, after process 0 had been told of revision 7 at "
        "0.10 s",
        5,
    ),
    (
        "revision given twice",
        [put(7, "a/1", 1, 0, 5), put(7, "a/1", 2, 0, 5)],
        [put(7, "a/1", 1, 0, 5), put(7, "a/2", 2, 0, 5)],
        "the put of 1 to a/1 by process 0 and the put of 2 to a/1 by process 1 were both acknowledged at revision 7",
        4,
    ),
]


def verdict_of(items: list[Did]) -> Verdict:
    """Return the checker's verdict, which is the oracle's."""
    verdict = WatchChecker().check(history(items))
    late = any(item.answer.get("late") for item in items if item.f == "watch" and item.kind == "ok")
    expected = "valid" if is_explained(items) and not late else "invalid"
    text = "\n".join(map(str, items))
    assert verdict.status == expected, f"{expected} expected, but {verdict}\n{text}"
    return verdict


@pytest.mark.parametrize(("kind", "bad", "good", "summary", "events"), ANOMALIES)
def test_each_anomaly_and_its_valid_twin(kind: str, bad: list[Did], good: list[Did], summary: str, events: int) -> None:
    """An anomaly is named and told with its witness; the nearest valid history is valid."""
    anomaly = verdict_of(bad).anomalies[0]
    assert (anomaly.kind, anomaly.summary, len(anomaly.witness)) == (kind, summary, events)
    assert verdict_of(good).status == "valid"


def test_what_nobody_made_is_owed_by_no_other_watch() -> None:
    """Who delivers a change that was never made is accused, and the watch that did not deliver it is not."""
    items = [ONE, THREE, watch(1, C1, [2, "a/2", 12], C3), watch(1, C1, C3)]
    assert [anomaly.kind for anomaly in verdict_of(items).anomalies] == ["change never made"]


@pytest.mark.parametrize("table", [0, 4], ids=["sorted", "by table"])
@pytest.mark.parametrize("seed", range(2))
def test_random_histories_get_the_oracles_verdict(seed: int, table: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """8,000 small histories, many with unknown outcomes, by both ways to the places; both verdicts come often."""
    monkeypatch.setattr(watch_places, "_TABLE", table)
    rng = random.Random(10 * seed + table)
    statuses = [verdict_of(small(rng)).status for _ in range(2000)]
    assert min(statuses.count("valid"), statuses.count("invalid")) > 200


@pytest.mark.parametrize("seed", range(4))
def test_watches_that_do_not_tell_values_get_the_oracles_verdict(seed: int) -> None:
    """4,000 small histories: no value is held against anybody, everything else is, and the verdict says so."""
    rng = random.Random(seed)
    statuses = []
    for _ in range(1000):
        items = untold(small(rng))
        verdict = verdict_of(items)
        statuses.append(verdict.status)
        answers = [item.answer["changes"] for item in items if item.f == "watch" and item.kind == "ok"]
        assert any("values were not compared" in reason for reason in verdict.reasons) == any(
            len(change) == 2 for changes in answers for change in changes
        )
    assert min(statuses.count("valid"), statuses.count("invalid")) > 100


@pytest.mark.parametrize("by", [1 << 33, 1 << 58])
def test_revisions_may_be_far_apart(by: int) -> None:
    """Only their order counts: those of ZooKeeper jump with each epoch, and any number of 64 bits may come."""
    rng = random.Random(by)
    for _ in range(500):
        items = small(rng)
        near, far = (WatchChecker().check(history(each)) for each in (items, scaled(items, by)))
        assert [(each.kind, each.witness) for each in far.anomalies] == [
            (each.kind, each.witness) for each in near.anomalies
        ]


def test_a_value_that_is_not_told_is_a_value() -> None:
    """A watch that tells that a key was set contradicts a deletion, and no put."""
    told, gone = watch(1, [1, "a/1"]), watch(1, [1, "a/1", None])
    assert verdict_of([ONE, told]).status == verdict_of([delete(1, "a/1", 0, 1), gone]).status == "valid"
    for items, summary in (
        ([ONE, told, gone], "delivered a value as the change of a/1 at revision 1, but watch of a/"),
        ([ONE, TWO, gone, watch(2, [2, "a/2"])], "delivered a deletion as the change of a/1 at revision 1, but that"),
        ([delete(1, "a/1", 0, 1), told], "delivered a value as the change of a/1 at revision 1, but that"),
        ([ONE, watch(1, [1, "a/1"], [2, "a/1"])], "no write of that succeeded at this revision, or may have"),
    ):
        assert any(summary in anomaly.summary for anomaly in verdict_of(items).anomalies), items


def test_a_service_that_keeps_no_changes_is_not_accused_and_the_verdict_says_so() -> None:
    """A watch that was refused because watches begin now needs no compaction; a refusal as compacted does."""
    items = [ONE, watch(None, C1), refused(1, 9)._replace(answer=FROM_NOW)]
    verdict = WatchChecker().check(history(items))
    assert verdict.status == "valid"
    assert verdict.reasons == (
        "the service keeps no changes: every watch began now, and none could go on where another one had ended",
    )
    assert WatchChecker().check(history([ONE, watch(None, C1)])).reasons == ()


@pytest.mark.parametrize("form", kernel_forms.FORMS)
def test_both_forms_of_the_kernel_take_deliveries_apart(form: str) -> None:
    """Changes become columns; equal keys and values have one number, and what is no change is named by its watch."""
    kernel = kernel_forms.load("deliveries", form)
    whole = [[[7, "a", True], [1 << 62, "b", None]], [[-9, "a"], [8, "c", 1], [9, "b", [1]], [9, "d", [1]]]]

    def flat(watches: list[Any]) -> tuple[int, list[list[int]]]:
        columns = [np.zeros(sum(map(len, watches)), np.int64) for _ in range(3)]
        code = kernel.flatten(watches, {"c": 0}, {None: 0, "untold": 1}, freeze, *columns)
        return code, [column.tolist() for column in columns]

    assert flat(whole) == (
        kernel.FITS, [[7, 1 << 62, -9, 8, 9, 9], [1, 2, 1, 0, 2, 3], [2, 0, kernel.UNTOLD, 3, 4, 4]]
    )  # fmt: skip
    for broken in ([True, "a", 1], [1, None, 1], [1], [1, "a", 1, 1], (1, "a", 1), 5, [1 << 63, "a", 1]):
        assert flat([*whole, [broken]])[0] == kernel.MALFORMED + 2


def test_the_last_revision_of_a_watch_is_not_owed_whole() -> None:
    """A watch may be cut off between two changes of one revision."""
    both = [put(1, "a/1", 1, 0, 5), put(1, "a/2", 2, 0, 5)]
    assert verdict_of([*both, watch(1, [1, "a/2", 2])]).status == "valid"
    assert verdict_of([*both, put(2, "a/1", 3, 6, 7), watch(1, [1, "a/2", 2], [2, "a/1", 3])]).status == "invalid"


def test_a_watch_of_unknown_outcome_says_nothing() -> None:
    """Nothing is known of what it delivered."""
    gone = watch(1)._replace(kind="info", answer=None)
    assert WatchChecker().check(history([ONE, TWO, gone])).status == "valid"
    assert WatchChecker().check(History([])).status == "valid"


@pytest.mark.parametrize(
    "broken",
    [
        watch(1)._replace(answer={"changes": [[1]]}),
        watch(1)._replace(answer={"changes": [[1, "a/1", 1, 1]]}),
        watch(1)._replace(answer={"changes": [[1 << 64, "a/1", 1]]}),
        watch(1)._replace(answer={"changes": [[True, "a/1", 1]]}),
        watch(1)._replace(answer={"changes": [7]}),
        watch(1)._replace(answer={"changes": [], "late": [[1]]}),
        watch(1)._replace(answer={"changes": [], "late": None}),
        watch(1)._replace(answer={"changes": [], "late": 0}),
        watch(1)._replace(answer={"changes": [], "late": {}}),
        watch(1)._replace(answer={"changes": [], "late": ["ab"]}),
        watch(1)._replace(answer={"changes": [], "late": [["1", "a/1", 1]]}),
        watch(1)._replace(answer={"changes": [], "late": [[1, 2, 3]]}),
        watch(1)._replace(answer={"changes": [], "late": [[1, "a/1", 1, 1]]}),
        watch(1)._replace(answer={"changes": [["1", "a/1", 1]]}),
        watch(1)._replace(answer=[]),
        watch(1)._replace(value={"start": "now"}),
        watch(1)._replace(value=None),
        watch(1 << 64, C1),
        put(1 << 64, "a/1", 11, 0, 1),
        look(1 << 64, 0, 1),
        compact(1 << 64, 0),
        ONE._replace(answer=7),
        ONE._replace(answer={"revision": True}),
        ONE._replace(key=3),
        look(1, 0, 1)._replace(answer="1"),
        compact(1, 0)._replace(value=None),
    ],
)
def test_a_malformed_value_is_an_error(broken: Did) -> None:
    """The error names the event."""
    with pytest.raises(HistoryError, match="drawing: event"):
        WatchChecker().check(history([broken]))


def test_a_long_history_is_checked_in_good_time() -> None:
    """50,000 events are decided within five seconds of work, though it takes a third of one on an idle core."""
    items: list[Did] = []
    for number in range(1, 12_501):
        items.append(put(number, f"a/{number % 5}", number, 4 * number, 4 * number + 1))
        seen = [[each, f"a/{each % 5}", each] for each in range(max(1, number - 10), number + 1)]
        items.append(watch(seen[0][0], *seen, begin=4 * number + 2, end=4 * number + 3))
    long = history(items)
    assert len(long.columns) == 25_000
    start = time.process_time()
    assert WatchChecker().check(long).status == "valid"
    assert time.process_time() - start < 5.0
