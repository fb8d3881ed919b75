"""Histories of the size and shape of real runs: decided, rightly, and in good time."""

from __future__ import annotations

import time
from pathlib import Path
from types import ModuleType

import pytest

from checkers import MODELS, Linearizable
from checkers.models import COMPARING_CAS_REGISTER


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark's module, which makes the histories."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))
    from benchmarks import check

    return check


@pytest.mark.parametrize("info", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("observing", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_atomic_register_is_valid_and_its_stale_twin_is_not(
    check: ModuleType, info: float, observing: bool, seed: int
) -> None:
    """What an atomic register recorded is valid, with many unknown outcomes too; one stale read in it is found."""
    checker = Linearizable(MODELS["cas-register"] if observing else COMPARING_CAS_REGISTER)
    history = check.generate(check.Shape(keys=5, info=info, observing=observing), seed)
    assert checker.check(history).status == "valid"
    verdict = checker.check(check.with_stale_read(history))
    assert [anomaly.key for anomaly in verdict.anomalies] == [history.columns.keys[-1]]
    if observing:
        assert len(verdict.anomalies[0].witness) <= 8, "a reader can follow it"


def test_few_values_are_decided(check: ModuleType) -> None:
    """Histories in which five values are written over and over are decided too."""
    history = check.generate(check.Shape(keys=10, values=5), 3)
    assert Linearizable(MODELS["cas-register"]).check(history).status == "valid"


def test_a_real_run_takes_seconds(check: ModuleType) -> None:
    """30,000 operations on 100 keys are decided within ten seconds, though it takes a third of one on an idle core."""
    history = check.generate(check.Shape(keys=100, info=0.05), 4)
    start = time.perf_counter()
    assert Linearizable(MODELS["cas-register"]).check(history).status == "valid"
    assert time.perf_counter() - start < 10.0
