"""The few operations that prove an anomaly, paired up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import structs

from harness.history import History
from harness.op import NEMESIS, Op
from reports import words


@dataclass(frozen=True, slots=True)
class Span:
    """One operation of a witness.

    Attributes:
        index: of its invocation's event (of its completion's, where the invocation is not in the history).
        complete_index: of its completion's event, if there was one.
        start_ns, end_ns: invocation and completion, in ns since the run's start.
        process, node: who did it, and where.
        label: such as `cas 4→9 failed, saw 7`.
        asked, outcome_text: the two halves of the label, at length.
        outcome: ok, fail or info.
    """

    index: int
    complete_index: int | None
    start_ns: int
    end_ns: int | None
    process: str
    node: str
    label: str
    asked: str
    outcome: str
    outcome_text: str


class Events:
    """Events by their index, and the partner of each: the other half of an operation."""

    def __init__(self, history: History) -> None:
        events = history.events
        self._events = events
        # A history starts at index 0 without holes, unless somebody cut it.
        whole = all(op.index == at for at, op in enumerate(events))
        self._rows = None if whole else {op.index: at for at, op in enumerate(events)}

    def spans(self, witness: Iterable[int]) -> tuple[Span, ...]:
        """Return the operations that the events of a witness belong to, by their start."""
        found: dict[int, Span] = {}
        for index in witness:
            row = index if self._rows is None else self._rows.get(index, -1)
            if 0 <= row < len(self._events):
                span = self._span(row)
                found[span.index] = span
        return tuple(sorted(found.values(), key=lambda span: (span.start_ns, span.index)))

    def _span(self, row: int) -> Span:
        op = self._events[row]
        other = self._partner(row)
        # What a completion answers was not asked for: without its invocation, only the answer is known.
        invoke, complete = (op, other) if op.type == "invoke" else (other or structs.replace(op, value=None), op)
        return Span(
            index=invoke.index,
            complete_index=complete.index if complete else None,
            start_ns=invoke.time,
            end_ns=complete.time if complete else None,
            process=words.process_text(invoke.process),
            node=invoke.node or "",
            label=words.cut(words.op_text(invoke, complete), 34),
            asked=words.asked_text(invoke),
            outcome=complete.type if complete else "info",
            outcome_text=words.outcome_text(invoke, complete),
        )

    def _partner(self, row: int) -> Op | None:
        op = self._events[row]
        step = 1 if op.type == "invoke" else -1
        at = row + step
        while 0 <= at < len(self._events):
            other = self._events[at]
            if other.process == op.process and (op.process != NEMESIS or (other.key, other.f) == (op.key, op.f)):
                return other if (other.type == "invoke") != (op.type == "invoke") else None
            at += step
        return None
