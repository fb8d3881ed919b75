"""The forward engine and each model against an oracle that tries every order, with both forms of the kernel."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import msgspec
import pytest
from brute_force import is_linearizable
from hypothesis import given
from hypothesis import strategies as st
from model_specs import KvSpec, MultiRegisterSpec, PriorityQueueSpec, ReentrantSpec, SemaphoreSpec, TaskSpec
from object_histories import is_explained, small_history, tries
from object_specs import AppendSpec, CounterSpec, MutexSpec, QueueSpec, SetSpec, Spec
from random_histories import small_history as register_history

from checkers import MODELS, Model, forward
from checkers._kernels import forward as compiled
from checkers.budget import Budget
from checkers.linearizability import split
from checkers.models import COMPARING_CAS_REGISTER, Interval, semaphore
from checkers.models_kv import KV
from checkers.object_models import APPEND, COUNTER, FENCED_MUTEX, FIFO_QUEUE, MUTEX, OWNER_MUTEX, SET
from harness.history import History
from harness.plain_kernel import plain

_BATCH = 500
_BATCHES = 6

OBJECTS: dict[str, tuple[Model, Spec]] = {
    "multi-register": (MODELS["multi-register"], MultiRegisterSpec()),
    "mutex": (MUTEX, MutexSpec()),
    "owner-mutex": (OWNER_MUTEX, MutexSpec(owned=True)),
    "fenced-mutex": (FENCED_MUTEX, MutexSpec(owned=True, fenced=True)),
    "reentrant-mutex": (MODELS["reentrant-mutex"], ReentrantSpec()),
    "semaphore:1": (semaphore(1), SemaphoreSpec(1)),
    "semaphore:3": (semaphore(3), SemaphoreSpec(3)),
    "set": (SET, SetSpec(few=True)),
    "fifo-queue": (FIFO_QUEUE, QueueSpec()),
    "priority-queue": (MODELS["priority-queue"], PriorityQueueSpec()),
    "counter": (COUNTER, CounterSpec(1, 2, -1)),
    "append": (APPEND, AppendSpec(distinct=False)),
    "kv": (KV, KvSpec()),
    "task": (MODELS["task"], TaskSpec()),
}
REGISTERS = {"cas-register": MODELS["cas-register"], "comparing": COMPARING_CAS_REGISTER}

Case = tuple[History, list[Interval], str]
"""A history, its operations as the model reads them, and the oracle's verdict."""


def _object_case(name: str, choose: Callable[[int], int], most: int) -> Case:
    model, spec = OBJECTS[name]
    history = small_history(spec, choose, most)
    keys = split(history, model)
    return history, keys[0].ops if keys else [], "valid" if is_explained(spec, tries(history)) else "invalid"


def _register_case(name: str, choose: Callable[[int], int], most: int) -> Case:
    history = register_history(choose, most)
    keys = split(history, REGISTERS[name])
    expected = is_linearizable(history.events, comparing=name == "comparing")
    return history, keys[0].ops if keys else [], "valid" if expected else "invalid"


def case_of(name: str, choose: Callable[[int], int], most: int = 8) -> Case:
    return (_register_case if name in REGISTERS else _object_case)(name, choose, most)


def agree(name: str, cases: Sequence[Case], module: object = compiled) -> None:
    model = REGISTERS[name] if name in REGISTERS else OBJECTS[name][0]
    encoded = forward.encode(model, [ops for _, ops, _ in cases])
    budget = Budget(time.monotonic, time.monotonic() + 600, 1_000_000)
    engine = forward.Engine(model, encoded, budget, module)
    for number, (outcome, case) in enumerate(zip(engine.decide_easy(), cases, strict=True)):
        found = outcome or engine.decide(number, budget.deadline_s)
        text = "\n".join(msgspec.json.encode(op).decode() for op in case[0].events)
        assert found.status == case[2], f"{name}: {found}\n{text}"


def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the engine so narrow that small histories need all that large ones do."""
    monkeypatch.setattr(forward, "_BEAM", 1)
    monkeypatch.setattr(forward, "_LEVELS", ((1, 3, 1), (2, 6, 1), (17, 6, 1)))
    monkeypatch.setattr(forward, "_VAGUE_LEVELS", ((1, 3, 17), (2, 6, 1), (17, 6, 33)))
    monkeypatch.setattr(forward, "_MARK_EVERY", 2)
    monkeypatch.setattr(forward, "_AHEAD", 2)
    monkeypatch.setattr(forward, "_MANY", 0)
    monkeypatch.setattr(forward, "_OPEN", 1)


@pytest.fixture(params=["wide", "narrow"])
def levels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine as it is, and one that does with small histories all that it does with large ones."""
    if request.param == "narrow":
        narrow(monkeypatch)


@pytest.mark.parametrize("name", [*REGISTERS, *OBJECTS])
@pytest.mark.usefixtures("levels")
def test_small_histories_get_the_oracles_verdict(name: str, request: pytest.FixtureRequest) -> None:
    """6,000 histories of each model, of every mood, get the verdict that trying every order gives.

    Half of them with beams that do, half with beams that do not; 1,000 of each half in the kernel's plain form too.
    Far more are tried by `make fuzz`; that fewer notice a broken engine is shown by test_forward_mutations.py.
    """
    rng = random.Random(request.node.name)
    verdicts = []
    for batch in range(_BATCHES):
        cases = [case_of(name, lambda below: int(rng.random() * below)) for _ in range(_BATCH)]
        agree(name, cases)
        if batch % 3 == 0:
            agree(name, cases, plain("checkers._kernels.forward"))
        verdicts += [expected for _, _, expected in cases]
    assert min(verdicts.count("valid"), verdicts.count("invalid")) > len(verdicts) / 20, "both are well tried"


@pytest.mark.parametrize("name", [*REGISTERS, *OBJECTS])
@pytest.mark.usefixtures("levels")
def test_longer_histories_get_the_oracles_verdict(name: str, request: pytest.FixtureRequest) -> None:
    """So do histories of up to 24 operations, of which trying every order still is possible."""
    rng = random.Random(request.node.name)
    agree(name, [case_of(name, lambda below: int(rng.random() * below), most=24) for _ in range(100)])


def test_threads_give_the_oracles_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many keys get the same verdicts where a thread for each core shares them."""
    narrow(monkeypatch)
    monkeypatch.setattr(forward, "_ALONE_BELOW", 0)
    monkeypatch.setattr(forward, "_LONG", 0)
    monkeypatch.setattr(forward.os, "sched_getaffinity", lambda _: range(4))
    rng = random.Random(5)
    cases = [case_of("comparing", lambda below: int(rng.random() * below)) for _ in range(_BATCH)]
    budget = Budget(time.monotonic, time.monotonic() + 600, 1_000_000)
    outcomes = forward.decide_keys(COMPARING_CAS_REGISTER, [ops for _, ops, _ in cases], budget)
    assert [outcome.status for outcome in outcomes] == [expected for _, _, expected in cases]


@given(st.sampled_from([*REGISTERS, *OBJECTS]), st.data())
def test_any_history_gets_the_oracles_verdict(name: str, data: st.DataObject) -> None:
    """Hypothesis finds no small history on which the engine and the oracle differ."""
    case = case_of(name, lambda below: data.draw(st.integers(0, below - 1)), most=12)
    agree(name, [case])
    agree(name, [case], plain("checkers._kernels.forward"))
