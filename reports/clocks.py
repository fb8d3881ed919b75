"""How far each node's clock was off over time: as planned, and where it was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.history import FaultWindow, History
from harness.op import NEMESIS
from reports import words
from reports.faults import nodes_hit

KIND: Final = "clock"
STEPS_MAX: Final = 500
"""As many steps of one fault are drawn; of a faster strobe or walk, every second, third, …"""


@dataclass(frozen=True, slots=True)
class Offsets:
    """One node's clock: corners of the planned line and measured points, each (time in ns, offset in ms)."""

    node: str
    planned: tuple[tuple[int, float], ...]
    measured: tuple[tuple[int, float], ...]


def offsets(history: History, nodes: Iterable[str], end_ns: int) -> tuple[Offsets, ...]:
    """Return the clocks of all nodes of a run that skewed one, of no node of any other.

    Args:
        history: the run's.
        nodes: in order.
        end_ns: the end of the record.
    """
    faults = [fault for fault in history.faults if fault.kind == KIND]
    every = list(nodes)
    if not faults:
        return ()
    planned: dict[str, list[tuple[int, float]]] = {node: [(0, 0.0)] for node in every}
    for fault in faults:
        stop_ns = fault.heal_ns if fault.heal_ns is not None else end_ns
        for node in nodes_hit(fault, every):
            planned[node] += [(fault.inject_ns, 0.0), *_line(fault, stop_ns), (stop_ns, 0.0)]
    measured: dict[str, list[tuple[int, float]]] = {node: [] for node in every}
    for time_ns, told in _told(history):
        for node, offset_ms in told.items():
            if node in measured and isinstance(offset_ms, int | float):
                measured[node].append((time_ns, float(offset_ms)))
    return tuple(Offsets(node, (*planned[node], (end_ns, 0.0)), tuple(measured[node])) for node in every)


def _line(fault: FaultWindow, stop_ns: int) -> list[tuple[int, float]]:
    """Return the corners of what a fault's parameters make of a clock until it is healed."""
    params, start_ns = fault.params, fault.inject_ns
    if params.get("shape") == "drift":
        return [(start_ns, 0.0), (stop_ns, _number(params, "rate") * (stop_ns - start_ns) / 1e6)]
    steps, length_ns = [_number(params, "offset_ms")], max(1, stop_ns - start_ns)
    if params.get("shape") == "strobe":
        steps, length_ns = [*steps, 0.0], round(_number(params, "period_s") * words.NS / 2)
    elif params.get("shape") == "walk" and isinstance(params.get("walk_ms"), list | tuple):
        steps, length_ns = [float(step) for step in params["walk_ms"]], round(_number(params, "period_s") * words.NS)
    if not steps or length_ns <= 0:
        return []
    count = math.ceil((stop_ns - start_ns) / length_ns)
    stride = 1 + count // STEPS_MAX | 1  # odd, or a strobe would lose one of its sides
    corners = []
    for at in range(0, count, stride):
        offset_ms = steps[at % len(steps)]
        corners += [(start_ns + at * length_ns, offset_ms)]
        corners += [(min(stop_ns, start_ns + (at + stride) * length_ns), offset_ms)]
    return corners


def _number(params: Mapping[str, Any], name: str) -> float:
    value = params.get(name, 0.0)
    return float(value) if isinstance(value, int | float) else 0.0


def _told(history: History) -> Iterable[tuple[int, Mapping[str, Any]]]:
    """Yield when the nemesis measured which offsets: after an injection, and before and after a heal."""
    began_ns: dict[Any, int] = {}  # by fault: several may be under way
    for op in history.events:
        if op.process != NEMESIS or not isinstance(op.value, Mapping) or op.value.get("kind") != KIND:
            continue
        if op.type == "invoke":
            began_ns[op.key] = op.time
        evidence = op.value.get("evidence")
        if op.type == "ok" and isinstance(evidence, Mapping):
            for name, time_ns in (("last_ms", began_ns.get(op.key, 0)), ("offsets_ms", op.time)):
                if isinstance(evidence.get(name), Mapping):
                    yield time_ns, evidence[name]


def height(offset_ms: float, most_ms: float) -> float:
    """Return where an offset stands between -1 and 1: in orders of magnitude, from a tenth of a millisecond on."""
    return math.copysign(math.log10(1 + 10 * abs(offset_ms)) / math.log10(1 + 10 * max(most_ms, 1.0)), offset_ms)
