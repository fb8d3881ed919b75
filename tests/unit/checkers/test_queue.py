"""FIFO queues of distinct values: each anomaly beside its valid twin, and the oracle's verdict on everything."""

from __future__ import annotations

import pytest
from agreement import agree, agree_with_search, verdict_of
from drawn_objects import draw
from object_specs import QueueSpec

from checkers.fifo_queue import FifoQueue
from checkers.object_models import FIFO_QUEUE
from harness.errors import HistoryError
from harness.history import History

_SPEC = QueueSpec()

ANOMALIES = [
    (
        "never enqueued",
        ["enqueue 1 : [-]", "dequeue 2 :    [-]"],
        ["enqueue 1 : [-]", "enqueue 2 : [", "dequeue 2 :    [-]"],
        "dequeue of 2 by process 1 returned at 0.60 s, but no enqueue of that value succeeded or may have",
        2,
    ),
    (
        "never enqueued",
        ["dequeue 1 : [-]", "enqueue 1 :    [-]"],
        ["dequeue 1 : [--]", "enqueue 1 :  [-]"],
        "dequeue of 1 by process 0 returned at 0.30 s, before enqueue of 1 by process 1 began at 0.40 s",
        2,
    ),
    (
        "dequeued twice",
        ["enqueue 1 : [-]", "dequeue 1 :    [-]", "dequeue 1 :       [-]"],
        ["enqueue 1 : [-]", "dequeue 1 :    [-]", "dequeue 1 :       [-?"],
        "dequeue of 1 by process 1 (returned at 0.60 s) and dequeue of 1 by process 2 (returned at 0.90 s) both took "
        "it, but it was enqueued once",
        4,
    ),
    (
        "dequeued out of order",
        ["enqueue 1 : [-]", "enqueue 2 :    [-]", "dequeue 2 :       [-]", "dequeue 1 :          [-]"],
        ["enqueue 1 : [-]", "enqueue 2 :    [-]", "dequeue 2 :       [-]", "dequeue 1 :        [---]"],
        "enqueue of 1 by process 0 had returned at 0.30 s, before enqueue of 2 by process 1 began at 0.40 s; but "
        "dequeue of 2 by process 2 returned at 0.90 s, before dequeue of 1 by process 3 began at 1.00 s",
        4,
    ),
    (
        "lost element",
        ["enqueue 1 : [-]", "enqueue 2 :    [-]", "dequeue 2 :       [-]"],
        ["enqueue 1 : [-]", "enqueue 2 :    [-]", "dequeue 2 :       [-]", "dequeue : [-?"],
        "dequeue of 2 by process 2 returned at 0.90 s, although enqueue of 1 by process 0 had returned at 0.30 s, "
        "before 2 was enqueued (from 0.40 s on), and no dequeue can have taken it",
        4,
    ),
    (
        "element missed",
        ["enqueue 1 : [-]", "dequeue :    [-]", "dequeue 1 :       [-]"],
        ["enqueue 1 : [-]", "dequeue :    [-]", "dequeue 1 :     [---]"],
        "dequeue by process 1 (0.40 s to 0.60 s) found the queue empty, but it never was in that time: enqueue of 1 by "
        "process 0",
        4,
    ),
]


@pytest.mark.parametrize(("kind", "bad", "good", "summary", "events"), ANOMALIES)
def test_each_anomaly_and_its_valid_twin(kind: str, bad: list[str], good: list[str], summary: str, events: int) -> None:
    """An anomaly is named and told with its witness; the nearest valid history is valid."""
    (anomaly,) = verdict_of(FifoQueue(), _SPEC, draw(*bad)).anomalies
    assert (anomaly.kind, anomaly.summary, len(anomaly.witness)) == (kind, summary, events)
    assert verdict_of(FifoQueue(), _SPEC, draw(*good)).status == "valid"


def test_an_unknown_dequeue_takes_one_value_and_not_two() -> None:
    """Two values that are gone cannot both have been taken by one dequeue of unknown outcome."""
    lines = [
        "enqueue 1 : [-]",
        "enqueue 2 :    [-]",
        "enqueue 3 :       [-]",
        "dequeue : [-?",
        "dequeue 3 :          [-]",
    ]
    (anomaly,) = verdict_of(FifoQueue(), _SPEC, draw(*lines)).anomalies
    assert anomaly.kind == "lost element"
    assert anomaly.summary.endswith("and only 1 dequeue of unknown outcome can have taken any of them")
    assert verdict_of(FifoQueue(), _SPEC, draw(*lines, "dequeue : [")).status == "valid"


def test_an_emptiness_is_proved_by_a_chain_of_values() -> None:
    """Of values that were inside one after the other, the witness names as few as cover the empty dequeue."""
    lines = [
        "enqueue 1 : []",
        "dequeue :    [------]",
        "enqueue 2 :    []",
        "dequeue 1 :       []",
        "enqueue 3 :       []",
    ]
    (anomaly,) = verdict_of(FifoQueue(), _SPEC, draw(*lines)).anomalies
    assert anomaly.kind == "element missed"
    assert len(anomaly.witness) == 6


@pytest.mark.parametrize("seed", range(4))
def test_random_histories_get_the_oracles_verdict(seed: int) -> None:
    """10,000 small histories, empty and unknown dequeues among them; every witness is a proof and minimal."""
    agree(FifoQueue(), _SPEC, seed, 2_500)


def test_longer_histories_get_the_general_engines_verdict() -> None:
    """Histories of up to 24 operations are decided as by the general engine."""
    agree_with_search(FifoQueue(), FIFO_QUEUE, _SPEC, 150)


def test_values_that_come_twice_are_left_to_the_general_engine() -> None:
    """A queue in which a value was enqueued twice is decided too, by search; the others are not searched."""
    history = draw("enqueue 1 : [-]", "enqueue 1 :    [-]", "dequeue 1 :       [-]", "dequeue 1 :          [-]")
    verdict = FifoQueue().check(history)
    assert (verdict.status, verdict.engine) == ("valid", "forward search")


def test_null_cannot_be_enqueued() -> None:
    """A dequeue of null means an empty queue, so a null inside gives no verdict but an error."""
    with pytest.raises(HistoryError, match="null was enqueued"):
        FifoQueue().check(draw("enqueue : [-]"))


def test_nothing_happened() -> None:
    """An empty history is valid."""
    assert FifoQueue().check(History([])).status == "valid"
