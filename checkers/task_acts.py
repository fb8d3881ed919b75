"""A history of tasks, read as acts: what was done to which task, and between which times it took effect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET

from checkers.models import NEVER_COMPLETES
from harness.errors import HistoryError
from harness.facets import Claim, Task, TaskStatus
from harness.history import NEVER, History
from harness.op import Op

FS: Final = ("submit", "claim", "complete", "fail", "status", "offer", "steal")
ENDS: Final = ("complete", "fail", "offer", "steal")
"""What ends a claim: all of them name it by its epoch."""

T = TypeVar("T")


class Asked(msgspec.Struct, frozen=True, gc=False):
    """The value of an invocation that is no submit and no status.

    Attributes:
        worker: who claims; else whose claim it is.
        epoch: of that claim; 0 for `claim`.
        to: who gets it by `offer` or `steal`.
        capabilities: of the worker that wants it, in `claim` and `steal`.
        result: of `complete`.
        error: of `fail`.
    """

    worker: str
    epoch: int = 0
    to: str = ""
    capabilities: tuple[str, ...] = ()
    result: Any = None
    error: str = ""


class Act(msgspec.Struct, frozen=True, gc=False):
    """One operation.

    Attributes:
        row: in the history's columns.
        f: one of FS.
        begin, end: ns of its invocation and its completion; `end` is NEVER_COMPLETES for an unknown outcome.
        happened: it was ok.
        possible: it did not fail.
        empty: a claim that failed because it saw nothing to claim.
        asked: what was asked; of a status nothing.
        task: what was submitted.
        claim: what was granted.
        status: what was seen; None: no such task.
    """

    row: int
    f: str
    begin: int
    end: int
    happened: bool
    possible: bool
    empty: bool = False
    asked: Asked | None = None
    task: Task | None = None
    claim: Claim | None = None
    status: TaskStatus | None = None

    @property
    def epoch(self) -> int:
        """The epoch of the claim that was granted."""
        assert self.claim is not None
        return self.claim.epoch

    @property
    def ended(self) -> int:
        """The epoch of the claim that it ends."""
        assert self.asked is not None
        return self.asked.epoch

    @property
    def taker(self) -> str:
        """Who gets the task."""
        assert self.asked is not None
        return self.asked.to or self.asked.worker


@dataclass(slots=True)
class Log:
    """What was done to one task.

    Attributes:
        id: the task's.
        submits: all that may have happened.
        grants: claims, offers and steals that were ok.
        ends: whatever ends a claim, of any outcome.
        tries: claims of this very task, of unknown outcome.
        statuses: that were ok.
        submitted: the one submit that may have happened; None where there is none, or more.
        task: what was asked for, where that is known.
    """

    id: Any
    submits: list[Act] = field(default_factory=list)
    grants: list[Act] = field(default_factory=list)
    ends: list[Act] = field(default_factory=list)
    tries: list[Act] = field(default_factory=list)
    statuses: list[Act] = field(default_factory=list)
    submitted: Act | None = None
    task: Task | None = None

    def submit(self, act: Act) -> None:
        """Take in a submit that may have happened."""
        self.submits.append(act)
        self.submitted, self.task = (act, act.task) if len(self.submits) == 1 else (None, None)


class Acts:
    """All acts of a history.

    Args:
        history: of operations on tasks; those of other processes than clients are not looked at.

    Attributes:
        logs: by task, in order of appearance.
        nexts: claims of no task in particular, of any outcome.
        refused: claims of one task that failed because there was nothing to claim, with the task's id.

    Raises:
        HistoryError: an operation or a value that is none of a task's, or the history's events do not pair.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.logs: dict[Any, Log] = {}
        self.nexts: list[Act] = []
        self.refused: list[tuple[Any, Act]] = []
        events = list(history.events)
        columns = history.columns
        rows = zip(columns.invoke.tolist(), columns.complete.tolist(), strict=True)
        for row, (invoke, complete) in enumerate(rows):
            invocation = events[invoke]
            completion = None if complete == NEVER else events[complete]
            act = _act(history.source, row, invocation, completion)
            if act.possible or act.empty or act.f in ENDS:
                self._add(invocation.key, act)

    @cached_property
    def unknown_nexts(self) -> list[int]:
        """When claims of no task in particular, whose outcome is unknown, began; in order."""
        return sorted(act.begin for act in self.nexts if act.possible and not act.happened)

    def witness(self, acts: Iterable[Act]) -> tuple[int, ...]:
        """Return the indexes of the events of some acts."""
        columns, events = self.history.columns, self.history.events
        rows = {int(column[act.row]) for act in acts for column in (columns.invoke, columns.complete)}
        return tuple(sorted(events[row].index for row in rows if row != NEVER))

    def _add(self, key: Any, act: Act) -> None:
        if act.f == "claim":
            if key is None:
                self.nexts.append(act)
            elif act.empty:
                self.refused.append((key, act))
            if act.claim is not None:
                self._log(act.claim.task).grants.append(act)
            elif key is not None and act.possible:
                self._log(key).tries.append(act)
            return
        log = self._log(key)
        if act.f == "submit":
            if act.possible:
                log.submit(act)
        elif act.f == "status":
            if act.happened:
                log.statuses.append(act)
        else:
            log.ends.append(act)
            if act.claim is not None:
                log.grants.append(act)

    def _log(self, task: Any) -> Log:
        log = self.logs.get(task)
        if log is None:
            log = self.logs[task] = Log(task)
        return log


def _act(source: str, row: int, invocation: Op, completion: Op | None) -> Act:
    f = invocation.f
    outcome = "info" if completion is None else completion.type
    happened = outcome == "ok"
    end = completion.time if completion is not None and outcome != "info" else NEVER_COMPLETES
    asked = task = claim = status = None
    if f not in FS:
        raise _malformed(source, invocation, "is no operation on tasks")
    if not isinstance(invocation.key, str) and not (f == "claim" and invocation.key is None):
        raise _malformed(source, invocation, f"names no task: its key is {invocation.key!r}")
    if f == "submit":
        task = _read(source, invocation, Task)
    elif f != "status":
        asked = _read(source, invocation, Asked)
    if happened and completion is not None:
        if f in ("claim", "offer", "steal"):
            claim = _read(source, completion, Claim)
            if invocation.key not in (None, claim.task):
                raise _malformed(source, completion, f"is of task {invocation.key}, and its claim of {claim.task}")
        elif f == "status" and completion.value is not None:
            status = _read(source, completion, TaskStatus)
    empty = f == "claim" and completion is not None and outcome == "fail" and completion.observed is not UNSET
    return Act(row, f, invocation.time, end, happened, outcome != "fail", empty, asked, task, claim, status)


def _read(source: str, op: Op, kind: type[T]) -> T:
    try:
        return msgspec.convert(op.value, kind)
    except msgspec.ValidationError as error:
        raise _malformed(source, op, f"has a value that is no {kind.__name__}: {error}") from None


def _malformed(source: str, op: Op, what: str) -> HistoryError:
    message = f"{source}: event {op.index}: {op.f} {what}"
    return HistoryError(message, "was the history recorded by another workload than task-claim?")
