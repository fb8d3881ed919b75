"""Growing sets: each anomaly beside its valid twin, and the oracle's verdict on everything."""

from __future__ import annotations

import pytest
from agreement import agree, agree_with_search, verdict_of
from drawn_objects import draw
from object_specs import SetSpec

from checkers.grow_set import GrowingSet
from checkers.object_models import SET
from harness.errors import HistoryError, UsageError
from harness.history import History

_SPEC = SetSpec(few=True)

ANOMALIES = [
    (
        "element never added",
        ["add 1 : [-]", "read [1,2] :    [-]"],
        ["add 1 : [-]", "add 2 :[-?", "read [1,2] :    [-]"],
        "read by process 1 showed 2 (it returned at 0.60 s), but no add of it succeeded or may have",
        2,
    ),
    (
        "element never added",
        ["read [1] : [-]", "add 1 :    [-]"],
        ["read [1] : [--]", "add 1 :   [-]"],
        "read by process 0 showed 1 and returned at 0.30 s, before the first add of it, by process 1, began at 0.40 s",
        2,
    ),
    (
        "lost element",
        ["add 1 : [-]", "read [] :    [-]"],
        ["add 1 : [---]", "read [] :    [-]"],
        "read by process 1 did not show 1: it began at 0.40 s, after add of 1 by process 0 had returned at 0.30 s",
        4,
    ),
    (
        "lost element",
        ["add 1 : [-]", "add 2 :    [-]", "read [2] : [------]"],
        ["add 1 : [-]", "add 2 :  [--]", "read [2] : [------]"],
        "read by process 2 did not show 1, but 2: add of 1 by process 0 had returned at 0.30 s, before the first add "
        "of 2 began at 0.40 s",
        4,
    ),
    (
        "element vanished",
        ["add 1 : [", "read [1] : [-]", "read [] :    [-]"],
        ["add 1 : [", "read [1] : [---]", "read [] :    [-]"],
        "read by process 1 showed 1 and returned at 0.30 s, but read by process 2, which began at 0.40 s, "
        "did not show it",
        4,
    ),
    (
        "reads disagree",
        ["add 1 : [", "add 2 : [", "read [1] : [-]", "read [2] : [-]"],
        ["add 1 : [", "add 2 : [", "read [1] : [-]", "read [1,2] : [-]"],
        "read by process 2 showed 1 but not 2, while read by process 3 showed 2 but not 1: neither was added first",
        4,
    ),
]


@pytest.mark.parametrize(("kind", "bad", "good", "summary", "events"), ANOMALIES)
def test_each_anomaly_and_its_valid_twin(kind: str, bad: list[str], good: list[str], summary: str, events: int) -> None:
    """An anomaly is named and told with its witness; the nearest valid history is valid."""
    (anomaly,) = verdict_of(GrowingSet(), _SPEC, draw(*bad)).anomalies
    assert (anomaly.kind, anomaly.summary, len(anomaly.witness)) == (kind, summary, events)
    assert verdict_of(GrowingSet(), _SPEC, draw(*good)).status == "valid"


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_random_histories_get_the_oracles_verdict(seed: int, few: bool) -> None:
    """10,000 small histories, elements added twice among them; every witness is a proof and minimal."""
    agree(GrowingSet(), SetSpec(few=few), seed, 1_000)


def test_longer_histories_get_the_general_engines_verdict() -> None:
    """Histories of up to 24 operations are decided as by the general engine."""
    agree_with_search(GrowingSet(), SET, _SPEC, 150)


def test_values_are_equal_where_json_says_so() -> None:
    """true is not 1, lists are elements too, null is the empty set, and an element that is shown twice counts once."""
    lines = ["add true : [-]", "add [1,2] : [-]", "read [[1,2],true,true] :    [-]", "read null :[]"]
    assert GrowingSet().check(draw(*lines)).status == "valid"
    assert GrowingSet().check(draw("add 1 : [-]", "read [true] :    [-]")).status == "invalid"


def test_a_read_that_is_no_list_is_an_error() -> None:
    """Another workload's reads give no verdict, but an error that names the event."""
    with pytest.raises(HistoryError, match="event 3: the value of a read is 7 and not a list"):
        GrowingSet().check(draw("add 1 : [-]", "read 7 :    [-]"))


def test_an_unknown_operation_is_an_error() -> None:
    """A set knows no remove: its histories are another model's."""
    with pytest.raises(UsageError, match="the model set knows add, read, but not remove"):
        GrowingSet().check(draw("remove 1 : [-]"))


def test_nothing_happened() -> None:
    """An empty history is valid."""
    assert GrowingSet().check(History([])).status == "valid"
