"""The judge: an anomaly stands whatever else went wrong; what proves nothing is an error; nothing else passes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ContractError
from harness.history import History
from harness.judge import judge
from harness.op import NEMESIS, Op
from harness.verdict import Anomaly, Status, Verdict

ANOMALY = Anomaly(checker="fixed", kind="stale read", summary="s", witness=(0, 1))


class Fixed:
    """A checker that always says the same."""

    name = "fixed"

    def __init__(self, status: Status) -> None:
        self._status = status

    def check(self, history: History) -> Verdict:
        return Verdict(status=self._status, anomalies=(ANOMALY,) * (self._status == "invalid"), engine="fixed")


class Crashes:
    """A checker with a bug."""

    name = "crashes"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def check(self, history: History) -> Verdict:
        raise self._error


VALID, INVALID, UNKNOWN = (Fixed(status) for status in ("valid", "invalid", "unknown"))


def history(ok: int = 20, info: int = 0, faults: Sequence[tuple[str, str]] = ()) -> History:
    """So many reads that were ok and info; then faults as (type of the inject, type of the heal or "")."""
    events: list[Op] = []

    def add(process: int | str, kind: Any, f: str, **more: Any) -> None:
        events.append(Op(len(events), len(events), process, kind, f, **more))

    for process in range(ok + info):
        add(process, "invoke", "read")
        add(process, "ok" if process < ok else "info", "read")
    for number, types in enumerate(faults):
        for f, kind in zip(("inject", "heal"), types, strict=True):
            if kind:
                error = None if kind == "ok" else f"{f} failed"
                add(NEMESIS, "invoke", f, key=number, value={"kind": "pause"})
                add(NEMESIS, kind, f, key=number, value={"kind": "pause"}, error=error)
    return History(events)


GOOD = history(faults=[("ok", "ok")])
UNVERIFIED = history(faults=[("ok", "ok"), ("info", "ok")])
UNHEALED = history(faults=[("ok", "info")])
CUT_OFF = history(faults=[("ok", "")])
IDLE = history(ok=3)
BARREN = history(ok=0, info=100)


@pytest.mark.parametrize(
    ("record", "checkers", "verdict"),
    [
        (GOOD, [VALID], "valid"),
        (GOOD, [VALID, UNKNOWN], "unknown"),
        (GOOD, [UNKNOWN, INVALID, VALID], "invalid"),
        (GOOD, [], "unknown"),
        *((bad, [VALID], "error") for bad in (UNVERIFIED, UNHEALED, CUT_OFF, IDLE, BARREN)),
        *((bad, [UNKNOWN], "error") for bad in (UNVERIFIED, UNHEALED, CUT_OFF, IDLE, BARREN)),
        *((bad, [INVALID], "invalid") for bad in (UNVERIFIED, UNHEALED, CUT_OFF, IDLE, BARREN)),
    ],
)
def test_invalid_beats_error_beats_unknown_beats_valid(record: History, checkers: list[Any], verdict: str) -> None:
    """Whatever else went wrong an anomaly stands, and nothing that proves nothing passes."""
    summary = judge(record, checkers)
    assert summary.verdict == verdict
    assert bool(summary.anomalies) == (verdict == "invalid")
    assert (summary.error is not None) == (record is not GOOD)


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (UNVERIFIED, "fault 1 (pause) was not verified: inject failed"),
        (UNHEALED, "fault 0 (pause) was not verified: heal failed"),
        (CUT_OFF, "fault 0 (pause) was still on when the record ended"),
        (IDLE, "only 3 of 3 operations succeeded"),
        (BARREN, "only 0 of 100 operations succeeded"),
    ],
)
def test_an_error_says_what_is_wrong(record: History, text: str) -> None:
    """The reason names the fault, or what is too little."""
    assert text in str(judge(record, [VALID]).error)


def test_a_run_that_had_too_little_to_judge_says_so() -> None:
    """Scripts can tell a run that was merely too short from one that went wrong, and one that went wrong as well."""
    few = judge(IDLE, [VALID])
    assert few.shortfall
    assert few.error == "; ".join(few.shortfall)
    both = judge(IDLE, [VALID], errors=["the agent of n1 ended"])
    assert (both.shortfall, both.error) == (few.shortfall, f"the agent of n1 ended; {few.error}")
    assert judge(UNVERIFIED, [VALID]).shortfall == ()
    assert judge(IDLE, [VALID], of_run=False).shortfall == ()


def test_a_run_that_was_killed_is_not_blamed_for_the_fault_that_was_on() -> None:
    """In a record that was cut off, a fault that was still on is a remark."""
    summary = judge(CUT_OFF, [VALID], complete=False)
    assert (summary.verdict, summary.error) == ("valid", None)
    assert "fault 0 (pause) was still on when the record ended" in summary.reasons
    assert judge(UNVERIFIED, [VALID], complete=False).verdict == "error"


@pytest.mark.parametrize("error", [ValueError("bug"), RecursionError(), MemoryError(), KeyError("k"), AssertionError()])
def test_a_checker_that_crashes_is_unknown(error: Exception) -> None:
    """It says nothing of the history: never valid, and it never hides what others found; its traceback is told."""
    told: list[str] = []
    summary = judge(GOOD, [VALID, Crashes(error)], warn=told.append)
    assert summary.verdict == "unknown"
    assert any("checker crashes crashed: " + type(error).__name__ in reason for reason in summary.reasons)
    assert "Traceback" in told[0]
    assert judge(GOOD, [Crashes(error), INVALID]).verdict == "invalid"


def test_an_error_of_the_user_s_own_is_passed_on() -> None:
    """A checker that says whose fault it is is heard."""
    with pytest.raises(ContractError):
        judge(GOOD, [Crashes(ContractError("values must be numbers"))])


def test_the_summary_holds_what_the_judge_was_told(tmp_path: Path) -> None:
    """Counts, faults, engine, seed, store and remarks come through."""
    summary = judge(GOOD, [VALID], remarks=["late"], parse_s=1.23456, seed=7, store=tmp_path)
    assert (summary.ops.invoke, summary.ops.ok, summary.engine, summary.seed) == (20, 20, "fixed", 7)
    assert (summary.store, summary.reasons, summary.seconds.parse) == (str(tmp_path), ("late",), 1.235)
    assert [(fault.kind, fault.verified) for fault in summary.faults] == [("pause", True)]
    assert judge(GOOD, [VALID], errors=["no logs"]).error == "no logs"


@pytest.mark.parametrize(("late", "verdict"), [([], "valid"), (["n1", "n2"], "valid"), (["n1", "n2", "n3"], "error")])
def test_a_cluster_that_is_lost_for_good_is_an_error(late: list[str], verdict: str) -> None:
    """Where some node serves again the rest is a remark; where none does, nobody could look at what was kept."""
    events = list(GOOD.events)
    last = events[-1]
    mark = {"process": "run", "f": "final", "type": "invoke", "value": {"late": late, "nodes": 3}}
    events.append(Op(index=last.index + 1, time=last.time + 1, **mark))  # type: ignore[arg-type]
    summary = judge(History(events, "run"), [VALID])
    assert (summary.verdict, bool(summary.error)) == (verdict, verdict == "error")
    assert judge(History(events, "run"), [INVALID]).verdict == "invalid"


def test_a_fault_that_did_not_come_is_a_remark() -> None:
    """It makes a run neither an error nor does it count as a fault; a reader is told why it did not come."""
    events = list(history().events)
    value = {"kind": "pause"}
    for kind, error in (("invoke", None), ("fail", "the moment did not come within 5 s: election")):
        events.append(Op(len(events), len(events), NEMESIS, kind, "await", key=3, value=value, error=error))  # type: ignore[arg-type]
    summary = judge(History(events), [VALID])
    assert (summary.verdict, summary.faults, summary.error) == ("valid", (), None)
    assert summary.reasons == ("fault 3 (pause) did not come: the moment did not come within 5 s: election",)
