"""How fast registers with distinct values are checked: `.venv/bin/python -m benchmarks.check [largest]`.

A history is made by a simulated atomic register under every key: its clients overlap, some operations lose their
answer (info), some cas fail, with or without the value that they saw. It is linearizable by construction; its twin
has one stale read. Measured is the check alone, on paired columns, median of 5, of a stale read with its witness and
sentence and without: seconds of the processor on one core, and seconds on the wall for two. Beside it stands Porcupine
on such histories, on this kind of machine: T is more than 60 s, M more than 8 GB.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
import tracemalloc
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
from msgspec import UNSET

from checkers import MODELS, Linearizable, registers
from harness.columns import ABSENT, NULL, Columns, Numbers
from harness.history import FAIL, INFO, NEVER, OK, History
from harness.op import Op
from harness.verdict import Verdict

ROUNDS: Final = 5
_READ, _WRITE, _CAS = range(3)
_FS: Final = ("read", "write", "cas")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a generated history looks like.

    Attributes:
        keys, ops_a_key: how many.
        clients: of each key, at once.
        info: share of the operations that lose their answer.
        values: how many different values are written; 0 writes a new one each time.
        observing: whether a failed cas tells what it saw.
    """

    keys: int = 1
    ops_a_key: int = 300
    clients: int = 5
    info: float = 0.02
    values: int = 0
    observing: bool = True


class _Events(Sequence[Op]):
    """The events of columns whose values are their own ids, but for None."""

    def __init__(self, columns: Columns, events: int) -> None:
        self._columns = columns
        self._rows = np.zeros(events, np.int64)
        self._rows[columns.invoke] = np.arange(len(columns))
        done = columns.complete != NEVER
        self._rows[columns.complete[done]] = ~np.flatnonzero(done)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        code, columns = int(self._rows[at]), self._columns
        row = max(code, ~code)
        names = {"index": at, "time": at * 100_000, "process": int(columns.process[row]), "f": _FS[columns.f[row]]}
        asked: Any = columns.values[columns.value[row]]
        if names["f"] == "cas":
            asked = [columns.values[columns.old[row]], columns.values[columns.new[row]]]
        key = columns.keys[columns.key[row]]
        if code >= 0:
            return Op(type="invoke", key=key, value=asked, **names)
        kind = {OK: "ok", FAIL: "fail", INFO: "info"}[int(columns.outcome[row])]
        seen = columns.values[columns.result[row]] if names["f"] == "read" else asked
        observed = columns.observed[row]
        told = UNSET if observed == ABSENT else columns.values[observed]
        return Op(type=kind, key=key, value=seen, observed=told, **names)


