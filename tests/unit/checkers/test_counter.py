"""Counters: bounds and exact, each anomaly beside its valid twin, and the oracle's verdict on everything."""

from __future__ import annotations

import random
from itertools import chain, combinations

import numpy as np
import pytest
from agreement import agree, agree_with_search, verdict_of
from drawn_objects import draw
from object_histories import is_explained, small_history, tries
from object_specs import CounterSpec, Try

from checkers.counter import Counter, CounterBounds
from checkers.models import NEVER_COMPLETES
from checkers.object_models import COUNTER
from harness.errors import HistoryError
from harness.history import History
from tests.kernel_forms import FORMS, load

ANOMALIES = [
    (
        ["add 1 : [-]", "read 0 :    [-]"],
        ["add 1 : [--]", "read 0 :   [-]"],
        "read of 0 by process 1 (0.40 s to 0.60 s) is out of bounds: by the additions that had returned before it and "
        "those that began before its end it is at least 1",
        4,
    ),
    (
        ["read 1 : [-]", "add 1 :    [-]"],
        ["read 1 : [--]", "add 1 :   [-]"],
        "read of 1 by process 0 (0.10 s to 0.30 s) is out of bounds: by the additions that had returned before it and "
        "those that began before its end it is at most 0",
        2,
    ),
    (
        ["add 2 : [", "read 3 : [-]"],
        ["add 2 : [", "read 2 : [-]"],
        "read of 3 by process 1 returned at 0.30 s, but no number of additions of 2 makes that",
        2,
    ),
    (
        ["add 1 : [", "read 1 : [-]", "read 0 :    [-]"],
        ["add 1 : [", "read 0 : [-]", "read 1 :    [-]"],
        "no order of the additions explains read of 1 by process 1 (0.10 s to 0.30 s) and read of 0 by process 2 (0.40 "
        "s to 0.60 s)",
        4,
    ),
]


@pytest.mark.parametrize(("bad", "good", "summary", "events"), ANOMALIES)
def test_each_anomaly_and_its_valid_twin(bad: list[str], good: list[str], summary: str, events: int) -> None:
    """An anomaly is named and told with its witness; the nearest valid history is valid."""
    (anomaly,) = verdict_of(Counter(), CounterSpec(1, 2), draw(*bad)).anomalies
    assert (anomaly.kind, anomaly.summary, len(anomaly.witness)) == ("counter out of bounds", summary, events)
    assert verdict_of(Counter(), CounterSpec(1, 2), draw(*good)).status == "valid"


@pytest.mark.parametrize("step", [1, -3])
@pytest.mark.parametrize("seed", range(5))
def test_random_histories_get_the_oracles_verdict(seed: int, step: int) -> None:
    """5,000 small histories of each step; every witness is a proof and minimal."""
    agree(Counter(), CounterSpec(step), seed, 1_000)


@pytest.mark.parametrize("seed", range(4))
def test_additions_of_different_size_get_the_oracles_verdict(seed: int) -> None:
    """Of 3,000 small histories with unequal additions, bounds decide some and search the others, all of them right."""
    rng = random.Random(seed)
    spec = CounterSpec(1, 2, -1)
    for _ in range(750):
        history = small_history(spec, lambda below: int(rng.random() * below))
        expected = "valid" if is_explained(spec, tries(history)) else "invalid"
        assert Counter().check(history).status == expected


def test_a_bound_is_proved_by_the_largest_additions() -> None:
    """Of unequal additions that had returned, the witness has as few as put the read out of bounds."""
    history = draw("add 5 : [-]", "add -2 : [-]", "add 7 : [-]", "read 4 :    [-]")
    (anomaly,) = CounterBounds().check(history).anomalies
    assert anomaly.witness == (2, 5, 6, 7)
    assert anomaly.summary.endswith("before its end it is at least 10")


def test_longer_histories_get_the_general_engines_verdict() -> None:
    """Histories of up to 24 operations are decided as by the general engine."""
    agree_with_search(Counter(), COUNTER, CounterSpec(2), 150)


def _within_bounds(items: list[Try]) -> bool:
    adds = [item for item in items if item.f == "add"]
    for read in (item for item in items if item.f == "read"):
        sure = sum(add.value for add in adds if add.complete < read.invoke)
        loose = [add.value for add in adds if add.complete > read.invoke and add.invoke < read.complete]
        sums = [sure + sum(part) for part in chain(*(combinations(loose, size) for size in range(len(loose) + 1)))]
        if not min(sums) <= read.result <= max(sums):
            return False
    return True


@pytest.mark.parametrize("deltas", [(1,), (1, 2, -1), (-4, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_bounds_are_those_of_every_choice_of_additions(seed: int, deltas: tuple[int, ...]) -> None:
    """20,400 small histories: each read is compared with all sums of open additions; no linearizable one is accused."""
    rng = random.Random(seed)
    spec = CounterSpec(*deltas)
    for number in range(1_700):
        history = small_history(spec, lambda below: int(rng.random() * below))
        items = tries(history)
        status = CounterBounds().check(history).status
        assert status == ("valid" if _within_bounds(items) else "invalid")
        if number % 4 == 0 and is_explained(spec, items):
            assert status == "valid"


@pytest.mark.parametrize("form", FORMS)
def test_both_forms_of_the_kernel_agree(form: str) -> None:
    """The kernel gives the checker's answer compiled and as plain Python."""
    turns = load("turns", form)
    rng = random.Random(3)
    for _ in range(500):
        history = small_history(CounterSpec(1), lambda below: int(rng.random() * below))
        items = tries(history)
        target = np.array([item.result if item.f == "read" else -1 for item in items], np.int64)
        invoke = np.array([item.invoke for item in items], np.int64)
        ret = np.array([int(item.complete) if item.certain else NEVER_COMPLETES for item in items], np.int64)
        by_ret = np.flatnonzero(ret != NEVER_COMPLETES)
        by_ret = by_ret[np.argsort(ret[by_ret])]
        size = len(items)
        code = turns.count_up(target, invoke, ret, by_ret, np.empty(size, np.int64), np.empty(size, np.int64))
        assert (code == turns.FITS) == (Counter().check(history).status == "valid")


def test_a_sum_that_no_subset_makes_is_found_by_search() -> None:
    """3 is between 0 and 4, but two open additions of 2 and 2 and one of 4 cannot make it."""
    history = draw("add 2 : [-]", "add 4 : [-]", "read 3 : [-]")
    assert CounterBounds().check(history).status == "valid"
    verdict = Counter().check(history)
    assert (verdict.status, verdict.engine) == ("invalid", "forward search")


def test_numbers_that_do_not_fit_into_a_machine_word() -> None:
    """Additions of 2**70 are decided by search."""
    huge = 2**70
    assert Counter().check(draw(f"add {huge} : [-]", f"read {huge} :    [-]")).status == "valid"
    assert Counter().check(draw(f"add {huge} : [-]", "read 0 :    [-]")).status == "invalid"


def test_a_value_that_is_no_integer_is_an_error() -> None:
    """Another workload's values give no verdict, but an error that names the event."""
    with pytest.raises(HistoryError, match='event 0: the value of an addition is "x" and not an integer'):
        Counter().check(draw('add "x" : [-]'))
    with pytest.raises(HistoryError, match="event 1: the value of a read is null and not an integer"):
        CounterBounds().check(draw("read : [-]"))


def test_nothing_happened() -> None:
    """An empty history is valid."""
    assert Counter().check(History([])).status == "valid"
