"""The record of a run: events as JSON Lines, and client operations paired into columns, once."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness._kernels.scan import COMPILED
from harness.columns import FAIL, INFO, NEVER, OK, Columns, pair
from harness.errors import HistoryError
from harness.lines import Lines, decoded, is_event, scanned, without_collections
from harness.op import AWAIT, HEAL, INJECT, NEMESIS, Op
from harness.verdict import FaultOutcome, OpCounts


class HistoryWarning(UserWarning):
    """A history was read although something about it is not as it should be."""


@dataclass(frozen=True, slots=True)
class FaultWindow:
    """One fault as it happened: between its inject and the end of its heal.

    Attributes:
        fault: its number in the schedule.
        kind: its family.
        params: as planned, with "leader" resolved and with the evidence of verify.
        inject_ns, active_ns: when injecting began, and when the fault was verified to be on (None: never was).
        heal_ns, end_ns: when healing began and ended (None: not before the end of the history).
        verified: inject and heal were both measured to take effect.
        error: why not.
    """

    fault: int
    kind: str
    params: dict[str, Any]
    inject_ns: int
    active_ns: int | None = None
    heal_ns: int | None = None
    end_ns: int | None = None
    verified: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """A fault of the schedule that did not come: its moment was not seen, or another fault was in its way."""

    fault: int
    kind: str
    why: str


@dataclass(frozen=True)
class History:
    """What every client saw, and what the nemesis and the nodes reported.

    Attributes:
        events: all events, in the order in which they were recorded.
        source: where it came from, for messages.
        paired: its columns, where whoever read it made them at once.
    """

    events: Sequence[Op]
    source: str = "history"
    paired: Columns | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.events)

    @classmethod
    def load(cls, path: Path) -> History:
        """Read history.jsonl; a half-written last line is left out with a HistoryWarning.

        Raises:
            HistoryError: the file cannot be read, is empty, or a line is malformed.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise HistoryError(f"{path}: {error.strerror}", "give a run's folder or its history.jsonl") from error
        end = data.rfind(b"\n") + 1
        tail = data[end:]
        if is_event(tail):
            data += b"\n"
            end = len(data)
        elif tail.strip():
            message = f"{path}: the last line is half-written and was left out (the run was killed?)"
            warnings.warn(HistoryWarning(message), stacklevel=2)
        found = scanned(data, end) if COMPILED else None
        events: Sequence[Op]
        with without_collections():
            events, columns = found or (decoded(data[:end], path), None)
        if not events:
            raise HistoryError(f"{path}: no event in it", "the run ended before its first operation; look at its log")
        return cls(events, str(path), columns)

    @cached_property
    def columns(self) -> Columns:
        """The clients' operations, paired.

        Raises:
            HistoryError: a completion without an invocation, or an invocation while another is open.
        """
        if self.paired is not None:
            return self.paired
        with without_collections():
            return pair(self.events, self.source)

    def only(self, fs: Collection[str]) -> History:
        """Return the same history without the clients' operations of other names."""
        return History(self.events, self.source, self.columns.only(fs))

    def counts(self, rows: NDArray[np.intp] | None = None) -> OpCounts:
        """Count operations by outcome, of all or of some `rows` of the columns."""
        outcome = self.columns.outcome if rows is None else self.columns.outcome[rows]
        ok, fail, info = (int(np.count_nonzero(outcome == code)) for code in (OK, FAIL, INFO))
        return OpCounts(invoke=len(outcome), ok=ok, fail=fail, info=info)

    def invocation(self, row: int) -> Op:
        """Return the invocation of the operation in `row` of the columns."""
        return self.events[int(self.columns.invoke[row])]

    def completion(self, row: int) -> Op | None:
        """Return the completion of the operation in `row` of the columns, if one was recorded."""
        at = int(self.columns.complete[row])
        return None if at == NEVER else self.events[at]

    def by_key(self) -> Iterator[tuple[Any, NDArray[np.intp]]]:
        """Yield each key with the rows of its operations, in order of appearance."""
        columns = self.columns
        order = np.argsort(columns.key, kind="stable")
        bounds = np.searchsorted(columns.key[order], np.arange(len(columns.keys) + 1))
        for code, key in enumerate(columns.keys):
            yield key, order[bounds[code] : bounds[code + 1]]

    @cached_property
    def faults(self) -> tuple[FaultWindow, ...]:
        """The faults that were injected, in that order.

        Raises:
            HistoryError: an event of the nemesis does not tell which fault it is of.
        """
        return tuple(_fault_windows([op for op in self.strangers if op.process == NEMESIS], self.source))

    @cached_property
    def missed(self) -> tuple[Missed, ...]:
        """The faults that certainly did not happen, in the order in which that was known."""
        return tuple(
            Missed(op.key, op.value["kind"], op.error or "")
            for op in self.strangers
            if op.process == NEMESIS and op.type == "fail" and op.f in (AWAIT, INJECT)
        )

    @cached_property
    def strangers(self) -> tuple[Op, ...]:
        """The events that are no client's: of the nemesis, of the nodes, of the run itself."""
        events = self.events.strangers() if isinstance(self.events, Lines) else self.events
        return tuple(op for op in events if type(op.process) is not int)

    def fault_outcomes(self) -> tuple[FaultOutcome, ...]:
        """Whether each fault was verified."""
        return tuple(FaultOutcome(kind=fault.kind, verified=fault.verified) for fault in self.faults)


def _fault_windows(events: Iterable[Op], source: str) -> Iterator[FaultWindow]:
    """Fold the nemesis's events: f is inject or heal, key the fault's number, value its kind and parameters."""
    windows: dict[int, FaultWindow] = {}
    for op in events:
        if op.f not in (INJECT, HEAL):
            continue
        value = {} if op.value is None else op.value
        known = windows.get(op.key) if type(op.key) is int else None
        new = known is None and op.f == INJECT
        if type(op.key) is not int or not isinstance(value, dict) or (new and type(value.get("kind")) is not str):
            message = f"{source}: event {op.index}: {op.f} of the nemesis does not tell which fault"
            raise HistoryError(message, "its key is the fault's number, and its value holds its kind")
        if op.f == INJECT and op.type == "fail":
            windows.pop(op.key, None)  # it did not happen
        elif op.f == INJECT:
            windows[op.key] = _injected(known, op)
        elif known is not None:
            windows[op.key] = _healed(known, op)
    yield from windows.values()


def _injected(known: FaultWindow | None, op: Op) -> FaultWindow:
    params = {name: item for name, item in (op.value or {}).items() if name != "kind"}
    if known is None:
        return FaultWindow(fault=op.key, kind=op.value["kind"], params=params, inject_ns=op.time)
    return replace(known, params=known.params | params, active_ns=op.time if op.type == "ok" else None, error=op.error)


def _healed(known: FaultWindow, op: Op) -> FaultWindow:
    if op.type == "invoke":
        return replace(known, heal_ns=op.time)
    verified = op.type == "ok" and known.active_ns is not None
    return replace(known, end_ns=op.time, verified=verified, error=known.error or op.error)


__all__ = ["FAIL", "INFO", "NEVER", "OK", "Columns", "FaultWindow", "History", "HistoryWarning", "Missed"]
