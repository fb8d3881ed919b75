"""What each node said of itself over time, as segments of equal role, term and leader."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from harness.history import FaultWindow, History
from harness.op import STATUS, Op
from reports import words
from reports.faults import nodes_hit

SILENT: Final = "no answer"

_HOLDS_NS: Final = 3 * words.NS
"""How long an answer is drawn on when nobody asked again: polls come a few times a second."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A node's role, term and leader, unchanged for a while; the role is SILENT where it did not answer."""

    start_ns: int
    end_ns: int
    role: str
    term: int | None = None
    leader: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """One node: its segments, the times (ns) at which it came to a new term, and the faults that hit it."""

    node: str
    segments: tuple[Segment, ...]
    terms: tuple[tuple[int, int], ...]
    faults: tuple[FaultWindow, ...]


def lanes(history: History, nodes: Iterable[str], faults: Iterable[FaultWindow]) -> tuple[Lane, ...]:
    """Return a lane for each node of the run, in that order, and for each other that told its status."""
    answers: dict[str, list[Op]] = {node: [] for node in nodes}
    asked: dict[str, Op] = {}
    for op in history.events:
        if op.f != STATUS or op.node is None or isinstance(op.process, int):
            continue
        if op.type == "invoke":
            asked[op.node] = op
        else:
            answers.setdefault(op.node, []).append(asked.get(op.node, op) if op.type == "info" else op)
    hit = {node: tuple(fault for fault in faults if node in nodes_hit(fault, answers)) for node in answers}
    return tuple(_lane(node, told, hit[node]) for node, told in answers.items())


def _lane(node: str, told: list[Op], faults: tuple[FaultWindow, ...]) -> Lane:
    segments: list[Segment] = []
    terms: list[tuple[int, int]] = []
    for op, after in itertools.zip_longest(told, told[1:]):
        end_ns = op.time if after is None else min(after.time, op.time + _HOLDS_NS)
        seen = _segment(op, end_ns)
        if seen.term is not None and (not terms or terms[-1][1] != seen.term):
            terms.append((seen.start_ns, seen.term))
        if segments and _same(segments[-1], seen):
            segments[-1] = _segment_until(segments[-1], end_ns)
        else:
            segments.append(seen)
    return Lane(node, tuple(segments), tuple(terms), faults)


def _segment(op: Op, end_ns: int) -> Segment:
    if op.type != "ok" or not isinstance(op.value, dict):
        return Segment(op.time, end_ns, SILENT, error=op.error)
    said = op.value
    return Segment(op.time, end_ns, str(said.get("role", "unknown")), said.get("term"), said.get("leader"))


def _same(one: Segment, other: Segment) -> bool:
    joined = one.end_ns == other.start_ns
    return joined and (one.role, one.term, one.leader) == (other.role, other.term, other.leader)


def _segment_until(segment: Segment, end_ns: int) -> Segment:
    return Segment(segment.start_ns, end_ns, segment.role, segment.term, segment.leader, segment.error)
