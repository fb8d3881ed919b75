"""Whole runs of the workloads watch and lease in memory: every bug is found, the correct form is never accused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import virtual_runs

from clusters.memory.lease_bugs import LEASE_BUGS
from clusters.memory.watch_bugs import WATCH_BUGS
from harness.config import RunConfig
from harness.history import History
from harness.verdict import Summary

FAULTS = ("partition", "pause", "kill")
TIME_S = {"watch": 3.0, "lease": 12.0}
BUGS = [
    *(("watch", bug) for bug in (*WATCH_BUGS, "split-brain")),
    *(("lease", bug) for bug in (*LEASE_BUGS, "split-brain")),
]
NEEDS_FAULTS = ("split-brain", "lease-leader-forgets")
SEEDS_MAX = 20
CORRECT_SEEDS = 6


def run(
    workload: str, seed: int, folder: Path, bug: str = "", nemesis: tuple[str, ...] = ()
) -> tuple[Summary, History]:
    """Return a short run's verdict and history."""
    config = RunConfig(
        system="memory",
        workload=workload,
        seed=seed,
        time_limit_s=TIME_S[workload],
        interval_s=TIME_S[workload] / 4,
        nemesis=nemesis,
        options={"bug": bug} if bug else {},
    )
    return virtual_runs.run(config, folder)


@pytest.mark.parametrize(("workload", "bug"), BUGS)
def test_every_bug_is_found(workload: str, bug: str, tmp_path: Path) -> None:
    """One of the first seeds is enough for each (measured: nearly every one is)."""
    nemesis = ("partition",) if bug in NEEDS_FAULTS else ()
    verdicts = (run(workload, seed, tmp_path, bug, nemesis)[0].verdict for seed in range(SEEDS_MAX))
    assert any(verdict == "invalid" for verdict in verdicts)


@pytest.mark.parametrize("workload", TIME_S)
def test_the_correct_form_is_never_accused(workload: str, tmp_path: Path) -> None:
    """Every second seed under all faults: valid, and enough succeeded."""
    for seed in range(CORRECT_SEEDS):
        summary, _ = run(workload, seed, tmp_path, nemesis=FAULTS * (seed % 2))
        assert (summary.verdict, summary.error, summary.anomalies) == ("valid", None, ())


def test_a_run_of_watches_has_all_that_the_promise_is_about(tmp_path: Path) -> None:
    """Watches deliver, are refused, and end with each prefix having come to its newest revision."""
    _, history = run("watch", 1, tmp_path, nemesis=FAULTS)
    watches = [op for op in history.events if op.f == "watch" and op.type != "invoke"]
    assert sum(bool(op.value.get("changes")) for op in watches) > 100
    assert sum(op.type == "fail" and type(op.observed) is int for op in watches) > 5
    assert {(op.f, op.type) for op in history.events} >= {("compact", "ok"), ("revision", "ok"), ("delete", "ok")}
    last = {op.key: op.type for op in watches}
    assert last == {"a/": "ok", "b/": "ok", "c/": "ok"}


def test_a_run_of_leases_has_all_that_the_promise_is_about(tmp_path: Path) -> None:
    """Leases are kept alive, revoked, and found to have ended; keys are there, and are gone."""
    _, history = run("lease", 1, tmp_path, nemesis=FAULTS)
    done = [op for op in history.events if op.type == "ok" and isinstance(op.process, int)]
    answers = Counter((op.f, op.value["held"]) for op in done if op.f in ("keep_alive", "revoke"))
    assert answers["keep_alive", True] > 50
    assert answers["keep_alive", False] > 5
    assert answers["revoke", True] > 3
    shown = Counter(op.value is None for op in done if op.f == "read")
    assert min(shown.values()) > 100
