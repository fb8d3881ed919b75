"""Whole runs of the workloads set and append in memory: every bug of the register shows in them too."""

from __future__ import annotations

from pathlib import Path

import pytest
from memory_runs import config, run_all

from clusters.memory.register_bugs import REGISTER_BUGS

WORKLOADS = ("set", "append")


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_bugs_of_the_register_are_found(tmp_path: Path, workload: str) -> None:
    """Half a second of load finds each bug (measured: with 20 of 20 seeds)."""
    bugs = [bug for bug in REGISTER_BUGS for _ in range(2)]
    results = run_all(
        [
            config(
                workload=workload,
                seed=seed,
                time_limit_s=0.8,
                nemesis=("partition",) if bug == "split-brain" else (),
                options={"bug": bug},
            )
            for seed, bug in enumerate(bugs)
        ],
        tmp_path,
    )
    found = {bug for bug, result in zip(bugs, results, strict=True) if result.summary.verdict == "invalid"}
    assert found == set(REGISTER_BUGS)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_correct_form_is_never_accused(tmp_path: Path, workload: str) -> None:
    """Ten seeds, every second one under all faults."""
    faults = ("partition", "pause", "kill")
    configs = [
        config(workload=workload, seed=seed, time_limit_s=0.8, nemesis=faults * (seed % 2)) for seed in range(10)
    ]
    results = run_all(configs, tmp_path)
    assert {(result.summary.verdict, result.summary.error) for result in results} == {("valid", None)}
