"""Jepsen's logs as text: jepsen.log (Porcupine's etcd_*.log) and history.txt.

An operation is one line, which jepsen.util logs: process, type, f, value and perhaps an error. All other lines of a
log are somebody else's. Porcupine's reading: a read of nil saw that nothing had been written, and a cas that failed
with its own value failed because the comparison did.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import UNSET

from harness.formats.edn import read_first
from harness.formats.edn_atoms import EdnError
from harness.formats.records import Imported, Place, Reading, Record, imported
from harness.formats.values import to_json

LOG: Final = "jepsen-log"
PORCUPINE: Final = Reading(failed_cas_compares=True)

OPERATION: Final = re.compile(
    r"^(?:.*\bjepsen\.util(?:\s+-|:)?\s+|)(?P<process>[0-9]{1,18}|:nemesis)(?=\s*$|\s+:)(?P<rest>.*)$", re.MULTILINE
)
"""A line that tells of an operation, whole or not."""

_REST: Final = re.compile(r"\s+:(?P<type>\S+)\s+:(?P<f>\S+)\s+(?P<value>\S.*?)\s*")


def load_log(text: str, path: str) -> Imported:
    """Read a log.

    Raises:
        HistoryError: there is no operation in it, or a line that begins like one is cut short.
    """
    return imported(list(_records(text, path)), path, PORCUPINE, LOG)


def _records(text: str, path: str) -> Iterator[Record]:
    line, counted = 1, 0
    values: dict[str, tuple[Any, str | None]] = {}
    for match in OPERATION.finditer(text):
        line += text.count("\n", counted, match.start())
        counted = match.start()
        rest = _REST.fullmatch(match["rest"])
        if rest is None:
            raise Place(path, line).error("an operation has a process, a type, an f and a value, and this one has not")
        kind, written, process = rest["type"], rest["value"], match["process"]
        client = process[0] != ":"
        if client and written not in values:
            values[written] = _value(written)
        value, error = values[written] if client else (None, None)
        if value is UNSET and kind in ("invoke", "ok"):
            raise Place(path, line).error(f"the value {written} is no EDN: {error}")
        yield Record(
            line=line,
            process=int(process) if client else process,
            type=kind,
            f=rest["f"],
            value=None if value is UNSET else value,
            error=error,
        )


def _value(written: str) -> tuple[Any, str | None]:
    """Return the value, and the error's text behind it if there is one; UNSET and why for what is no EDN."""
    try:
        value, end = read_first(written)
    except EdnError as error:
        return UNSET, error.reason
    return to_json(value), written[end:].strip() or None
