"""A witness of any model proves its anomaly by itself, and nothing can be taken from it."""

from __future__ import annotations

import random

import pytest
from agreement import verdict_of
from object_histories import small_history
from test_forward_against_oracle import OBJECTS

from checkers import Linearizable


@pytest.mark.parametrize("name", OBJECTS)
def test_witness_is_a_proof_and_minimal(name: str) -> None:
    """By the oracle: the witness alone is invalid, and valid as soon as any one of its operations is left out."""
    model, spec = OBJECTS[name]
    rng = random.Random(name)
    proved = 0
    while proved < 150:
        history = small_history(spec, lambda below: int(rng.random() * below))
        proved += verdict_of(Linearizable(model), spec, history).status == "invalid"
