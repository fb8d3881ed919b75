"""Faults in plain words: what was done to whom, and what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from harness.history import FaultWindow
from reports import words

_SKEW: Final = frozenset({"clocks", "offset_ms", "period_s", "rate", "walk_ms"})
_TOLD: Final = _SKEW | {
    *("evidence", "heal", "moment", "nodes", "note", "order", "otherwise", "shape", "target", "unheard"),
}
"""Parameters that have words of their own here, or that only say how the others came about."""

_SHAPES: Final = {
    "halves": "into halves",
    "one": "of one node",
    "majority": "into a majority and single nodes",
    "majorities-ring": "into a ring of majorities",
    "isolate-leader": "of the leader",
    "one-way": "one-way",
}
_TARGETS: Final = {
    "one": "one node",
    "minority": "a minority",
    "majority": "a majority",
    "all": "all nodes",
    "leader": "the leader",
    "all-but-leader": "all but the leader",
}

Links = Mapping[str, frozenset[str]]
"""To each node those that it does not hear; nodes that hear all are left out."""


def fault_text(fault: FaultWindow) -> str:
    """Return a fault with its parameters in plain words: `partition into halves: n1 n3 | n2 n4 n5, natural heal`."""
    what = params_text(fault)
    return f"{words.cut(fault.kind)} {what}" if what else words.cut(fault.kind)


def params_text(fault: FaultWindow) -> str:
    """Return a fault's parameters in plain words, without its kind and its evidence."""
    params = fault.params
    head = []
    if "shape" in params:
        head.append(_shape(params))
    if "target" in params:
        head.append(f"of {_TARGETS.get(str(params['target']), words.plain(params['target']))}")
    unheard = _unheard(fault, "unheard")
    where = _links(unheard) if unheard else words.plain(params.get("nodes"))
    parts = [": ".join(part for part in (" ".join(head), where) if part), _moment(params)]
    parts += [f"{name.replace('_', ' ')} {words.plain(item)}" for name, item in params.items() if name not in _TOLD]
    parts += _skew(params)
    parts += [words.plain(params["note"])] if params.get("note") else []
    parts += [f"{words.plain(params['heal'])} heal"] if params.get("heal") else []
    return words.cut(", ".join(part for part in parts if part), 300)


def nodes_hit(fault: FaultWindow, nodes: Iterable[str]) -> tuple[str, ...]:
    """Return which of `nodes` a fault hit.

    A partition cuts links of every node; it hit those that lost more than half of the others, where there are any. So
    do shaped packets.
    """
    every = list(nodes)
    unheard = _unheard(fault, "unheard") or _unheard(fault, "links")
    if not unheard:
        named = fault.params.get("nodes")
        return tuple(node for node in every if isinstance(named, list | tuple) and node in named)
    lost: dict[str, set[str]] = {node: set(unheard.get(node, ())) for node in every}
    for node, sources in unheard.items():
        for source in sources:
            lost.setdefault(source, set()).add(node)
    apart = tuple(node for node in every if 2 * len(lost[node]) > len(every) - 1)
    return apart or tuple(node for node in every if lost[node])


def evidence_text(fault: FaultWindow) -> str:
    """Return what was measured, in one line; empty where nothing was recorded."""
    evidence = fault.params.get("evidence")
    if isinstance(evidence, Mapping):
        if {"heard", "dropped"} <= evidence.keys():
            return f"{words.plain(evidence['dropped'])} directed links cut, {words.plain(evidence['heard'])} open"
        if isinstance(evidence.get("offsets_ms"), Mapping):
            read = [f"{node} {_offset(offset_ms)}" for node, offset_ms in evidence["offsets_ms"].items()]
            return words.cut(f"read by the servers themselves: {', '.join(read)}", 300)
        if isinstance(evidence.get("states"), Mapping):
            evidence = evidence["states"]
    return words.cut(words.plain(evidence), 300)


def _moment(params: Mapping[str, Any]) -> str:
    """Return at which moment it came: `when n2 was seen as leader of term 7`."""
    moment = params.get("moment")
    if not isinstance(moment, Mapping):
        return ""
    node = words.plain(moment.get("node"))
    if "line" in moment:
        return f"when {node} logged {words.cut(words.plain(moment['line']), 80)}"
    term = f" of term {words.plain(moment['term'])}" if moment.get("term") is not None else ""
    return f"when {node} was seen as {words.plain(moment.get('role'))}{term}"


def _shape(params: Mapping[str, Any]) -> str:
    shape, order = words.plain(params["shape"]), params.get("order")
    if shape == "bridge" and isinstance(order, list | tuple) and order:
        return f"with {words.plain(order[0])} as the bridge"
    return _SHAPES.get(shape, shape)


def _skew(params: Mapping[str, Any]) -> list[str]:
    """Return what is done to a clock: `-1.5 h, back and forth in 0.2 s`."""
    parts = [_offset(params["offset_ms"])] if params.get("offset_ms") else []
    if params.get("rate"):
        parts.append(f"{words.plain(params['rate'])} s a second")
    walk, period = params.get("walk_ms"), words.plain(params.get("period_s"))
    if walk and isinstance(walk, list | tuple):
        parts.append(f"{len(walk)} steps of {period} s: {', '.join(map(_offset, walk[:4]))} …")
    elif period:
        parts.append(f"back and forth in {period} s")
    clocks = params.get("clocks")
    return [*parts, f"clocks {words.plain(clocks)}"] if clocks else parts


def _offset(offset_ms: Any) -> str:
    return words.offset(offset_ms) if isinstance(offset_ms, int | float) else words.plain(offset_ms)


def _unheard(fault: FaultWindow, name: str) -> Links:
    told: Any = fault.params.get(name)
    if not isinstance(told, Mapping):
        return {}
    return {node: frozenset(sources) for node, sources in told.items() if isinstance(sources, list | tuple) and sources}


def _links(unheard: Links) -> str:
    """Return `a b | c d` where sides are cut from each other, else who does not hear whom."""
    sides: dict[frozenset[str], list[str]] = {}
    for node, sources in sorted(unheard.items()):
        sides.setdefault(sources, []).append(node)
    everyone = frozenset(unheard)
    if all(sources == everyone - frozenset(side) for sources, side in sides.items()):
        return " | ".join(" ".join(side) for side in sorted(sides.values(), key=len))
    return "; ".join(
        f"{' '.join(side)} {'does' if len(side) == 1 else 'do'} not hear {' '.join(sorted(sources))}"
        for sources, side in sides.items()
    )
