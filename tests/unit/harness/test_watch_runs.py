"""Whole runs of the workload watch in memory: every bug of its watches is found, the correct form is never accused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from memory_runs import config, run_all

from clusters.memory.watch_bugs import WATCH_BUGS


def test_each_bug_is_found(tmp_path: Path) -> None:
    """A second of load finds each bug (measured: with 19 or 20 of 20 seeds), so that one of two seeds does."""
    bugs = [bug for bug in (*WATCH_BUGS, "split-brain") for _ in range(2)]
    configs = [
        config(
            workload="watch",
            seed=seed,
            nemesis=("partition",) if bug == "split-brain" else (),
            options={"bug": bug},
        )
        for seed, bug in enumerate(bugs)
    ]
    results = run_all(configs, tmp_path)
    found = {bug for bug, result in zip(bugs, results, strict=True) if result.summary.verdict == "invalid"}
    assert found == {*WATCH_BUGS, "split-brain"}


def test_the_correct_form_is_never_accused(tmp_path: Path) -> None:
    """Ten seeds, every second one under all faults; watches are refused, go on after each other, and end well."""
    faults = ("partition", "pause", "kill")
    configs = [config(workload="watch", seed=seed, nemesis=faults * (seed % 2)) for seed in range(10)]
    results = run_all(configs, tmp_path)
    assert {(result.summary.verdict, result.summary.error) for result in results} == {("valid", None)}
    outcomes = Counter((op.f, op.type) for result in results for op in result.history.events)
    assert outcomes["watch", "ok"] > 500
    assert outcomes["watch", "fail"] > 5
    assert outcomes["compact", "ok"] > 5
    for result in results:
        last = {op.key: op for op in result.history.events if op.f == "watch"}
        assert {(op.key, op.type) for op in last.values()} == {("a/", "ok"), ("b/", "ok"), ("c/", "ok")}
