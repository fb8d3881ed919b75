"""Words for times, values and operations in the sentences that checkers write."""

from __future__ import annotations

import json
from typing import Any, Final

from harness.history import History

NOT_SMALLEST: Final = "these operations prove it, but fewer might: there was no time to leave out more"
"""What a summary ends with, in brackets, where its witness may be larger than need be."""


def seconds(*times_ns: int) -> list[str]:
    """Write times in seconds, with as few decimals (2, 3, 6 or 9) as tell the different ones apart."""
    for decimals in (2, 3, 6, 9):
        texts = [f"{time / 1e9:.{decimals}f} s" for time in times_ns]
        if len(set(texts)) == len(set(times_ns)):
            break
    return texts


def show(value: Any) -> str:
    """Write a JSON value."""
    return json.dumps(value, ensure_ascii=False)


def began(history: History, row: int) -> int:
    """Return when the operation in a row of the columns was invoked, in ns."""
    return history.invocation(row).time


def returned(history: History, row: int) -> int:
    """Return when the operation in a row of the columns, which has a completion, returned, in ns."""
    completion = history.completion(row)
    assert completion is not None
    return completion.time


def process(history: History, row: int) -> str:
    """Return "process 3" for the operation in a row of the columns."""
    return f"process {history.invocation(row).process}"
