"""Whole runs of elections in memory, in virtual time: each bug is found, the correct form is never accused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from memory_runs import config, run_one
from virtual_runs import run

from clusters.memory.election_bugs import ELECTION_BUGS
from harness.check import check
from harness.config import RunConfig
from harness.history import History
from harness.verdict import Summary
from workloads.election import ELECTIONS

FAULTS = ("partition", "pause", "kill")


def election(seed: int, folder: Path, **more: Any) -> tuple[Summary, History]:
    """Ten seconds of elections; every second seed is under faults."""
    usual: dict[str, Any] = {"workload": "election", "rate": 200.0, "nemesis": FAULTS * (seed % 2)}
    usual |= {"time_limit_s": 10.0, "interval_s": 2.0, "options": {"ttl_s": "1"}}
    return run(RunConfig(system="memory", seed=seed, **(usual | more)), folder)


@pytest.mark.parametrize("bug", [name for name in ELECTION_BUGS if name != "leader-never-ends"])
def test_each_bug_of_elections_is_found(bug: str, tmp_path: Path) -> None:
    """One of four seeds is enough (measured: at least 15 of 20 find each)."""
    found = (election(seed, tmp_path, options={"ttl_s": "1", "bug": bug})[0] for seed in range(4))
    assert any(summary.verdict == "invalid" for summary in found)


@pytest.mark.parametrize(
    ("bug", "kind"),
    [
        ("two-nodes-lead", "two leaders in one term"),
        ("term-forgotten", "term went back"),
        ("skipped-entry", "divergence"),
    ],
)
def test_each_bug_of_nodes_is_found_by_another_workload(bug: str, kind: str, tmp_path: Path) -> None:
    """What nodes say of their leader and of their data is checked in every run, such as one of registers."""
    more: dict[str, Any] = {"workload": "register", "options": {"bug": bug}, "nemesis": ("partition",), "rate": 50.0}
    found = [election(seed, tmp_path, **more)[0] for seed in range(6)]
    assert kind in {anomaly.kind for summary in found for anomaly in summary.anomalies}


def test_a_panic_in_a_log_is_found(tmp_path: Path) -> None:
    """The logs are looked at after the run, and what was found there is found again in the stored history."""
    result = run_one(config(time_limit_s=0.3, options={"bug": "panics"}), tmp_path)
    again, _ = check(result.folder.path, "", None, print)
    assert {anomaly.kind for anomaly in result.summary.anomalies} == {"panic"}
    assert again.anomalies == result.summary.anomalies
    assert "server.log of n" in again.anomalies[0].summary


def test_an_election_that_nobody_can_win_is_stuck(tmp_path: Path) -> None:
    """A leader that is gone for ever without a word is told, with the tries to follow it."""
    summary, history = election(0, tmp_path, options={"ttl_s": "1", "bug": "leader-never-ends"})
    stuck = [anomaly for anomaly in summary.anomalies if anomaly.kind == "stuck"]
    assert stuck
    assert {history.events[index].f for anomaly in stuck for index in anomaly.witness} == {"campaign"}


def test_the_correct_form_is_never_accused(tmp_path: Path) -> None:
    """Twenty seeds are valid (measured: a hundred), and leaders that froze are told apart from anomalies."""
    found = [election(seed, tmp_path)[0] for seed in range(20)]
    assert {(summary.verdict, summary.error) for summary in found} == {("valid", None)}
    reasons = [reason for summary in found for reason in summary.reasons]
    assert any(reason.startswith("unsafe but fenced: ") for reason in reasons)
    assert not any(reason.startswith("unsafe: ") for reason in reasons)


def test_everything_that_leaders_do_happens(tmp_path: Path) -> None:
    """One run has every operation with success, refused renewals, and a leader in every election at the end."""
    _, history = election(1, tmp_path)
    ok = [op for op in history.events if type(op.process) is int and op.type == "ok"]
    assert {op.f for op in ok} == {"campaign", "renew", "resign", "leader", "watch", "freeze", "write"}
    assert {op.value["held"] for op in ok if op.f in ("renew", "resign")} == {True, False}
    assert {op.value["fenced"] for op in ok if op.f == "write"} == {True, False}
    assert {event["kind"] for op in ok if op.f == "watch" for event in op.value} == {"elected", "changed", "resigned"}
    healed_ns = max(fault.end_ns or 0 for fault in history.faults)
    assert {op.key for op in ok if op.f == "campaign" and op.time > healed_ns} == {
        f"e{number}" for number in range(ELECTIONS)
    }
