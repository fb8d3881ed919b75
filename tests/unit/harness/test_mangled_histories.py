"""Histories of every workload with one value mangled: a verdict, or an error that says where, and never a crash."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import virtual_runs

import workloads
from checkers import of_every_run
from harness.config import RunConfig
from harness.errors import HistoryError, UsageError
from harness.history import History
from harness.op import Op

JUNK: list[Any] = [None, 7, -3, 1.5, "x", "", [], {}, True, [1], [[1]], [None, None], {"a": 1}, 1 << 70]
MANGLED = 60


@pytest.mark.parametrize("workload", workloads.WORKLOADS)
def test_no_value_whatever_makes_a_checker_crash(workload: str, tmp_path: Path) -> None:
    """Of every kind of event, whoever's it is: its value or a part of it, its key, what it observed, its node."""
    events = recorded(workload, tmp_path)
    random = Random(workload)
    for _ in range(MANGLED):
        history = History(mangled(events, random), "mangled")
        for checker in (*workloads.find(workload)({}).checkers(), *of_every_run()):
            with contextlib.suppress(HistoryError, UsageError):  # exit code 2, with a hint
                checker.check(history)


def recorded(workload: str, folder: Path) -> list[Op]:
    """Return the events of a short run under faults."""
    config = RunConfig(
        system="memory",
        workload=workload,
        seed=5,
        time_limit_s=4.0,
        interval_s=1.0,
        rate=60.0,
        nemesis=("partition", "pause", "kill"),
    )
    return list(virtual_runs.run(config, folder)[1].events)


def mangled(events: list[Op], random: Random) -> list[Op]:
    """Return the events with one of them mangled; rare kinds of events are as likely as common ones."""
    kinds: dict[Any, list[int]] = defaultdict(list)
    for at, op in enumerate(events):
        kinds[type(op.process), op.f, op.type].append(at)
    at = random.choice(random.choice(list(kinds.values())))
    op = events[at]
    field = random.choice(("value", "value", "value", "key", "observed", "node"))
    if field == "value":
        junk = replaced(op.value, random.choice(list(paths(op.value))), random.choice(JUNK))
    else:
        junk = random.choice((None, "", "nobody") if field == "node" else JUNK)
    return [*events[:at], msgspec.structs.replace(op, **{field: junk}), *events[at + 1 :]]


def paths(value: Any, so_far: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each part of a JSON value; of a list, to its first parts."""
    yield so_far
    parts = value.items() if isinstance(value, dict) else enumerate(value[:4]) if isinstance(value, list) else ()
    for name, part in parts:
        yield from paths(part, (*so_far, name))


def replaced(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    """Return a value with another part at a path."""
    if not path:
        return junk
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], junk)
    return copy
