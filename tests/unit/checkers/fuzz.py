"""Every engine and checker against the brute-force oracle, on and on: tests/unit/checkers/fuzz.py [seconds] [seed].

Each round tries some hundred random histories of each. It tells how many there were and stops at the first
disagreement, with its history. Without `seconds` it goes on until it is interrupted.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter as Tally
from collections.abc import Callable
from functools import partial

import msgspec
import pytest
import test_forward_against_oracle as general
from agreement import verdict_of
from brute_force import is_linearizable
from object_histories import crowded_history, small_history
from object_specs import AppendSpec, CounterSpec, IdsSpec, MutexSpec, QueueSpec, SetSpec, Spec
from random_histories import small_history as register_history

from checkers import MODELS, Linearizable, registers
from checkers.append import Append
from checkers.counter import Counter
from checkers.fifo_queue import FifoQueue
from checkers.grow_set import GrowingSet
from checkers.models import COMPARING_CAS_REGISTER
from checkers.mutex import Mutex
from checkers.owner_mutex import FencedMutex, OwnerMutex
from checkers.unique_ids import UniqueIds
from harness.protocols import Checker

_BATCH = 200
_CROWDED = 1
_TELL_EVERY_S = 30.0

NEAR_LINEAR: dict[str, tuple[Checker, Spec]] = {
    "append": (Append(), AppendSpec()),
    "counter": (Counter(), CounterSpec(1)),
    "counter of different steps": (Counter(), CounterSpec(1, 2, -1)),
    "fenced mutex": (FencedMutex(), MutexSpec(owned=True, fenced=True)),
    "fifo queue": (FifoQueue(), QueueSpec()),
    "growing ids": (UniqueIds(growing=True), IdsSpec(growing=True)),
    "mutex": (Mutex(), MutexSpec()),
    "owner mutex": (OwnerMutex(), MutexSpec(owned=True)),
    "set": (GrowingSet(), SetSpec(few=True)),
    "unique ids": (UniqueIds(), IdsSpec(growing=False)),
}

Choose = Callable[[int], int]


def _general(name: str, choose: Choose) -> None:
    general.agree(name, [general.case_of(name, choose, 4 + choose(9)) for _ in range(_BATCH)])


def _narrow(name: str, choose: Choose) -> None:
    with pytest.MonkeyPatch.context() as patch:
        general.narrow(patch)
        _general(name, choose)


def _near_linear(name: str, choose: Choose) -> None:
    checker, spec = NEAR_LINEAR[name]
    for _ in range(_BATCH):
        verdict_of(checker, spec, small_history(spec, choose, 4 + choose(6)))  # more would take the oracle hours


def _distinct_values(name: str, choose: Choose) -> None:
    comparing = name == "comparing"
    model = COMPARING_CAS_REGISTER if comparing else MODELS["cas-register"]
    for _ in range(_BATCH):
        history = register_history(choose, 4 + choose(9))
        codes = registers.decide(history, model).codes.tolist()
        if codes and codes[0] != registers.INELIGIBLE:
            text = "\n".join(msgspec.json.encode(op).decode() for op in history.events)
            assert (codes[0] == registers.VALID) == is_linearizable(history.events, comparing=comparing), text


def _crowded(choose: Choose) -> None:
    """Hundreds of open operations, of a correct object: far beyond the oracle, but an accusation is wrong."""
    for _ in range(_CROWDED):
        model, spec = list(general.OBJECTS.values())[choose(len(general.OBJECTS))]
        history = crowded_history(spec, choose)
        verdict = Linearizable(model, time_limit_s=0.5, max_configurations=2_000).check(history)
        text = "\n".join(msgspec.json.encode(op).decode() for op in history.events)
        assert verdict.status != "invalid", f"{verdict}\n{text}"


def subjects() -> dict[str, Callable[[Choose], None]]:
    """Return what is tried: by name, what tries a batch."""
    models = [*general.REGISTERS, *general.OBJECTS]
    return (
        {f"general engine: {name}": partial(_general, name) for name in models}
        | {f"general engine, narrow: {name}": partial(_narrow, name) for name in models}
        | {"general engine, crowded": _crowded}
        | {f"near-linear: {name}": partial(_near_linear, name) for name in NEAR_LINEAR}
        | {f"distinct values: {name}": partial(_distinct_values, name) for name in general.REGISTERS}
    )


def main(seconds: float, seed: int) -> int:
    """Return how many histories were tried; a disagreement raises AssertionError."""
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    end, tell = time.monotonic() + seconds, time.monotonic() + _TELL_EVERY_S
    tried: Tally[str] = Tally()
    try:
        while time.monotonic() < end:
            for name, attempt in subjects().items():
                attempt(lambda below: int(rng.random() * below))
                tried[name] += _CROWDED if "crowded" in name else _BATCH
            if time.monotonic() >= tell:
                tell += _TELL_EVERY_S
                print(f"{tried.total():,} histories, no disagreement", flush=True)
    except KeyboardInterrupt:
        pass
    for name, count in tried.items():
        print(f"{name:42} {count:12,}")
    print(f"{tried.total():,} histories, no disagreement", flush=True)
    return tried.total()


if __name__ == "__main__":
    main(
        float(sys.argv[1]) if len(sys.argv) > 1 else float("inf"),
        int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns(),
    )
