"""Campaigns: every combination is run once for each seed, and the table tells the worst of each."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from harness import campaign
from harness.campaign import Outcome, Row
from harness.config import RunConfig
from harness.errors import UsageError
from harness.verdict import Anomaly, OpCounts, Summary

COMMAND = (sys.executable, "-c", "from harness.cli import main; main()", "campaign")
BASE = RunConfig(system="", seed=4, time_limit_s=0.5)


def outcome(verdict: str, ok: int, *kinds: str, seed: int = 0) -> Outcome:
    """Return a run of register on memory."""
    anomalies = tuple(Anomaly(checker="c", kind=kind, summary=f"a {kind}") for kind in kinds)
    summary = Summary(verdict=verdict, anomalies=anomalies, ops=OpCounts(ok=ok))  # type: ignore[arg-type]
    return Outcome(RunConfig(system="memory", seed=seed), summary)


def test_every_combination_is_planned_once_for_each_seed() -> None:
    """Systems with their versions, times workloads, times faults, times seeds from the first one on."""
    configs = campaign.plan(["etcd:3.5.1", "memory"], ["register"], [(), ("pause", "kill")], 2, BASE)
    found = [(each.system, each.version, each.nemesis, each.seed) for each in configs]
    assert found == [
        (*system, nemesis, seed)
        for system in (("etcd", "3.5.1"), ("memory", ""))
        for nemesis in ((), ("pause", "kill"))
        for seed in (4, 5)
    ]
    assert {each.time_limit_s for each in configs} == {0.5}


def test_without_a_choice_every_workload_that_fits_is_planned() -> None:
    """A system gets the workloads that it has the facets for; an unknown one is an error before anything runs."""
    assert "register" in {each.workload for each in campaign.plan(["memory"], [], [()], 1, BASE)}
    with pytest.raises(UsageError, match="unknown workload 'dance'"):
        campaign.plan(["memory"], ["dance"], [()], 1, BASE)


def test_a_row_tells_the_worst_first_and_how_to_see_it_again() -> None:
    """Verdicts are counted, the operations' median is shown, and the first run that was not valid can be replayed."""
    outcomes = [outcome("valid", 10), outcome("invalid", 30, "stale read", "stale read", seed=7), outcome("valid", 20)]
    (row,) = campaign.rows(outcomes)
    assert row == Row(
        system="memory", workload="register", nemesis="none", runs=3, verdicts={"invalid": 1, "valid": 2}, ok=20,
        faults=0, anomalies={"stale read": 2}, replay=outcomes[1].config.command(),
    )  # fmt: skip
    assert list(row.verdicts) == ["invalid", "valid"]
    assert outcomes[1].line() == "memory register none seed 7: invalid, 30 ok: a stale read"


@pytest.mark.parametrize(
    ("verdicts", "code"), [("valid", 0), ("valid unknown", 3), ("unknown error", 4), ("error invalid valid", 1)]
)
def test_the_worst_verdict_is_the_exit_code(verdicts: str, code: int) -> None:
    """An anomaly is true whatever else went wrong."""
    assert campaign.worst([outcome(verdict, 1) for verdict in verdicts.split()]) == code


def test_a_campaign_runs_and_shows_its_table(tmp_path: Path) -> None:
    """A correct system and one with a bug: one row for each choice of faults, a store for the runs, exit code 1."""
    argv = [*COMMAND, "memory", "--workload", "register", "--nemesis", "none", "--nemesis", "kill", "--jobs", "2"]
    argv += ["--time-limit", "1", "--option", "bug=stale-reads", "--store", str(tmp_path)]
    done = subprocess.run([*argv, "--json"], capture_output=True, text=True, check=False)
    found = msgspec.json.decode(done.stdout, type=list[Row])
    assert [(row.nemesis, row.verdicts) for row in found] == [("none", {"invalid": 1}), ("kill", {"invalid": 1})]
    assert done.returncode == 1, done.stderr
    assert len(list(tmp_path.glob("memory-1-register/*/verdict.json"))) == 2


def test_a_wrong_option_ends_the_campaign(tmp_path: Path) -> None:
    """A run that could not start is a usage error that names the option and the run, not a traceback."""
    argv = [*COMMAND, "memory", "--nemesis", "none", "--option", "bug=fire", "--store", str(tmp_path)]
    done = subprocess.run([*argv, "--workload", "register"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "bug=fire is not possible" in done.stderr
    assert "it was in: kingslayer run memory" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_the_campaign_with_what_there_is(tmp_path: Path) -> None:
    """The run that goes on is stopped, checked and stored; its row is shown; the exit code is 130."""
    argv = [*COMMAND, "memory", "--workload", "register", "--nemesis", "none", "--seeds", "3", "--time-limit", "60"]
    with subprocess.Popen([*argv, "--store", str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        while not list(tmp_path.glob("memory-*/*/history.jsonl")):  # and not in a link that is in the making
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        output = child.communicate(timeout=30)[0]
    assert child.returncode == 130
    assert "memory" in output
    assert len(list(tmp_path.glob("*/*/verdict.json"))) == 1