class _Simulation:
    """Atomic registers, and the clients of each, three steps an operation: invoke, take effect, return."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self._shape = shape
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._values = [NULL] * shape.keys
        self._written = [0] * shape.keys
        slots = shape.keys * shape.clients
        self._process = list(range(slots))
        self._next_process = slots
        self._open = [-1] * slots  # row of the operation of each client
        self._effective = bytearray(slots)
        self._left = [shape.ops_a_key] * shape.keys
        self.events = 0
        self.columns = {name: array("i") for name in ("process", "key", "value", "result", "observed", "old", "new")}
        self.columns |= {"invoke": array("q"), "complete": array("q"), "outcome": array("b"), "f": array("h")}

    def run(self) -> None:
        """Go on until every operation has returned."""
        clients, draw = self._shape.clients, self._random.random
        live = list(range(len(self._open)))
        while live:
            at = int(draw() * len(live))
            slot = live[at]
            key, row = slot // clients, self._open[slot]
            if row >= 0 and self._effective[slot]:
                self._finish(slot, row)
            elif row >= 0:
                self._effective[slot] = True
                if self.columns["outcome"][row] != INFO or draw() < 0.5:
                    self._apply(key, row)
            elif self._left[key]:
                self._left[key] -= 1
                self._invoke(slot, key)
            else:
                live[at] = live[-1]
                live.pop()

    def _invoke(self, slot: int, key: int) -> None:
        draw, shape = self._random.random, self._shape
        f = int(draw() * 4)
        f = _READ if f == 3 else f
        old = new = value = ABSENT
        if f != _READ:
            self._written[key] += 1
            value = new = 1 + int(draw() * shape.values) if shape.values else self._written[key]
        if f == _CAS:
            guess = 1 + int(draw() * (shape.values or self._written[key]))
            old = self._values[key] if draw() < 0.7 else guess
        self._open[slot] = len(self.columns["f"])
        self._effective[slot] = False
        fields = {"process": self._process[slot], "key": key, "f": f, "old": old, "new": new if f == _CAS else ABSENT}
        fields |= {"value": value if f == _WRITE else NULL, "result": ABSENT, "observed": ABSENT, "complete": NEVER}
        fields |= {"invoke": self.events, "outcome": INFO if draw() < shape.info else OK}
        for name, field in fields.items():
            self.columns[name].append(field)
        self.events += 1

    def _apply(self, key: int, row: int) -> None:
        columns = self.columns
        f = columns["f"][row]
        if f == _READ:
            columns["result"][row] = self._values[key]
        elif f == _WRITE:
            self._values[key] = columns["value"][row]
        elif columns["old"][row] == self._values[key]:
            self._values[key] = columns["new"][row]
        elif columns["outcome"][row] == OK:
            columns["outcome"][row] = FAIL
            columns["observed"][row] = self._values[key] if self._shape.observing else ABSENT

    def _finish(self, slot: int, row: int) -> None:
        self.columns["complete"][row] = self.events
        self.events += 1
        self._open[slot] = -1
        if self.columns["outcome"][row] == INFO:
            self.columns["result"][row] = NULL
            self._process[slot] = self._next_process
            self._next_process += 1


def generate(shape: Shape, seed: int) -> History:
    """Return a linearizable history; the same for the same seed."""
    simulation = _Simulation(shape, seed)
    simulation.run()
    types = dict.fromkeys(("key", "value", "result", "observed", "old", "new"), np.int32)
    types |= {"invoke": np.int64, "complete": np.int64, "process": np.int64, "outcome": np.int8, "f": np.int16}
    arrays = {name: np.array(simulation.columns[name], types[name]) for name in types}
    most = int(max(arrays["value"].max(initial=0), arrays["new"].max(initial=0), arrays["old"].max(initial=0)))
    values = [None, *range(1, most + 1)]
    numbered = {name: arrays.pop(name) for name in ("value", "result", "observed", "old", "new")}
    numbers = Numbers(**numbered, values=values)
    keys = [f"k{number}" for number in range(shape.keys)]
    columns = Columns(**arrays, fs=_FS, keys=keys, number=lambda: numbers)
    return History(_Events(columns, simulation.events), f"seed {seed}", columns)


def with_stale_read(history: History) -> History:
    """Return the history where one read, late in the last key where that can be, sees an early value.

    Before it began another value had been written, after the one that it sees: where values are distinct, that is an
    anomaly. There is no such key in some histories of few operations a key.
    """
    columns = history.columns
    for key in range(len(columns.keys) - 1, -1, -1):
        rows = np.flatnonzero((columns.key == key) & (columns.outcome == OK))
        puts, reads = rows[columns.f[rows] != _READ], rows[columns.f[rows] == _READ]
        for late in reads[len(reads) * 3 // 4 :]:
            before = puts[columns.complete[puts] < columns.invoke[late]]
            earlier = before[columns.complete[before] < columns.invoke[before[-1]]] if len(before) else before
            if len(earlier):
                result = columns.result.copy()
                put = earlier[0]
                result[late] = columns.new[put] if columns.f[put] == _CAS else columns.value[put]
                stale = replace(columns, number=partial(replace, columns.numbers, result=result))
                return History(_Events(stale, len(history)), f"{history.source}, stale", stale)
    raise ValueError("no read in this history can be made stale")


# --- the tables ---------------------------------------------------------------------------------------------------

SIZES: Final = {"1k": 1_000, "10k": 10_000, "100k": 100_000, "1M": 1_000_000, "10M": 10_000_000}
PORCUPINE: Final = {
    (1, 5, 0.0, "ok"): "0.002  0.04  33  M",
    (1, 5, 0.0, "stale"): "0.010  0.56  T",
    (1, 5, 0.01, "stale"): "0.036  T",
    (1, 10, 0.0, "ok"): "0.015  5  M",
    (1, 10, 0.0, "stale"): "0.15  T",
    (1, 20, 0.0, "ok"): "39  T",
    (1, 20, 0.0, "stale"): "T",
    (1, 50, 0.0, "ok"): "T",
    (1, 50, 0.0, "stale"): "T",
    (100, 10, 0.0, "ok"): "0.001  0.01  1.6  3.0",
    (100, 10, 0.0, "stale"): "0.001  0.3  0.16  6.4",
    (100, 10, 0.01, "ok"): "0.002  0.01  0.14  6.7",
    (100, 10, 0.01, "stale"): "0.002  0.02  0.2  T",
}
DECIDED: Final = "decided"
_EXPECTED: Final = {"ok": "valid", "stale": "invalid", "stale, no witness": DECIDED}


def measure(history: History, expected: str, clock: Callable[[], float]) -> tuple[float, float]:
    """Return the median seconds of the check, and the most memory that it took beyond the columns, in MB.

    What is expected is valid, invalid, or "decided": then no witness is looked for.
    """
    seconds = []
    for _ in range(ROUNDS):
        start = clock()
        if expected == DECIDED:
            registers.decide(history, MODELS["cas-register"])
            seconds.append(clock() - start)
            continue
        verdict: Verdict = Linearizable(MODELS["cas-register"]).check(history)
        seconds.append(clock() - start)
        assert verdict.status == expected, verdict
        assert verdict.engine == "unique values", verdict
    tracemalloc.start()
    Linearizable(MODELS["cas-register"]).check(history)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return statistics.median(seconds), peak_bytes / 1e6


def table(keys: int, clients: Sequence[int], sizes: Sequence[str], clock: Callable[[], float]) -> None:
    """Print one line for each number of clients, share of info, and verdict."""
    print(
        f"{keys} key(s), seconds".ljust(34),
        *(size.rjust(8) for size in sizes),
        "      MB  Porcupine: 1k, 10k, 100k, 1M",
    )
    for count in clients:
        for info in (0.0, 0.01):
            cells: dict[str, list[str]] = {label: [] for label in _EXPECTED}
            most: dict[str, float] = {}
            for size in sizes:
                history = generate(Shape(keys=keys, ops_a_key=SIZES[size] // keys, clients=count, info=info), seed=1)
                stale = with_stale_read(history)
                for label in _EXPECTED:
                    case = history if label == "ok" else stale
                    seconds, most[label] = measure(case, _EXPECTED[label], clock)
                    cells[label].append(f"{seconds:.4f}".rjust(8))
            for label, row in cells.items():
                name = f"c{count} {label}{' + 1 % info' if info else ''}".ljust(34)
                print(name, *row, f"{most[label]:8.0f} ", PORCUPINE.get((keys, count, info, label), ""), flush=True)


def main() -> None:
    """Print the tables up to the size that is given."""
    sizes = list(SIZES)[: list(SIZES).index(sys.argv[1]) + 1] if sys.argv[1:] else list(SIZES)[:4]
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    table(1, (5, 10, 20, 50), sizes[:4], time.process_time)
    if "10M" in sizes:
        table(1, (10,), ["10M"], time.process_time)
    table(100, (10,), sizes[:4], time.process_time)
    os.sched_setaffinity(0, cores)
    print(f"on {len(cores)} cores")
    table(100, (10,), sizes[:4], time.perf_counter)


if __name__ == "__main__":
    main()
