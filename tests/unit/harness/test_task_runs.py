"""Whole runs of task-claim on the service in memory: bugs are found, the correct form is never accused and drains."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
import virtual_runs

from checkers import linearizable
from checkers.claims import findings
from checkers.task_acts import Acts
from clusters.memory.task_bugs import TASK_BUGS
from harness.config import RunConfig
from harness.history import History
from harness.op import Op
from harness.verdict import Summary

FAULTS = ("partition", "pause", "kill")
SEEDS_MAX = 20
CORRECT_SEEDS = 20


def run(seed: int, folder: Path, *, concurrency: int = 20, **options: str) -> tuple[Summary, History]:
    """Three seconds of load in virtual time, with every second seed and all families of faults."""
    return virtual_runs.run(
        RunConfig(
            system="memory",
            workload="task-claim",
            nemesis=FAULTS * (seed % 2),
            time_limit_s=3.0,
            interval_s=1.5,
            concurrency=concurrency,
            seed=seed,
            options={"timeout": "0.3"} | options,
        ),
        folder,
    )


@pytest.mark.parametrize("bug", [*TASK_BUGS, "split-brain"])
def test_every_bug_is_found(tmp_path: Path, bug: str) -> None:
    """One of 20 seeds is enough (measured: 6 of 20 find the split brain, and 18 or more any other bug)."""
    found = next(
        (one for seed in range(SEEDS_MAX) if (one := run(seed, tmp_path, bug=bug)[0]).verdict == "invalid"), None
    )
    assert found is not None
    for anomaly in found.anomalies:
        assert 2 <= len(anomaly.witness) <= 40
        assert anomaly.key in anomaly.summary


@pytest.fixture(scope="module")
def correct(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Summary, History]]:
    """Runs of the correct form, every second one under all faults."""
    folder = tmp_path_factory.mktemp("correct")
    return [run(seed, folder) for seed in range(CORRECT_SEEDS)]


def test_the_correct_form_is_never_accused(correct: list[tuple[Summary, History]]) -> None:
    """Valid with every seed, every fault verified, enough succeeded."""
    assert {(summary.verdict, summary.error) for summary, _ in correct} == {("valid", None)}
    assert sum(len(summary.faults) for summary, _ in correct) >= 10


def test_every_acknowledged_task_is_done_at_the_end(correct: list[tuple[Summary, History]]) -> None:
    """The last status of each task whose submit was acknowledged is completed or failed, and most are completed."""
    for _, history in correct:
        oks = [op for op in history.events if op.type == "ok" and isinstance(op.process, int)]
        last = {op.key: op.value["state"] for op in oks if op.f == "status" and op.value is not None}
        states = Counter(last[op.key] for op in oks if op.f == "submit")
        assert set(states) <= {"completed", "failed"}
        assert states["completed"] > states["failed"]


def test_workers_die_freeze_steal_and_come_late(correct: list[tuple[Summary, History]]) -> None:
    """Every situation comes up: retries, steals, offers, claims that timed out, and reports on claims that are over."""
    quiet = correct[0][1]
    done = Counter((op.f, op.type) for op in quiet.events)
    for f in ("submit", "claim", "complete", "fail", "offer", "steal"):
        assert done[f, "ok"] >= 5, f
    assert done["complete", "fail"] >= 5  # late, or stolen from
    assert _timed_out(quiet) >= 5


def _timed_out(history: History) -> int:
    """Count claims of tasks that had been claimed before, and on which nobody had reported."""
    held, count = set(), 0
    for op in history.events:
        if op.type == "ok" and op.f == "claim":
            count += op.value["task"] in held
            held.add(op.value["task"])
        elif op.type == "ok" and op.f in ("complete", "fail"):
            held.discard(op.key)
    return count


def test_it_runs_with_one_client(tmp_path: Path) -> None:
    """A single client submits, claims and completes by itself."""
    summary, history = run(0, tmp_path, concurrency=1)
    assert summary.verdict == "valid"
    assert Counter((op.f, op.type) for op in history.events)["complete", "ok"] >= 5


def test_a_seed_replays_a_run(tmp_path: Path) -> None:
    """The same seed gives the same history, although what workers do depends on what they hold."""
    one, two = (run(5, tmp_path / name)[1].events for name in ("one", "two") if (tmp_path / name).mkdir() is None)
    assert list(one) == list(two)


def simple_tasks(history: History) -> dict[str, History]:
    """Return what was done to each task that was only submitted, claimed and completed, as the model `task` reads it.

    The model knows of no timeouts: a claim takes the task from the worker before, whenever it comes.
    """
    done: dict[str, list[Op]] = {}
    begun: dict[Any, Op] = {}
    handled = set()
    for op in history.events:
        if op.type == "invoke":
            begun[op.process] = op
        elif op.type == "ok" and isinstance(op.process, int) and op.f != "status":
            task = op.value["task"] if op.f == "claim" else op.key
            value = op.value["epoch"] if op.f in ("claim", "complete") else None
            if op.f not in ("submit", "claim", "complete"):
                handled.add(task)
            both = (begun[op.process], op)
            done.setdefault(task, []).extend(msgspec.structs.replace(each, key=task, value=value) for each in both)
    return {
        task: History(sorted(events, key=lambda op: op.index), task)
        for task, events in done.items()
        if task not in handled
    }


@pytest.mark.parametrize("bug", ["", "stale-completions", "lost-completions", "second-completions"])
def test_the_model_of_a_task_is_of_the_same_opinion(tmp_path: Path, bug: str) -> None:
    """Of tasks that were only submitted, claimed and completed, the model refuses those that the checker accuses."""
    options = {"bug": bug} if bug else {}
    statuses = {"completion lost", "wrong result", "stale status"}
    refused_at_all = 0
    for seed in range(0, 8, 2):
        history = run(seed, tmp_path, **options)[1]
        simple = simple_tasks(history)
        assert len(simple) >= 20
        refused = {task for task, one in simple.items() if linearizable("task").check(one).status == "invalid"}
        found = {finding.task for finding in findings(Acts(history)) if finding.kind not in statuses}
        assert refused == found & set(simple)
        refused_at_all += len(refused)
    assert bool(refused_at_all) == bool(bug)
