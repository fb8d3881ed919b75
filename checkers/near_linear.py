"""What the checkers for histories with distinct values share: objects as columns, findings, the way to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from checkers.models import NEVER_COMPLETES
from harness.errors import UsageError
from harness.history import FAIL, INFO, History
from harness.verdict import Anomaly, Verdict, merge

MAX_REPORTED: Final = 10
"""Keys with a witness; more would tell a reader nothing new."""

Rows = NDArray[np.int64]


class NotEligible(Exception):
    """A history is none that this method decides exactly. The message says why."""


@dataclass(frozen=True)
class Object:
    """What may have happened to one object: its operations without the failed ones, in the order of invocation.

    Attributes:
        history: for times, processes and values.
        key: of the object.
        rows: int64[n], rows in History.columns.
        invoke, ret: int64[n], rows in History.events; `ret` is NEVER_COMPLETES for an unknown outcome.
    """

    history: History
    key: Any
    rows: Rows
    invoke: Rows
    ret: Rows

    @cached_property
    def asked(self) -> Rows:
        """int64[n], what was asked with each operation, as ids of values."""
        return self.history.columns.value[self.rows].astype(np.int64)

    @cached_property
    def answered(self) -> Rows:
        """int64[n], what was answered to each operation, as ids of values."""
        return self.history.columns.result[self.rows].astype(np.int64)

    def of(self, f: str, *, certain: bool | None = None) -> Rows:
        """Return the positions of the operations called `f`, of all or only of those with (un)certain outcome."""
        columns = self.history.columns
        if f not in columns.fs:
            return np.empty(0, np.int64)
        chosen = columns.f[self.rows] == columns.fs.index(f)
        if certain is not None:
            chosen &= (self.ret != NEVER_COMPLETES) == certain
        return np.flatnonzero(chosen)


@dataclass(frozen=True, slots=True)
class Finding:
    """One anomaly of one object.

    Attributes:
        kind, summary: as in harness.verdict.Anomaly.
        at: positions, in the object, of the operations that prove it; all of them are certain.
    """

    kind: str
    summary: str
    at: Sequence[int]


Decide = Callable[[Object], Finding | None]
"""Decides one object exactly: its first anomaly, or None. Raises NotEligible where it cannot."""


def objects(history: History, fs: Sequence[str], model: str) -> list[Object]:
    """Return the objects of a history, in order of appearance.

    Raises:
        UsageError: an operation that the model does not know.
        HistoryError: the history's events do not pair.
    """
    columns = history.columns
    unknown = sorted(set(columns.fs) - set(fs))
    if unknown:
        message = f"{history.source}: the model {model} knows {', '.join(fs)}, but not {', '.join(unknown)}"
        raise UsageError(message, "choose the model (--model) of the workload that recorded the history")
    found = []
    for key, all_rows in history.by_key():
        rows = all_rows[columns.outcome[all_rows] != FAIL].astype(np.int64)
        ret = np.where(columns.outcome[rows] == INFO, NEVER_COMPLETES, columns.complete[rows])
        found.append(Object(history, key, rows, columns.invoke[rows], ret))
    return found


def judge(
    history: History,
    found: Sequence[Object],
    decide: Decide,
    *,
    checker: str,
    engine: str,
    otherwise: Callable[[History], Verdict] | None = None,
) -> Verdict:
    """Decide every object; report the first anomaly of each, in the order in which they showed.

    Args:
        history: that the objects are of.
        found: the objects.
        decide: the method; the name of it is `engine`.
        checker: who asks.
        otherwise: decides the objects that are not eligible; without it they are undecided.
    """
    findings: list[tuple[int, Object, Finding]] = []
    rest: list[tuple[Object, NotEligible]] = []
    for item in found:
        try:
            finding = decide(item)
        except NotEligible as why:
            rest.append((item, why))
            continue
        if finding is not None:
            findings.append((int(max(item.ret[at] for at in finding.at)), item, finding))
    findings.sort(key=lambda entry: entry[0])
    more = len(findings) - MAX_REPORTED
    verdict = Verdict(
        status="invalid" if findings else "valid",
        anomalies=tuple(_anomaly(checker, item, finding) for _, item, finding in findings[:MAX_REPORTED]),
        engine=engine,
        reasons=(f"{more} more {'key has' if more == 1 else 'keys have'} anomalies",) if more > 0 else (),
    )
    if not rest:
        return verdict
    parts = [verdict] if len(rest) < len(found) else []
    if otherwise is not None:
        return merge([*parts, otherwise(_only(history, [item for item, _ in rest]))])
    reasons = tuple(f"key {item.key!r}: undecided, {why}" for item, why in rest[:MAX_REPORTED])
    return merge([*parts, Verdict(status="unknown", engine=engine, reasons=reasons)])


def _anomaly(checker: str, item: Object, finding: Finding) -> Anomaly:
    events = item.history.events
    rows = {int(row) for at in finding.at for row in (item.invoke[at], item.ret[at])}
    witness = tuple(sorted(events[row].index for row in rows))
    return Anomaly(checker=checker, kind=finding.kind, summary=finding.summary, witness=witness, key=item.key)


def _only(history: History, kept: Sequence[Object]) -> History:
    """Return the part of a history that is about some objects."""
    columns = history.columns
    codes = {int(columns.key[item.rows[0]]) for item in kept}
    chosen = np.isin(columns.key, list(codes))
    ends = columns.complete[chosen]
    rows = np.sort(np.concatenate([columns.invoke[chosen], ends[ends >= 0]]))
    return History([history.events[row] for row in rows.tolist()], history.source)


def compact(ids: Rows) -> tuple[Rows, int]:
    """Return small codes for ids, equal for equal ones, and a number above all codes.

    Ids of one key in a long history of many are far apart; those of one key alone are dense, and need no sorting.
    """
    if not len(ids):
        return ids, 0
    low, high = int(ids.min()), int(ids.max())
    if high - low <= 4 * len(ids) + 64:
        return ids - low, high - low + 1
    _, codes = np.unique(ids, return_inverse=True)
    return codes.astype(np.int64), int(codes.max()) + 1
