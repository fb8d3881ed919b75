"""A witness proves its anomaly by itself, and nothing can be taken from it."""

from __future__ import annotations

import random

import msgspec
import pytest
from brute_force import is_linearizable
from drawn_history import draw
from random_histories import small_history

from checkers import MODELS, linearizable, registers
from checkers.budget import Budget
from checkers.linearizability import split
from checkers.operations import Operations
from checkers.witness import minimal_witness
from harness.op import Op


def _left_out(events: list[Op], kept: set[int]) -> list[Op]:
    """Return the history in which only the operations with an event in `kept` are known for certain.

    A write or cas that is left out has an unknown outcome; anything else that is left out is gone.
    """
    invocations: dict[object, Op] = {}
    result = []
    for op in events:
        if op.type == "invoke":
            invocations[op.process] = op
            result.append(op)
        elif op.index in kept:
            result.append(op)
        elif op.f == "read" or op.type == "fail":
            result.remove(invocations[op.process])
        else:
            place = result.index(invocations[op.process])
            lost = f"lost {op.index}"
            result[place] = msgspec.structs.replace(result[place], process=lost)
            result.append(msgspec.structs.replace(op, type="info", process=lost))
    return result


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at_once", [0, 4096])
def test_witness_is_a_proof_and_minimal(seed: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the oracle: the witness alone is invalid, and valid as soon as any one of its operations is left out.

    So it is where all parts of a proof of distinct values are tried in one call, and where they are too many for that.
    """
    monkeypatch.setattr(registers, "_AT_ONCE", at_once)
    rng = random.Random(seed)
    proved = 0
    while proved < 200:
        history = small_history(rng.randrange)
        verdict = linearizable("cas-register").check(history)
        if verdict.status != "invalid":
            continue
        proved += 1
        (anomaly,) = verdict.anomalies
        completions = {index for index in anomaly.witness if history.events[index].type != "invoke"}
        assert len(anomaly.witness) == 2 * len(completions)
        assert not is_linearizable(_left_out(list(history.events), completions), comparing=False)
        for index in completions:
            assert is_linearizable(_left_out(list(history.events), completions - {index}), comparing=False)


def test_without_time_the_witness_is_all_that_proves_it() -> None:
    """Where the time is over before minimizing begins, everything that had returned by then is the witness."""
    history = draw("w4 : [-]", "w9 :     [-]", "r9 :         [-]", "r4 :         [-]", "r9 :             [-]")
    (item,) = split(history, MODELS["register"])
    over = Budget(clock=lambda: 1.0, deadline_s=0.0, max_configurations=1_000)
    ops = Operations.of(item.ops)
    assert minimal_witness(MODELS["register"], ops, 7, over) == ([0, 1, 2, 3], False)
    enough = Budget(clock=lambda: 1.0, deadline_s=2.0, max_configurations=1_000)
    assert minimal_witness(MODELS["register"], ops, 7, enough) == ([0, 1, 3], True)
