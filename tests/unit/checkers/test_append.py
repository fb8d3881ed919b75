"""Lists that grow at their end: each anomaly beside its valid twin, and the oracle's verdict on everything."""

from __future__ import annotations

import pytest
from agreement import agree, agree_with_search, verdict_of
from drawn_objects import draw
from object_specs import AppendSpec

from checkers import checker_for
from checkers.append import Append
from checkers.object_models import APPEND
from harness.errors import HistoryError, UsageError
from harness.history import History

_SPEC = AppendSpec()

ANOMALIES = [
    (
        "element never appended",
        ["append 1 : [-]", "read [1,2] :    [-]"],
        ["append 1 : [-]", "append 2 :[-?", "read [1,2] :    [-]"],
        "read by process 1 showed 2 (it returned at 0.60 s), but no append of it succeeded or may have",
        2,
    ),
    (
        "element never appended",
        ["read [1] : [-]", "append 1 :    [-]"],
        ["read [1] : [--]", "append 1 :   [-]"],
        "read by process 0 showed 1 and returned at 0.30 s, before append of 1 by process 1 began at 0.40 s",
        2,
    ),
    (
        "duplicate element",
        ["append 1 : [-]", "read [1,1] :    [-]"],
        ["append 1 : [-]", "read [1] :    [-]"],
        "read by process 1 showed 1 twice (it returned at 0.60 s), but it was appended once",
        2,
    ),
    (
        "inconsistent order",
        ["append 1 : [--]", "append 2 : [--]", "read [1,2] :     [-]", "read [2,1] :     [-]"],
        ["append 1 : [--]", "append 2 : [--]", "read [1,2] :     [-]", "read [1,2] :     [-]"],
        "read by process 2 showed 1 as element number 1, but read by process 3 showed 2 there",
        4,
    ),
    (
        "inconsistent order",
        ["append 1 : [-]", "append 2 :    [-]", "read [2,1] :       [-]"],
        ["append 1 : [-]", "append 2 :  [---]", "read [2,1] :       [-]"],
        "append of 1 by process 0 had returned at 0.30 s, before append of 2 by process 1 began at 0.40 s, but read by "
        "process 2 showed the latter first, or alone",
        4,
    ),
    (
        "stale read",
        ["append 1 : [", "read [1] : [-]", "read [] :    [-]"],
        ["append 1 : [", "read [1] : [---]", "read [] :    [-]"],
        "read by process 1 showed 1 and returned at 0.30 s, but read by process 2, which began at 0.40 s, "
        "did not show it",
        4,
    ),
    (
        "stale read",
        ["append 1 : [-]", "read [] :    [-]", "read [1] :     [--]"],
        ["append 1 : [---]", "read [] :    [-]", "read [1] :     [--]"],
        "read by process 1 began at 0.40 s, after append of 1 by process 0 had returned at 0.30 s, but did not show "
        "that element",
        4,
    ),
    (
        "lost append",
        ["append 1 : [-]", "read [] :    [-]"],
        ["append 1 : [-?", "read [] :    [-]"],
        "read by process 1 began at 0.40 s, after append of 1 by process 0 had returned at 0.30 s, but did not show "
        "that element, and neither did any other read",
        4,
    ),
    (
        "lost append",
        ["append 1 : [-]", "append 2 :    [-]", "read [2] : [------]"],
        ["append 1 : [-]", "append 2 :  [--]", "read [2] : [------]"],
        "append of 1 by process 0 had returned at 0.30 s, before append of 2 by process 1 began at 0.40 s, but read by "
        "process 2 showed only the latter",
        4,
    ),
]


@pytest.mark.parametrize(("kind", "bad", "good", "summary", "events"), ANOMALIES)
def test_each_anomaly_and_its_valid_twin(kind: str, bad: list[str], good: list[str], summary: str, events: int) -> None:
    """An anomaly is named and told with its witness; the nearest valid history is valid."""
    (anomaly,) = verdict_of(Append(), _SPEC, draw(*bad)).anomalies
    assert (anomaly.kind, anomaly.summary, len(anomaly.witness)) == (kind, summary, events)
    assert verdict_of(Append(), _SPEC, draw(*good)).status == "valid"


@pytest.mark.parametrize("seed", range(5))
def test_random_histories_get_the_oracles_verdict(seed: int) -> None:
    """10,000 small histories; every witness is a proof and minimal."""
    agree(Append(), _SPEC, seed, 2_000)


def test_an_element_that_was_appended_twice_is_left_to_the_general_engine() -> None:
    """Histories with repeated elements get the oracle's verdict too, by a search."""
    verdicts = agree(Append(), AppendSpec(distinct=False), 5, 300)
    assert any("forward search" in verdict.engine for verdict in verdicts)


def test_longer_histories_get_the_general_engines_verdict() -> None:
    """Histories of up to 24 operations are decided as by the general engine."""
    agree_with_search(Append(), APPEND, _SPEC, 60)


def test_values_are_equal_where_json_says_so() -> None:
    """true is not 1, lists are elements too, and null is the empty list."""
    lines = ["append true : [-]", "append [1,2] :    [-]", "read [true,[1,2]] :       [-]", "read null :[]"]
    assert Append().check(draw(*lines)).status == "valid"
    assert Append().check(draw("append 1 : [-]", "read [true] :    [-]")).status == "invalid"


def test_a_read_that_is_no_list_is_an_error() -> None:
    """Another workload's reads give no verdict, but an error that names the event."""
    with pytest.raises(HistoryError, match="event 3: the value of a read is 7 and not a list"):
        Append().check(draw("append 1 : [-]", "read 7 :    [-]"))


def test_an_unknown_operation_is_an_error() -> None:
    """A list knows no remove: its histories are another model's."""
    with pytest.raises(UsageError, match="the model append knows append, read, but not remove"):
        Append().check(draw("remove 1 : [-]"))


def test_nothing_happened() -> None:
    """An empty history is valid, and the checker is known by its name."""
    assert checker_for("append").check(History([])).status == "valid"
