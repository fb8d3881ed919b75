"""The operations of a history as a model reads them, by columns: each different one is read once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkers.forward import Encoded
from checkers.models import NEVER_COMPLETES, Model, ModelOp
from checkers.operations import Operations
from harness.errors import HistoryError
from harness.history import INFO, History


def read(history: History, model: Model) -> tuple[list[Any], Encoded, NDArray[np.int64]]:
    """Read every operation.

    Args:
        history: what happened.
        model: one whose `interpret` goes by columns.

    Returns:
        The keys of which something was said, their operations, and the row of each of these in History.columns.

    Raises:
        HistoryError: an operation whose value the model cannot read.
    """
    columns = history.columns
    said = (columns.f, columns.value, columns.result, columns.observed, columns.outcome, columns.process)
    kinds: dict[ModelOp, int] = {}
    meaning = []
    firsts, same = _different(np.stack([column.astype(np.int64) for column in said], axis=1))
    for row in firsts.tolist():
        try:
            op = model.interpret(history.invocation(row), history.completion(row))
        except HistoryError as error:
            raise HistoryError(f"{history.source}: {error.message}", error.hint) from error
        meaning.append(-1 if op is None else kinds.setdefault(op, len(kinds)))
    kind = np.array(meaning, np.int32)[same]
    rows = np.argsort(columns.key, kind="stable")
    rows = rows[kind[rows] >= 0]
    bounds = np.searchsorted(columns.key[rows], np.arange(len(columns.keys) + 1))
    some = np.flatnonzero(np.diff(bounds)).tolist()
    numbers, first, place = np.unique(kind[rows], return_index=True, return_inverse=True)
    by_key = np.argsort(first)  # those of a key get numbers beside each other, which the kernel's tables like better
    known = list(kinds)
    encoded = Encoded(
        kinds=tuple(known[number] for number in numbers[by_key].tolist()),
        kind=np.argsort(by_key)[place].astype(np.int32),
        invoke=columns.invoke[rows],
        ret=np.where(columns.outcome[rows] == INFO, NEVER_COMPLETES, columns.complete[rows]),
        useful=np.full(len(rows), NEVER_COMPLETES),
        offsets=np.append(bounds[some], len(rows)).astype(np.int64),
    )
    return [columns.keys[at] for at in some], encoded, rows


def of_key(encoded: Encoded, rows: NDArray[np.int64], key: int) -> Operations:
    """Return the operations on one key, with those kinds only that are among them."""
    part = slice(*encoded.offsets[key : key + 2].tolist())
    numbers, kind = np.unique(encoded.kind[part], return_inverse=True)
    kinds = [encoded.kinds[number] for number in numbers.tolist()]
    return Operations(kinds, kind.astype(np.int32), encoded.invoke[part], encoded.ret[part], rows[part])


def _different(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each different row stands first, in that order, and which of these each row is equal to."""
    order = np.lexsort(rows.T)
    sorted_rows = rows[order]
    begins = np.append(True, np.any(sorted_rows[1:] != sorted_rows[:-1], axis=1))[: len(rows)]
    group = np.cumsum(begins) - 1
    firsts = order[begins]  # lexsort is stable
    by_place = np.argsort(firsts)
    number = np.empty(len(firsts), np.int64)
    number[by_place] = np.arange(len(firsts))
    same = np.empty(len(rows), np.int64)
    same[order] = number[group]
    return firsts[by_place], same
