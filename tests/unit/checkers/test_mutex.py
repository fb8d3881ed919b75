"""Mutexes, with and without owners and tokens: each anomaly beside its valid twin, and the oracle's verdict."""

from __future__ import annotations

import random

import numpy as np
import pytest
from agreement import agree, agree_with_search, verdict_of
from drawn_objects import draw
from object_histories import small_history, tries
from object_specs import MutexSpec

from checkers.models import NEVER_COMPLETES
from checkers.mutex import Mutex
from checkers.object_models import FENCED_MUTEX, MUTEX, OWNER_MUTEX
from checkers.owner_mutex import FencedMutex, OwnerMutex
from harness.errors import HistoryError
from harness.history import History
from harness.protocols import Checker
from tests.kernel_forms import FORMS, load

SPECS = {"mutex": MutexSpec(), "owner": MutexSpec(owned=True), "fenced": MutexSpec(owned=True, fenced=True)}
MODELS = {"mutex": MUTEX, "owner": OWNER_MUTEX, "fenced": FENCED_MUTEX}

ANOMALIES = [
    (
        "mutex",
        "double grant",
        ["acquire : [-]", "acquire :    [-]"],
        ["acquire : [-]", "acquire :    [-]", "release : ["],
        "acquire by process 1 returned at 0.60 s, but acquire by process 0 had returned at 0.30 s, and no release can "
        "have come between them",
        4,
    ),
    (
        "mutex",
        "released while free",
        ["release : [-]", "acquire :    [-]"],
        ["release : [--]", "acquire :   [-]"],
        "release by process 0 returned at 0.30 s, but no acquire had been asked for",
        2,
    ),
    (
        "owner",
        "double grant",
        ["1 acquire : [-]", "2 acquire :    [-]", "2 release :       [-]", "1 release :          [-]"],
        ["1 acquire : [-]", "2 acquire :    [---]", "1 release :      [----]"],
        "acquire by process 1 returned at 0.30 s, and acquire by process 2 returned at 0.60 s, before process 1 had "
        "asked for a release",
        4,
    ),
    (
        "owner",
        "double grant",
        ["1 acquire : [-]", "1 acquire :    [-]"],
        ["1 acquire : [-]", "1 acquire! :   [-]"],
        "acquire by process 1 returned at 0.30 s, and acquire by process 1 returned again at 0.60 s, before process 1 "
        "had asked for a release",
        4,
    ),
    (
        "owner",
        "released without holding",
        ["1 acquire : [-]", "2 release :    [-]"],
        ["1 acquire : [-]", "2 release :    [-?"],
        "release by process 2 returned at 0.60 s, although process 2 had not acquired it",
        2,
    ),
    (
        "owner",
        "released without holding",
        ["1 acquire : []", "1 release :   []", "1 release :     []"],
        ["1 acquire : []", "1 release :   []", "1 release! :    []"],
        "release by process 1 returned at 0.60 s, although process 1 had not acquired it since its last release",
        4,
    ),
    (
        "fenced",
        "tokens went back",
        ["1 acquire 7 : [-]", "1 release :    [-]", "2 acquire 6 :       [-]"],
        ["1 acquire 7 : [-]", "1 release :    [-]", "2 acquire 8 :       [-]"],
        "acquire by process 1 returned token 7 at 0.30 s, and a later one, by process 2, token 6 at 0.90 s, which is "
        "not greater",
        4,
    ),
    (
        "fenced",
        "double grant",
        ["1 acquire 7 : [-]", "2 acquire 8 :    [-]"],
        ["1 acquire 7 : [-]", "2 acquire 8 :    [-]", "1 release :   [-?"],
        "acquire by process 1 returned at 0.30 s, and acquire by process 2 returned at 0.60 s, before process 1 had "
        "asked for a release",
        4,
    ),
]


def _checker(name: str) -> Checker:
    return {"mutex": Mutex, "owner": OwnerMutex, "fenced": FencedMutex}[name]()


@pytest.mark.parametrize(("name", "kind", "bad", "good", "summary", "events"), ANOMALIES)
def test_each_anomaly_and_its_valid_twin(
    name: str, kind: str, bad: list[str], good: list[str], summary: str, events: int
) -> None:
    """An anomaly is named and told with its witness; the nearest valid history is valid."""
    (anomaly,) = verdict_of(_checker(name), SPECS[name], draw(*bad)).anomalies
    assert (anomaly.kind, anomaly.summary, len(anomaly.witness)) == (kind, summary, events)
    assert verdict_of(_checker(name), SPECS[name], draw(*good)).status == "valid"


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("seed", range(8))
def test_random_histories_get_the_oracles_verdict(seed: int, name: str) -> None:
    """10,000 small histories of each mutex; every witness is a proof and minimal."""
    agree(_checker(name), SPECS[name], seed, 1_250)


@pytest.mark.parametrize("name", SPECS)
def test_longer_histories_get_the_general_engines_verdict(name: str) -> None:
    """Histories of up to 24 operations are decided as by the general engine."""
    agree_with_search(_checker(name), MODELS[name], SPECS[name], 150)


@pytest.mark.parametrize("form", FORMS)
def test_both_forms_of_the_kernel_agree_with_the_oracle(form: str) -> None:
    """The kernel gives the checker's answer compiled and as plain Python."""
    turns = load("turns", form)
    rng = random.Random(3)
    for _ in range(500):
        history = small_history(SPECS["mutex"], lambda below: int(rng.random() * below))
        items = tries(history)
        kind = np.array([item.f == "release" for item in items], np.int8)
        invoke = np.array([item.invoke for item in items], np.int64)
        ret = np.array([int(item.complete) if item.certain else NEVER_COMPLETES for item in items], np.int64)
        by_ret = np.flatnonzero(ret != NEVER_COMPLETES)
        by_ret = by_ret[np.argsort(ret[by_ret])]
        size = len(items)
        code = turns.take_turns(kind, invoke, ret, by_ret, np.empty(2 * size, np.int64), np.empty(size, np.int64))
        assert (code == turns.FITS) == (Mutex().check(history).status == "valid")


@pytest.mark.parametrize("name", ["owner", "fenced"])
def test_a_process_that_goes_on_after_an_unknown_outcome_is_left_to_the_general_engine(name: str) -> None:
    """What a process did that was not retired is decided by search: its lost release may have come."""
    lines = ["1 acquire 1 : []", "1 release :   [?", "1 acquire 2 :     []"]
    verdict = _checker(name).check(draw(*lines))
    assert (verdict.status, verdict.engine) == ("valid", "forward search")
    assert _checker(name).check(draw(lines[0], "1 acquire 2 :     [?", "1 acquire 3 :       []")).status == "invalid"


def test_a_long_proof_without_time_is_still_a_proof() -> None:
    """Where the time for a witness is over at once, it is everything that had returned by then."""
    ticks = iter(range(10_000))
    lines = ["acquire : []", "release :   []", "acquire :     []", "acquire :       []"]
    (anomaly,) = Mutex(clock=lambda: 10.0 * next(ticks)).check(draw(*lines)).anomalies
    assert anomaly.witness == tuple(range(8))


def test_a_token_that_is_no_integer_is_an_error() -> None:
    """Tokens that cannot be compared give no verdict, but an error that names the event."""
    with pytest.raises(HistoryError, match="event 1: an acquire gave the token 'x'"):
        FencedMutex().check(draw('acquire "x" : [-]'))


@pytest.mark.parametrize("name", SPECS)
def test_nothing_happened(name: str) -> None:
    """An empty history is valid."""
    assert _checker(name).check(History([])).status == "valid"
