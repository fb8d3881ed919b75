"""A witness of any model proves its anomaly by itself, and nothing can be taken from it."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest
from agreement import verdict_of
from object_histories import small_history
from object_specs import AppendSpec, CounterSpec, QueueSpec, SetSpec, Spec
from plain_search import search
from test_forward_against_oracle import OBJECTS

from checkers import Linearizable, Model, model
from checkers.budget import Budget
from checkers.counter import Counter
from checkers.linearizability import split
from checkers.models import MODELS, NEVER_COMPLETES, Interval
from checkers.mutex import Mutex
from checkers.object_models import APPEND, COUNTER, MUTEX
from checkers.words import NOT_SMALLEST
from harness.history import History
from harness.op import Op
from harness.protocols import Checker
from harness.verdict import Anomaly


def _step_set(elements: frozenset[int], op: object) -> frozenset[int] | None:
    if op.f == "add":  # type: ignore[attr-defined]
        return elements | {op.value}  # type: ignore[attr-defined]
    return elements if op.result == "unknown" or set(op.result or ()) == elements else None  # type: ignore[attr-defined]


def _step_queue(items: tuple[int, ...], op: object) -> tuple[int, ...] | None:
    if op.f == "enqueue":  # type: ignore[attr-defined]
        return (*items, op.value)  # type: ignore[attr-defined]
    if op.result == "unknown":  # type: ignore[attr-defined]
        return items[1:]
    if not items:
        return items if op.result is None else None  # type: ignore[attr-defined]
    return items[1:] if op.result == items[0] else None  # type: ignore[attr-defined]


SUBJECTS: dict[str, tuple[Checker, Spec]] = {
    **{name: (Linearizable(each), spec) for name, (each, spec) in OBJECTS.items()},
    "append": (Linearizable(APPEND), AppendSpec(distinct=False)),
    "counter by bounds and search": (Counter(), CounterSpec(1, 2, -1)),
    "counter of large steps": (Counter(), CounterSpec(2, 3)),
    "a user's set": (Linearizable(model("my-set", frozenset(), _step_set, unknown="unknown")), SetSpec(few=True)),
    "a user's queue": (Linearizable(model("my-queue", (), _step_queue, unknown="unknown")), QueueSpec()),
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_witness_is_a_proof_and_minimal(name: str) -> None:
    """By the oracle: the witness alone is invalid, and valid as soon as any one of its operations is left out."""
    checker, spec = SUBJECTS[name]
    most = 7 if "queue" in name else 10  # orders of lost enqueues are states, each of them
    rng = random.Random(name)
    proved = 0
    while proved < 150:
        history = small_history(spec, lambda below: int(rng.random() * below), most)
        proved += verdict_of(checker, spec, history).status == "invalid"


def _history(calls: Sequence[tuple[float, float, str, object]]) -> History:
    """Return the history of operations, each by a process of its own: when it begins and ends, its f and value."""
    events = [
        (at, number, kind, f, value)
        for number, (begin, end, f, value) in enumerate(calls)
        for at, kind in ((begin, "invoke"), (end, "ok"))
    ]
    return History(
        [
            Op(index, index, number, kind, f, value=value)  # type: ignore[arg-type]
            for index, (_, number, kind, f, value) in enumerate(sorted(events))
        ]
    )


def _hold_smallest(each: Model, history: History, anomaly: Anomaly) -> None:
    """Hold a witness to a search of the tests' own, with each of its operations left out in turn."""
    (item,) = split(history, each)
    budget = Budget(time.monotonic, time.monotonic() + 60, 100_000)

    def status(kept: set[int]) -> str:
        weak = [op if op.invoke in kept else op._replace(complete=NEVER_COMPLETES) for op in item.ops]
        return search(each, [op for op in weak if op.certain or not _changes_nothing(each, op)], budget).status

    invocations = {op.invoke for op in item.ops} & set(anomaly.witness)
    assert NOT_SMALLEST not in anomaly.summary
    assert status(invocations) == "invalid"
    assert {status(invocations - {one}) for one in invocations} == {"valid"}


def _changes_nothing(each: Model, op: Interval) -> bool:
    return op.op.f in each.pure


def test_a_value_that_was_written_often_is_proved_stale_by_all_its_writes() -> None:
    """Each of them might have come late, if it were left out; they are alike, and so need not be tried one by one."""
    rng = random.Random(4)
    calls = [(start := float(at), start + 1 + 2 * rng.random(), "write", 1 + at % 3) for at in range(300)]
    calls += [(400, 401, "write", 1), (402, 403, "read", 2)]
    history = _history(calls)
    (anomaly,) = Linearizable(MODELS["register"]).check(history).anomalies
    assert (anomaly.kind, len(anomaly.witness)) == ("stale read", 2 * 102)
    assert "and all 100 operations that wrote 2 had returned before that one began" in anomaly.summary
    _hold_smallest(MODELS["register"], history, anomaly)


@pytest.mark.parametrize("last", ["acquire", "release"])
def test_a_mutex_is_proved_wrong_by_all_that_might_have_come_late(last: str) -> None:
    """Every release before a double grant, every acquire before a release of what is free."""
    rng = random.Random(5)
    turns = [("acquire", "release")[at % 2] for at in range(200)] + ["acquire"] * (last == "acquire") + [last]
    history = _history([(float(at), at + 0.6 + rng.random() / 3, f, None) for at, f in enumerate(turns)])
    (anomaly,) = Mutex().check(history).anomalies
    assert len(anomaly.witness) >= 200
    _hold_smallest(MUTEX, history, anomaly)


def test_a_counter_that_lost_an_addition_is_proved_wrong_by_as_many_as_it_takes() -> None:
    """Reads that contradict each other, with the additions between them."""
    adds = [(float(at), at + 1.5, "add", 1) for at in range(100)]
    history = _history([*adds, (90.9, 150, "read", 95), (151, 152, "read", 94), (153, 154, "read", 99)])
    (anomaly,) = Counter().check(history).anomalies
    _hold_smallest(COUNTER, history, anomaly)
