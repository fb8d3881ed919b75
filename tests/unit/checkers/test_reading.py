"""Operations that are read by columns are those that are read one by one."""

from __future__ import annotations

import random

import msgspec
import pytest
from object_histories import small_history
from test_forward_against_oracle import OBJECTS

from checkers.forward import encode
from checkers.linearizability import split
from checkers.operations import Operations
from checkers.reading import of_key, read
from harness.history import History


@pytest.mark.parametrize("name", OBJECTS)
def test_columns_say_what_the_events_say(name: str) -> None:
    """The same keys, kinds, intervals and rows, in the same order, over several keys."""
    model, spec = OBJECTS[name]
    rng = random.Random(name)
    for _ in range(30):
        parts = [small_history(spec, rng.randrange, 20) for _ in range(3)]
        events = [
            msgspec.structs.replace(op, key=f"k{key}", process=1000 * key + int(op.process))
            for key, part in enumerate(parts)
            for op in part.events
        ]
        history = History([msgspec.structs.replace(op, index=at) for at, op in enumerate(events)])
        said = [item for item in split(history, model) if item.ops]
        expected = encode(model, [item.ops for item in said])
        keys, encoded, rows = read(history, model)
        assert (keys, list(encoded.kinds)) == ([item.key for item in said], list(expected.kinds))
        for column in ("kind", "invoke", "ret", "useful", "offsets"):
            assert getattr(encoded, column).tolist() == getattr(expected, column).tolist()
        for at, item in enumerate(said):
            ops = of_key(encoded, rows, at)
            assert [ops[place] for place in range(len(ops))] == item.ops
            assert len(ops.kinds) == len(Operations.of(item.ops).kinds)
