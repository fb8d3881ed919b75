"""Whole runs of task-claim on the service in memory: bugs are found, the correct form is never accused and drains."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from memory_runs import config, run_all, run_one

from checkers import linearizable
from checkers.claims import findings
from checkers.task_acts import Acts
from clusters.memory.task_bugs import TASK_BUGS
from harness.history import History
from harness.op import Op
from harness.runner import Result

FAULTS = ("partition", "pause", "kill")
TIMEOUT = {"timeout": "0.1"}


def tasks(**more: Any) -> Any:
    """A second of load, with claims that end soon enough to be taken over."""
    return config(**({"workload": "task-claim", "options": TIMEOUT} | more))


def test_bugs_are_found(tmp_path: Path) -> None:
    """A second of load finds each bug (measured: with 19 or 20 of 20 seeds) in one of 2 runs, with a small witness."""
    configs = [tasks(seed=seed, options=TIMEOUT | {"bug": bug}) for bug in TASK_BUGS for seed in range(2)]
    results = run_all(configs, tmp_path)
    found = Counter(result.record.config.options["bug"] for result in _invalid(results) if result.record)
    assert {bug: found[bug] for bug in TASK_BUGS if not found[bug]} == {}
    for result in _invalid(results):
        for anomaly in result.summary.anomalies:
            assert 2 <= len(anomaly.witness) <= 40
            assert anomaly.key in anomaly.summary


def _invalid(results: list[Result]) -> list[Result]:
    return [result for result in results if result.summary.verdict == "invalid"]


def test_a_split_brain_is_found(tmp_path: Path) -> None:
    """When two sides of a partition both serve, tasks are claimed on both."""
    configs = [tasks(seed=seed, nemesis=("partition",), options=TIMEOUT | {"bug": "split-brain"}) for seed in range(6)]
    assert len(_invalid(run_all(configs, tmp_path))) >= 2


@pytest.fixture(scope="module")
def correct(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """Twenty runs, every second one under all faults."""
    configs = [tasks(seed=seed, nemesis=FAULTS * (seed % 2)) for seed in range(20)]
    return run_all(configs, tmp_path_factory.mktemp("store"))


def test_the_correct_form_is_never_accused(correct: list[Result]) -> None:
    """Twenty seeds: valid, every fault verified, enough succeeded."""
    assert {(result.summary.verdict, result.summary.error) for result in correct} == {("valid", None)}


def test_every_acknowledged_task_is_done_at_the_end(correct: list[Result]) -> None:
    """The last status of each task whose submit was acknowledged is completed or failed, and most are completed."""
    for result in correct:
        oks = [op for op in result.history.events if op.type == "ok" and isinstance(op.process, int)]
        last = {op.key: op.value["state"] for op in oks if op.f == "status" and op.value is not None}
        acknowledged = {op.key for op in oks if op.f == "submit"}
        states = Counter(last[task] for task in acknowledged)
        assert set(states) <= {"completed", "failed"}
        assert states["completed"] > states["failed"]


def test_workers_die_freeze_steal_and_come_late(correct: list[Result]) -> None:
    """Every situation comes up: retries, steals, offers, claims that timed out, and reports on claims that are over."""
    quiet = correct[0].history
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
    result = run_one(tasks(concurrency=1), tmp_path)
    assert result.summary.verdict == "valid"
    assert Counter((op.f, op.type) for op in result.history.events)["complete", "ok"] >= 5


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
    options = TIMEOUT | ({"bug": bug} if bug else {})
    history = run_one(tasks(seed=4, options=options), tmp_path).history
    simple = simple_tasks(history)
    assert len(simple) >= 20
    refused = {task for task, one in simple.items() if linearizable("task").check(one).status == "invalid"}
    statuses = {"completion lost", "wrong result", "stale status"}
    found = {finding.task for finding in findings(Acts(history)) if finding.kind not in statuses}
    assert refused == found & set(simple)
    assert bool(refused) == bool(bug)
