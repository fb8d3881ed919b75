"""Unique ids: each anomaly beside its valid twin, and the oracle's verdict on everything."""

from __future__ import annotations

import pytest
from agreement import agree, verdict_of
from drawn_objects import draw
from object_specs import IdsSpec

from checkers.unique_ids import UniqueIds
from harness.errors import HistoryError
from harness.history import History

ANOMALIES = [
    (
        False,
        "id given twice",
        ["generate 7 : [-]", "generate 7 :    [-]"],
        ["generate 7 : [-]", "generate 6 :    [-]", "generate : [?"],
        "id 7 was given to process 0 (returned at 0.30 s) and again to process 1 (returned at 0.60 s)",
    ),
    (
        True,
        "ids went back",
        ["generate 7 : [-]", "generate 6 :    [-]"],
        ["generate 7 : [-]", "generate 6 :  [-]"],
        "id 7 was returned to process 0 at 0.30 s, but process 1, which asked at 0.40 s, got 6, which is not greater",
    ),
]


@pytest.mark.parametrize(("growing", "kind", "bad", "good", "summary"), ANOMALIES)
def test_each_anomaly_and_its_valid_twin(
    growing: bool, kind: str, bad: list[str], good: list[str], summary: str
) -> None:
    """An anomaly is named and told with its witness; the nearest valid history is valid."""
    checker, spec = UniqueIds(growing=growing), IdsSpec(growing=growing)
    (anomaly,) = verdict_of(checker, spec, draw(*bad)).anomalies
    assert (anomaly.kind, anomaly.summary, len(anomaly.witness)) == (kind, summary, 4)
    assert verdict_of(checker, spec, draw(*good)).status == "valid"


@pytest.mark.parametrize("growing", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_random_histories_get_the_oracles_verdict(seed: int, growing: bool) -> None:
    """5,000 small histories of each promise; every witness is a proof and minimal."""
    agree(UniqueIds(growing=growing), IdsSpec(growing=growing), seed, 1_000)


def test_ids_are_equal_where_json_says_so() -> None:
    """Ids may be any JSON; true is not 1."""
    assert UniqueIds().check(draw("generate true : [-]", "generate 1 :    [-]")).status == "valid"
    assert UniqueIds().check(draw("generate [1] : [-]", "generate [1] :    [-]")).status == "invalid"


def test_growing_strings() -> None:
    """Strings can grow too, in the order of their characters; mixed with integers they are an error."""
    checker = UniqueIds(growing=True)
    assert checker.check(draw('generate "a" : [-]', 'generate "b" :    [-]')).status == "valid"
    assert checker.check(draw('generate "b" : [-]', 'generate "a" :    [-]')).status == "invalid"
    with pytest.raises(HistoryError, match="ids that are said to grow are of type int, str"):
        checker.check(draw('generate "a" : [-]', "generate 1 :    [-]"))


def test_nothing_happened() -> None:
    """An empty history is valid."""
    assert UniqueIds(growing=True).check(History([])).status == "valid"
