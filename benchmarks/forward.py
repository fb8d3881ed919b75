"""How fast the general engine is on one key whose values are written again and again.

`.venv/bin/python -m benchmarks.forward [operations …]`; 1,000, 10,000 and 100,000 where none are given. Seconds of the
processor, the median of five histories, each of its own seed; of a million operations and more, one history. Of a
stale read: the check + its smallest witness.
Then the same operations on 100 keys, 2 and 10 clients at each, on all cores, seconds on the wall.

A history is made by an atomic register: its clients overlap, half of the operations are writes of one of five values,
some operations lose their answer (info), and with `cas` a third each are reads, writes and cas, of which many fail
having observed nothing. It is linearizable by construction. In its stale twin, three quarters through, all clients
pause, one value is written that was read a moment before, and another one is read that no lost write can explain.
"""

from __future__ import annotations

import itertools
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from msgspec import UNSET

from checkers.budget import Budget
from checkers.forward import Encoded, decide_encoded
from checkers.models import COMPARING_CAS_REGISTER, FAILED_CAS, NEVER_COMPLETES, ModelOp
from checkers.operations import Operations
from checkers.witness import minimal_witness

_CLIENTS = (5, 10, 20, 50)
_HISTORIES = 5
_LARGE = 1_000_000
_KEYS = 100
_CLIENTS_A_KEY = (2, 10)  # ten clients of a hundred keys seldom meet three at one key
_VALUES = 5
_LIMIT_S = 60.0
_OTHER = 0  # a value that is written once, at the start, and then never again


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a generated history looks like.

    Attributes:
        operations, clients: how many.
        info: share of the operations that lose their answer.
        cas: whether a third of the operations are cas.
        stale: whether it has a stale read.
    """

    operations: int
    clients: int
    info: float = 0.0
    cas: bool = False
    stale: bool = False


class _Register:
    """An atomic register, and what its clients record."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self._shape = shape
        self._rng = random.Random(seed)  # noqa: S311 - no secret
        self._kinds: dict[ModelOp, int] = {}
        self._ops: list[list[int]] = []  # kind (-1: says nothing), invocation, return
        self._open: list[dict[str, Any]] = []
        self._value: int | None = None
        self._row = 0

    def record(self) -> Encoded:
        """Return the history."""
        shape = self._shape
        self._alone("write", _OTHER)
        self._run(shape.operations * 3 // 4 - 1)
        if shape.stale:
            self._alone("write", 1)
            self._alone("read", _OTHER)
        self._run(shape.operations - len(self._ops))
        ops = np.array([op for op in self._ops if op[0] >= 0], np.int64).reshape(-1, 3)
        useful = np.full(len(ops), NEVER_COMPLETES, np.int64)
        kind, invoke, ret = (np.ascontiguousarray(column) for column in ops.T)
        offsets = np.array([0, len(ops)], np.int64)
        return Encoded(tuple(self._kinds), kind.astype(np.int32), invoke, ret, useful, offsets)

    def _kind(self, f: str, value: Any) -> int:
        return self._kinds.setdefault(ModelOp(f, value), len(self._kinds))

    def _alone(self, f: str, value: int) -> None:
        self._ops.append([self._kind(f, value), self._row, self._row + 1])
        self._row += 2
        self._value = value if f == "write" else self._value

    def _run(self, left: int) -> None:
        while left > 0 or self._open:
            if left > 0 and len(self._open) < self._shape.clients and (not self._open or self._rng.random() < 0.5):
                left -= 1
                self._invoke()
                continue
            call = self._open[self._rng.randrange(len(self._open))]
            if call["done"]:
                self._open.remove(call)
                if not call["lost"]:
                    self._ops[call["number"]][2] = self._row
                self._row += 1
            else:
                call["done"] = True
                self._ops[call["number"]][0] = self._take_effect(call)

    def _invoke(self) -> None:
        rng = self._rng
        f = rng.choice(("read", "write", "cas") if self._shape.cas else ("read", "write"))
        old = self._value if rng.random() < 0.5 else rng.randint(1, _VALUES)
        call = {"f": f, "value": (old, rng.randint(1, _VALUES)) if f == "cas" else rng.randint(1, _VALUES)}
        lost = rng.random() < self._shape.info
        self._open.append(call | {"number": len(self._ops), "lost": lost, "done": False})
        self._ops.append([-1, self._row, NEVER_COMPLETES])
        self._row += 1

    def _take_effect(self, call: dict[str, Any]) -> int:
        f, value, lost = call["f"], call["value"], call["lost"]
        happens = not lost or self._rng.random() < 0.5
        if f == "read":
            return -1 if lost else self._kind("read", self._value)
        if f == "write":
            self._value = value if happens else self._value
        elif value[0] == self._value:
            self._value = value[1] if happens else self._value
        elif not lost:
            return self._kind(FAILED_CAS, (value[0], UNSET))
        return self._kind(f, value)


def generate(shape: Shape, seed: int = 1) -> Encoded:
    """Return a history; the same for the same seed."""
    return _Register(shape, seed).record()


def measure(shape: Shape) -> tuple[str, float, float]:
    """Return the verdicts, each once, and medians of the seconds of the processor: of the check, and of the witness."""
    checks, witnesses, found = [], [], set()
    for seed in range(1 if shape.operations >= _LARGE else _HISTORIES):
        encoded = generate(shape, seed)
        start = time.process_time()
        (outcome,) = decide_encoded(COMPARING_CAS_REGISTER, encoded, _budget())
        checked = time.process_time()
        if outcome.status == "invalid":
            rows = np.arange(len(encoded.kind))
            ops = Operations(encoded.kinds, encoded.kind, encoded.invoke, encoded.ret, rows)
            assert minimal_witness(COMPARING_CAS_REGISTER, ops, outcome.row, _budget()).smallest
        witnesses.append(time.process_time() - checked)
        checks.append(checked - start)
        found.add(outcome.status)
    return "/".join(sorted(found)), statistics.median(checks), statistics.median(witnesses)


def _budget() -> Budget:
    return Budget(time.monotonic, time.monotonic() + _LIMIT_S, 200_000)


def joined(keys: Sequence[Encoded]) -> Encoded:
    """Return histories as one of so many keys."""
    numbers: dict[ModelOp, int] = {}
    kinds = [np.array([numbers.setdefault(op, len(numbers)) for op in key.kinds], np.int32) for key in keys]
    return Encoded(
        kinds=tuple(numbers),
        kind=np.concatenate([kind[key.kind] for kind, key in zip(kinds, keys, strict=True)]),
        invoke=np.concatenate([key.invoke for key in keys]),
        ret=np.concatenate([key.ret for key in keys]),
        useful=np.concatenate([key.useful for key in keys]),
        offsets=np.cumsum([0, *(len(key.kind) for key in keys)], dtype=np.int64),
    )


def measure_keys(operations: int, clients: int, info: float, *, stale: bool) -> tuple[str, float]:
    """Return whether a history of many keys, of which the last may be stale, is valid, and the seconds it takes."""
    shape = Shape(operations=operations // _KEYS, clients=clients, info=info, cas=True)
    keys = [generate(shape, seed) for seed in range(_KEYS - 1)]
    encoded = joined([*keys, generate(replace(shape, stale=stale), _KEYS)])
    seconds, found = [], set()
    for _ in range(_HISTORIES):
        start = time.perf_counter()
        outcomes = decide_encoded(COMPARING_CAS_REGISTER, encoded, _budget())
        seconds.append(time.perf_counter() - start)
        found |= {outcome.status for outcome in outcomes}
    return "/".join(sorted(found)), statistics.median(seconds)


def clients_of(operations: int) -> tuple[int, ...]:
    """Return how many clients to try with so many operations."""
    return _CLIENTS[:2] if operations >= _LARGE else _CLIENTS


def main() -> None:
    """Print a table: a row for each kind of history, a column for each number of clients."""
    sizes = [int(text.replace(",", "")) for text in sys.argv[1:]] or [1_000, 10_000, 100_000]
    for operations in sizes:
        print(
            f"\n{operations:,} operations, one key, {_VALUES} values".ljust(48),
            *(f"c = {c}".rjust(25) for c in clients_of(operations)),
        )
        for cas in (False, True):
            for info in (0.0, 0.01):
                for stale in (False, True):
                    name = ("cas, " if cas else "") + f"{info:.0%} info" + (", stale read" if stale else "")
                    cells = []
                    for clients in clients_of(operations):
                        shape = Shape(operations=operations, clients=clients, info=info, cas=cas, stale=stale)
                        status, seconds, witness = measure(shape)
                        cells.append(f"{status} {seconds:.4f}{f' + {witness:.4f}' * stale}".rjust(25))
                    print(name.ljust(47), *cells, flush=True)
        for clients, info, stale in itertools.product(_CLIENTS_A_KEY, (0.0, 0.01), (False, True)):
            name = f"{_KEYS} keys, c = {clients} each, cas, {info:.0%} info" + (", stale read" if stale else "")
            status, seconds = measure_keys(operations, clients, info, stale=stale)
            print(name.ljust(47), f"{status} {seconds:.4f}", flush=True)


if __name__ == "__main__":
    main()
