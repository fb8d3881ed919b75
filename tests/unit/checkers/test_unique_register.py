"""The kernel for registers with distinct values, compiled and plain, against every order and against the search."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from brute_force import is_linearizable
from plain_search import search
from random_histories import small_history

from benchmarks.check import Shape, generate, with_stale_read
from checkers import registers
from checkers.budget import Budget
from checkers.linearizability import split
from checkers.models import COMPARING_CAS_REGISTER, MODELS
from checkers.registers import INELIGIBLE, INVALID, VALID
from harness.history import History
from harness.op import Op
from tests import kernel_forms

_EACH = 1_250
_READINGS = {False: MODELS["cas-register"], True: COMPARING_CAS_REGISTER}
_NO_LIMIT = Budget(clock=lambda: 0.0, deadline_s=1.0, max_configurations=10**9)


@pytest.fixture(params=kernel_forms.FORMS)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Both kernels, in both forms."""
    for name in ("register_columns", "unique_register"):
        monkeypatch.setattr(registers, name, kernel_forms.load(name, request.param))
    return request.param


def _shown(history: History) -> str:
    return "\n".join(msgspec.json.encode(op).decode() for op in history.events)


def _distinct(rng: random.Random, most: int) -> History:
    """Return a small history in which each value is written once."""
    while True:
        history = small_history(lambda below: int(rng.random() * below), most)
        written = [op.value[1] if op.f == "cas" else op.value for op in history.events if op.type == "invoke"
                   and op.f != "read"]  # fmt: skip
        if history.events and len(set(written)) == len(written):
            return history


@pytest.mark.parametrize("comparing", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_small_histories_get_the_oracles_verdict(seed: int, comparing: bool, form: str) -> None:
    """40,000 histories with distinct values get the verdict that trying every order gives.

    None but those with failed cas that observed nothing may be left to the general engine, and few of them are.
    """
    rng = random.Random(100 * seed + comparing)
    seen: Counter[int] = Counter()
    for _ in range(_EACH):
        history = _distinct(rng, 12 if seed < 7 else 20)
        decision = registers.decide(history, _READINGS[comparing])
        (code,) = decision.codes.tolist()
        seen[code] += 1
        if code != INELIGIBLE:
            expected = VALID if is_linearizable(history.events, comparing=comparing) else INVALID
            assert code == expected, _shown(history)
    assert seen[INELIGIBLE] <= (_EACH / 20 if comparing else 0)
    assert min(seen[VALID], seen[INVALID]) > _EACH / 10, "both verdicts are well tried"


def test_all_keys_are_decided_at_once(form: str) -> None:
    """A key's verdict and proof are the same alone and among others, whichever values they share."""
    rng = random.Random(5)
    alone = [small_history(rng.randrange) for _ in range(300)]
    events = [
        (rng.random(), number, at, op) for number, history in enumerate(alone) for at, op in enumerate(history.events)
    ]
    events.sort(key=lambda item: (item[2], item[0]))
    together = History(
        [
            msgspec.structs.replace(op, index=at, key=f"k{number}", process=1000 * number + int(op.process))
            for at, (_, number, _, op) in enumerate(events)
        ]
    )
    decision = registers.decide(together, MODELS["cas-register"])
    ops = decision.ops
    for threads in (1, 2, 3):
        codes, proofs = registers.unique_register.decide((ops.offsets, *ops[2:]), len(together.columns.values), threads)
        assert codes.tolist() == decision.codes.tolist()
        assert proofs.tolist() == decision.proofs.tolist()
    for number, key in enumerate(together.columns.keys):
        one = registers.decide(alone[int(key[1:])], MODELS["cas-register"])
        assert decision.codes[number] == one.codes[0]
        if one.codes[0] == INVALID:
            assert len(registers.witness(decision, number)) == len(registers.witness(one, 0))


@pytest.mark.parametrize("shape", [
    Shape(ops_a_key=3_000, clients=5, info=0.0), Shape(ops_a_key=3_000, clients=10, info=0.01),
    Shape(ops_a_key=2_000, clients=4, info=0.05, observing=False),
], ids=str)  # fmt: skip
def test_long_histories_get_the_verdict_of_the_search(shape: Shape, form: str) -> None:
    """Thousands of operations: the same as the search finds, with and without a stale read."""
    for seed in range(2):
        history = generate(shape, seed)
        for case in (history, with_stale_read(history)):
            (code,) = registers.decide(case, MODELS["cas-register"]).codes.tolist()
            (item,) = split(case, MODELS["cas-register"])
            outcome = search(MODELS["cas-register"], item.ops, _NO_LIMIT)
            assert code == (VALID if outcome.status == "valid" else INVALID)


def test_a_value_that_is_written_twice_is_for_another_engine(form: str) -> None:
    """So is the initial value that is written again; but what certainly did not happen does not count."""

    def code(*values: int | None, kind: Any = "ok") -> int:
        events = [
            Op(2 * at + half, 0, 1, kind if half and not at else ("invoke", "ok")[half], "write", None, "k", value)
            for at, value in enumerate(values)
            for half in (0, 1)
        ]
        return int(registers.decide(History(events), MODELS["register"]).codes[0])

    assert code(1, 2) == VALID
    assert code(1, 1) == INELIGIBLE
    assert code(1, 1, kind="fail") == VALID
    assert code(None, 2) == INELIGIBLE
    assert code(None, 2, kind="fail") == VALID


def test_an_id_out_of_range_is_an_error(form: str) -> None:
    """What would make the loops read elsewhere is refused."""
    ops = (np.array([0, 1]), np.zeros(1, np.int8), *(np.array([at], np.int32) for at in (5, -1, 0, 1)))
    with pytest.raises(IndexError, match="the id of a value is out of range"):
        registers.unique_register.decide(ops, 5)
