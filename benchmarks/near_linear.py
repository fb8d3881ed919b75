"""How fast the near-linear checkers are: `.venv/bin/python -m benchmarks.near_linear [operations]`.

A history is what a correct object recorded: its clients overlap, some operations lose their answer (info). Beside it
stands a twin with one anomaly at its end. Measured is the check alone, on paired columns, in seconds of the processor,
median of 5; of the twin with the witness.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from checkers import checker_for
from harness.history import History
from harness.op import Op

Serve = Callable[[random.Random, int, str, Any], tuple[str, Any]]
"""Does one operation of a process, called by name with what was asked: returns its type, ok or wait, and its answer."""


@dataclass(frozen=True)
class Bench:
    """One model's load.

    Attributes:
        ask: returns the next operation and what is asked with it; by its number, and whether its process holds a lock.
        serve: makes a fresh object.
        twin: events of one more operation or two that cannot be.
    """

    ask: Callable[[random.Random, int, bool], tuple[str, Any]]
    serve: Callable[[], Serve]
    twin: tuple[tuple[str, Any, Any], ...]


def _lock(*, fenced: bool) -> Serve:
    state: dict[str, Any] = {"owner": None, "token": 0}

    def serve(rng: random.Random, process: int, f: str, value: Any) -> tuple[str, Any]:
        if f == "release":
            state["owner"] = None
            return "ok", None
        if state["owner"] is not None:
            return "wait", None
        state["owner"] = process
        state["token"] += 1
        return "ok", state["token"] if fenced else None

    return serve


def _queue() -> Serve:
    inside: deque[Any] = deque()

    def serve(rng: random.Random, process: int, f: str, value: Any) -> tuple[str, Any]:
        if f == "enqueue":
            inside.append(value)
            return "ok", value
        return "ok", inside.popleft() if inside else None

    return serve


def _set() -> Serve:
    inside: list[Any] = []

    def serve(rng: random.Random, process: int, f: str, value: Any) -> tuple[str, Any]:
        if f == "read":
            return "ok", list(inside)
        inside.append(value)
        return "ok", value

    return serve


def _counter() -> Serve:
    count = [0]

    def serve(rng: random.Random, process: int, f: str, value: Any) -> tuple[str, Any]:
        count[0] += 1 if f == "generate" else value or 0
        return "ok", value if f == "add" else count[0]

    return serve


def _lock_ask(rng: random.Random, number: int, holds: bool) -> tuple[str, Any]:
    return "release" if holds else "acquire", None


BENCHES = {
    "mutex": Bench(_lock_ask, lambda: _lock(fenced=False), (("acquire", None, None), ("acquire", None, None))),
    "owner-mutex": Bench(_lock_ask, lambda: _lock(fenced=False), (("acquire", None, None), ("acquire", None, None))),
    "fenced-mutex": Bench(_lock_ask, lambda: _lock(fenced=True), (("acquire", None, 0),)),
    "set": Bench(
        lambda rng, number, holds: ("read", None) if number % 100_000 == 99_999 else ("add", number),
        _set,
        (("read", None, []),),
    ),
    "fifo-queue": Bench(
        lambda rng, number, holds: ("enqueue", number + 1) if rng.random() < 0.5 else ("dequeue", None),
        _queue,
        (("dequeue", None, -1),),
    ),
    "unique-ids": Bench(lambda rng, number, holds: ("generate", None), _counter, (("generate", None, 1),)),
    "counter": Bench(
        lambda rng, number, holds: ("read", None) if rng.random() < 0.5 else ("add", 1), _counter, (("read", None, -1),)
    ),
}


def generate(bench: Bench, size: int, clients: int, info: float, seed: int) -> list[Op]:
    """Return what a correct object recorded of `size` operations; the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    serve = bench.serve()
    idle, next_process, number = list(range(clients)), clients, 0
    holder = -1
    busy: list[list[Any]] = []  # process, f, value, type, answer
    events: list[Op] = []

    def record(process: int, kind: Any, f: str, value: Any) -> None:
        events.append(Op(len(events), len(events) * 1_000, process, kind, f, value=value))

    while number < size or busy:
        if number < size and idle and (not busy or rng.random() < 0.5):
            process = idle.pop(int(rng.random() * len(idle)))
            f, value = bench.ask(rng, number, process == holder)
            number += 1
            record(process, "invoke", f, value)
            busy.append([process, f, value, "", None])
            continue
        at = int(rng.random() * len(busy))
        call = busy[at]
        process, f, value, kind, answer = call
        if not kind:
            lost = rng.random() < info
            if not lost or f != "acquire":
                call[3], call[4] = serve(rng, process, f, value)
            if call[3] == "wait" and number < size:
                call[3] = ""
            elif lost or call[3] == "wait":
                call[3] = "info"
            continue
        busy[at] = busy[-1]
        busy.pop()
        record(process, kind, f, answer if kind == "ok" else value)
        if f == "acquire" and kind == "ok":
            holder = process
        elif process == holder:
            holder = -1
        if kind == "info":
            process, next_process = next_process, next_process + 1
        idle.append(process)
    return events


def _twin(bench: Bench, events: list[Op]) -> list[Op]:
    """Return the events with operations behind them that cannot be."""
    bad = list(events)
    for number, (f, asked, answer) in enumerate(bench.twin):
        for kind, value in (("invoke", asked), ("ok", answer)):
            bad.append(Op(len(bad), len(bad) * 1_000, 10**9 + number, kind, f, value=value))  # type: ignore[arg-type]
    return bad


def measure(model: str, events: list[Op], expected: str) -> tuple[float, str]:
    """Return the median of 5 checks in seconds, and the engine."""
    history = History(events)
    assert len(history.columns)
    times = []
    for _ in range(5):
        start = time.process_time()
        verdict = checker_for(model).check(history)
        times.append(time.process_time() - start)
        assert verdict.status == expected, (model, verdict)
    return statistics.median(times), verdict.engine


def main(size: int) -> None:
    """Print one line for each model."""
    print(f"{size} operations, seconds: valid / valid with 1 % info / with an anomaly")
    for model, bench in BENCHES.items():
        plain = generate(bench, size, 10, 0.0, 1)
        lossy = generate(bench, size, 10, 0.01, 2)
        seconds = [measure(model, plain, "valid"), measure(model, lossy, "valid")]
        seconds.append(measure(model, _twin(bench, plain), "invalid"))
        print(f"{model:14}", " / ".join(f"{taken:.3f}" for taken, _ in seconds), f"({seconds[0][1]})", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
