"""Whole runs of the workload membership in memory: every bug is found, the correct form is never accused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import virtual_runs

from clusters.memory.member_bugs import MEMBER_BUGS
from harness.config import RunConfig
from harness.history import History
from harness.verdict import Summary

FAULTS = ("partition", "pause", "kill")
TIME_S = 8.0
SEEDS_MAX = 20
CORRECT_SEEDS = 6


def run(seed: int, folder: Path, bug: str = "", nemesis: tuple[str, ...] = ()) -> tuple[Summary, History]:
    """Return a short run's verdict and history."""
    config = RunConfig(
        system="memory",
        workload="membership",
        seed=seed,
        time_limit_s=TIME_S,
        interval_s=TIME_S / 4,
        rate=200.0,
        nemesis=nemesis,
        options={"bug": bug} if bug else {},
    )
    return virtual_runs.run(config, folder)


@pytest.mark.parametrize("bug", [*MEMBER_BUGS, "split-brain", "lost-writes"])
def test_every_bug_is_found(bug: str, tmp_path: Path) -> None:
    """One of the first seeds is enough for each (measured: nearly every one is)."""
    nemesis = ("partition",) if bug == "split-brain" else ()
    verdicts = (run(seed, tmp_path, bug, nemesis)[0].verdict for seed in range(SEEDS_MAX))
    assert any(verdict == "invalid" for verdict in verdicts)


def test_the_correct_form_is_never_accused(tmp_path: Path) -> None:
    """Every second seed under all faults: valid, and enough succeeded."""
    for seed in range(CORRECT_SEEDS):
        summary, _ = run(seed, tmp_path, nemesis=FAULTS * (seed % 2))
        assert (summary.verdict, summary.error, summary.anomalies) == ("valid", None, ())


def test_a_run_has_all_that_the_promise_is_about(tmp_path: Path) -> None:
    """Members come and go, are told of with their health on every node, and registers are used; and once more after."""
    _, history = run(1, tmp_path, nemesis=FAULTS)
    done = [op for op in history.events if op.type == "ok" and isinstance(op.process, int)]
    count = Counter(op.f for op in done)
    assert min(count["join"], count["leave"]) >= 5
    assert min(count[f] for f in ("members", "health", "leader", "read", "write", "cas")) >= 20
    assert {op.node for op in done if op.f == "health"} == {"n1", "n2", "n3", "n4", "n5"}
    sizes = Counter(len(op.value) for op in done if op.f == "members")
    assert set(sizes) == {5, 6}
    last = next(op for op in history.events if op.f == "final")
    assert any(op.f in ("join", "leave") for op in done if op.index > last.index)


def test_a_run_is_the_same_again_by_its_seed(tmp_path: Path) -> None:
    """Event by event."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = (run(3, tmp_path / name, nemesis=FAULTS)[1].events for name in ("one", "two"))
    assert list(one) == list(two)
