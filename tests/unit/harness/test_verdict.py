"""Verdicts: how several make one, and the one object that --json prints."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.verdict import Anomaly, FaultOutcome, OpCounts, Summary, Verdict, merge

ANOMALY = Anomaly(checker="c", kind="stale read", summary="s", witness=(1, 2), key="k")
SEVERITY = ("valid", "unknown", "invalid")

verdicts = st.builds(
    lambda status, engine, reason: Verdict(
        status=status, anomalies=(ANOMALY,) * (status == "invalid"), engine=engine, reasons=(reason,)
    ),
    st.sampled_from(SEVERITY),
    st.sampled_from(["", "search", "stats"]),
    st.text(max_size=3),
)


@given(st.lists(verdicts, min_size=1, max_size=5))
def test_the_worst_wins_and_nothing_is_lost(parts: list[Verdict]) -> None:
    """Invalid beats unknown beats valid, in any order; every anomaly and every reason is kept."""
    merged = merge(parts)
    assert merged.status == max((part.status for part in parts), key=SEVERITY.index)
    assert len(merged.anomalies) == sum(len(part.anomalies) for part in parts)
    assert list(merged.reasons) == list(itertools.chain.from_iterable(part.reasons for part in parts))
    assert set(filter(None, merged.engine.split(" + "))) == {part.engine for part in parts if part.engine}


def test_nothing_checked_is_unknown() -> None:
    """No checker at all is not a pass."""
    assert merge([]).status == "unknown"


@pytest.mark.parametrize(("verdict", "code"), [("valid", 0), ("invalid", 1), ("unknown", 3), ("error", 4)])
def test_exit_codes(verdict: str, code: int) -> None:
    """Each verdict has the exit code that the documentation says."""
    assert msgspec.convert({"verdict": verdict}, Summary).exit_code == code


def test_the_summary_is_as_the_format_says() -> None:
    """The object's fields, their names and their shapes."""
    summary = Summary(
        verdict="invalid",
        anomalies=(ANOMALY,),
        ops=OpCounts(4, 2, 1, 1),
        faults=(FaultOutcome("kill", True),),
        seed=7,
        store="store/x",
    )
    assert msgspec.json.decode(msgspec.json.encode(summary)) == {
        "verdict": "invalid",
        "anomalies": [{"checker": "c", "kind": "stale read", "summary": "s", "witness": [1, 2], "key": "k"}],
        "ops": {"invoke": 4, "ok": 2, "fail": 1, "info": 1},
        "faults": [{"kind": "kill", "verified": True}],
        "coverage": [],
        "engine": "",
        "seconds": {"parse": 0.0, "check": 0.0},
        "seed": 7,
        "store": "store/x",
        "error": None,
        "shortfall": [],
        "reasons": [],
    }
    assert msgspec.json.decode(msgspec.json.encode(summary), type=Summary) == summary
