"""Too few successes are not a pass."""

from __future__ import annotations

from checkers.stats import Stats, op_table
from harness.history import History
from harness.op import Op
from harness.verdict import OpCounts


def _history(**outcomes: dict[str, int]) -> History:
    """Return a history with so many operations of each f and outcome."""
    events = []
    for f, counts in outcomes.items():
        for kind, number in counts.items():
            for _ in range(number):
                at = len(events)
                events.append(Op(index=at, time=at, process=at, type="invoke", f=f))
                events.append(Op(index=at + 1, time=at + 1, process=at, type=kind, f=f))
    return History(events)


def test_counts_of_each_operation() -> None:
    """Each f has its own counts."""
    table = op_table(_history(read={"ok": 3, "info": 1}, cas={"fail": 2}))
    assert table == {"read": OpCounts(invoke=4, ok=3, fail=0, info=1), "cas": OpCounts(invoke=2, ok=0, fail=2, info=0)}


def test_enough_successes_are_valid() -> None:
    """A run that mostly works passes; an f that was seldom tried need not have succeeded."""
    assert Stats().check(_history(read={"ok": 60, "fail": 20}, cas={"fail": 20})).status == "valid"


def test_no_operation_at_all_is_unknown() -> None:
    """An empty history proves nothing."""
    assert Stats().check(History([])).reasons == ("only 0 of 0 operations succeeded; a verdict needs 10",)


def test_hardly_anything_succeeded_is_unknown() -> None:
    """Few successes among many are unknown, by number and by share."""
    few = Stats(min_ok=10).check(_history(read={"ok": 9, "info": 5}))
    assert (few.status, few.reasons) == ("unknown", ("only 9 of 14 operations succeeded; a verdict needs 10",))
    rare = Stats(min_ok_ratio=0.5).check(_history(read={"ok": 20, "fail": 80}))
    assert rare.reasons == ("only 20 % of 100 operations succeeded; a verdict needs 50%",)


def test_an_operation_that_never_succeeded_is_unknown() -> None:
    """One f that was tried often and never succeeded is named, with how it ended."""
    verdict = Stats(often=50).check(_history(read={"ok": 60}, cas={"fail": 40, "info": 10}))
    assert verdict.reasons == ("no cas succeeded, of 50 (40 failed, 10 of unknown outcome)",)
