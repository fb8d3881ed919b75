"""The verdict in plain words."""

from __future__ import annotations

import msgspec
import pytest
from sample import sample

from harness.history import History
from harness.op import Op
from harness.verdict import Anomaly, FaultOutcome, OpCounts, Summary
from reports.text import ANOMALIES_MAX, explain
from reports.words import outcome_text


def test_a_valid_run_says_what_was_checked() -> None:
    """How many operations on how many keys, by what, and under which faults."""
    run = sample(4_000)
    first, *rest = explain(run.summary, run.history)
    assert first == "VALID: no promise was broken"
    text = " ".join(rest)
    assert f"{run.summary.ops.invoke:,} operations on {len(run.history.columns.keys)} keys were checked" in text
    assert "a single order for each key" in text
    assert "8 faults were on meanwhile, measured to take effect." in text


@pytest.mark.parametrize(
    ("engine", "ordered"),
    [("unique values", True), ("unique values + forward search", True), ("distinct ids", False), ("", False)],
)
def test_an_order_is_claimed_only_by_engines_that_found_one(engine: str, ordered: bool) -> None:
    """A checker of another promise does not say that operations have an order."""
    one = sample(1_000, seconds=5)
    text = " ".join(explain(msgspec.structs.replace(one.summary, engine=engine), one.history))
    assert ("single order" in text) == ordered


def test_an_invalid_run_shows_who_did_what_when_under_which_fault() -> None:
    """Each anomaly comes with an aligned table of its operations, and the fault that was on."""
    run = sample(4_000, anomalies=3)
    lines = explain(run.summary, run.history)
    assert lines[0] == "INVALID: a promise was broken: stale read, not linearizable and split brain"
    start = lines.index("stale read on key x (found by linearizability)")
    assert lines[start + 2 : start + 7] == [
        "       start       end  process       node  operation  outcome",
        "    5.1000 s  5.1042 s  process 1001  n2    write 4    ok",
        "    6.2011 s  6.2052 s  process 1002  n3    write 9    ok",
        "    6.2071 s  6.2098 s  process 1003  n5    read       ok → 9",
        "    6.2131 s  6.2139 s  process 1004  n1    read       ok → 4",
    ]
    assert lines[start + 7].startswith("  while this fault was on: #0 partition into halves: n1 n4 | n2 n3 n5")


def test_many_anomalies_are_cut() -> None:
    """A terminal shows the first few, and says how many more there are."""
    anomalies = tuple(
        Anomaly(checker="c", kind="lost write", summary=f"number {at}") for at in range(ANOMALIES_MAX + 3)
    )
    lines = explain(Summary(verdict="invalid", anomalies=anomalies), History([]))
    assert lines[0].endswith(f"lost write ({ANOMALIES_MAX + 3} times)")
    assert lines[-1] == "3 further anomalies in the report."


def test_unknown_and_error_say_why_and_never_sound_like_a_pass() -> None:
    """The reason, or the error, stands right below the verdict."""
    unknown = explain(Summary(verdict="unknown", reasons=("key a: out of time",)), History([]))
    assert unknown[0] == "UNKNOWN: the record does not decide it"
    assert "- key a: out of time" in unknown
    error = explain(Summary(verdict="error", error="fault 0 was not verified", ops=OpCounts(invoke=1)), History([]))
    assert error[0] == "ERROR: this run proves nothing, so it is not a pass"
    assert "- fault 0 was not verified" in error
    assert "1 operation on 0 keys" in error[1]


def test_a_fault_that_was_not_verified_is_not_boasted_of() -> None:
    """Only faults that all took effect are counted in a valid verdict's favour."""
    faults = (FaultOutcome(kind="kill", verified=True), FaultOutcome(kind="kill", verified=False))
    assert "meanwhile" not in " ".join(explain(Summary(verdict="valid", faults=faults), History([])))


def test_control_characters_never_reach_the_terminal() -> None:
    """Whatever a system says in names, values and errors, no escape sequence of it is printed."""
    evil = "\x1b[2J\n\x07"
    events = [
        Op(0, 0, 1, "invoke", f"read{evil}", node=evil, key=evil, value=evil),
        Op(1, 9, 1, "fail", f"read{evil}", node=evil, key=evil, error=evil, observed=evil),
        Op(2, 10, evil, "invoke", "x"),
    ]
    anomaly = Anomaly(checker=evil, kind=evil, summary=f"a{evil}b", witness=(0, 2), key=evil)
    lines = explain(
        Summary(verdict="invalid", anomalies=(anomaly,), error=evil, reasons=(evil,), engine=evil), History(events)
    )
    assert all(line.isprintable() for line in lines)


def test_the_status_of_a_task_is_an_answer_like_any_other() -> None:
    """What a client's operation of this name saw is shown; only a node's own status has a role."""
    asked = Op(0, 0, 1, "invoke", "status", key="t1")
    told = msgspec.structs.replace(asked, index=1, type="ok", value={"state": "claimed", "epoch": 2})
    assert outcome_text(asked, told) == 'ok → {"state":"claimed","epoch":2}'
