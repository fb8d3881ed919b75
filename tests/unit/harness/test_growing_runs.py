"""Whole runs of the workloads set and append in memory: every bug of the register shows in them too."""

from __future__ import annotations

from pathlib import Path

import pytest
import virtual_runs
from memory_runs import config, run_all

from clusters.memory.register_bugs import REGISTER_BUGS
from harness.config import RunConfig
from harness.verdict import Summary

WORKLOADS = ("set", "append")
NEEDS_OVERLAP = "non-atomic-cas"
"""It shows only where two clients act at once, which they never do in virtual time."""
SEEDS_MAX = 20
CORRECT_SEEDS = 6


def run(workload: str, seed: int, folder: Path, bug: str = "", nemesis: tuple[str, ...] = ()) -> Summary:
    """Return a short run's verdict."""
    options = {"bug": bug} if bug else {}
    shape = RunConfig(
        system="memory",
        workload=workload,
        seed=seed,
        time_limit_s=2.0,
        interval_s=0.5,
        nemesis=nemesis,
        options=options,
    )
    return virtual_runs.run(shape, folder)[0]


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("bug", [bug for bug in REGISTER_BUGS if bug != NEEDS_OVERLAP])
def test_the_bugs_of_the_register_are_found(workload: str, bug: str, tmp_path: Path) -> None:
    """One of the first seeds is enough for each."""
    nemesis = ("partition",) if bug == "split-brain" else ()
    assert any(run(workload, seed, tmp_path, bug, nemesis).verdict == "invalid" for seed in range(SEEDS_MAX))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_cas_in_two_steps_is_found(workload: str, tmp_path: Path) -> None:
    """In real time, with many clients at once (measured: with 20 of 20 seeds), one of six does."""
    configs = [config(workload=workload, seed=seed, options={"bug": NEEDS_OVERLAP}) for seed in range(6)]
    assert any(result.summary.verdict == "invalid" for result in run_all(configs, tmp_path))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_correct_form_is_never_accused(workload: str, tmp_path: Path) -> None:
    """Every second seed under all faults: valid, and enough succeeded."""
    for seed in range(CORRECT_SEEDS):
        summary = run(workload, seed, tmp_path, nemesis=("partition", "pause", "kill") * (seed % 2))
        assert (summary.verdict, summary.error, summary.anomalies) == ("valid", None, ())
