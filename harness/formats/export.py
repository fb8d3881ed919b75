"""Histories for other tools: Jepsen's EDN, and Parquet for whatever reads tables."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from msgspec import UNSET

from harness.errors import ClusterError, UsageError
from harness.formats.edn_atoms import Keyword
from harness.formats.edn_writer import write
from harness.formats.jepsen_maps import COMPARING, EDN, HEADER, KEYED
from harness.formats.records import Imported
from harness.history import History
from harness.op import NEMESIS, Op

PARQUET: Final = "parquet"
_ENDINGS: Final = {EDN: ".edn", PARQUET: ".parquet"}
_LINES_AT_ONCE: Final = 10_000


def export(source: Imported, to: str, path: Path) -> None:
    """Write a history as `path`, whole or not at all.

    Raises:
        UsageError: there is no such format, or what it needs is not installed.
        ClusterError: the file cannot be written.
    """
    ending(to)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if to == EDN:
            write_edn(source.history, partial, comparing=source.comparing)
        else:
            write_parquet(source.history, partial)
        partial.replace(path)
    except OSError as error:
        raise ClusterError(f"{path}: {error.strerror or error}", "choose another place with --output") from error
    finally:
        partial.unlink(missing_ok=True)


def ending(to: str) -> str:
    """Return how names of files of a format end.

    Raises:
        UsageError: there is no such format.
    """
    if to not in _ENDINGS:
        raise UsageError(f"cannot export to {to!r}", f"--to is one of {', '.join(_ENDINGS)}")
    return _ENDINGS[to]


def write_edn(history: History, path: Path, *, comparing: bool = False) -> None:
    """Write history.edn: one operation a line, as Jepsen, Knossos and elle-cli read it.

    Where operations have keys, values are [key value], as jepsen.independent has them. The first line is a comment for
    our own import; `comparing` is told there: each failed cas is a failed comparison.
    """
    keyed = any(op.key is not None for op in history.events if type(op.process) is int)
    words = [HEADER, *([KEYED] if keyed else []), *([COMPARING] if comparing else [])]
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{' '.join(words)}\n")
        for start in range(0, len(history.events), _LINES_AT_ONCE):
            file.writelines(_line(op, keyed) for op in history.events[start : start + _LINES_AT_ONCE])


def _line(op: Op, keyed: bool) -> str:
    client = type(op.process) is int
    fields = {
        "index": op.index,
        "time": op.time,
        "process": op.process if client else _no_client(op.process),
        "type": Keyword(op.type),
        "f": Keyword(op.f),
        "value": [op.key, op.value] if keyed and client else op.value,
    }
    if not client and op.key is not None:
        fields["key"] = op.key
    if op.observed is not UNSET:
        fields["observed"] = op.observed
    if op.node is not None:
        fields["node"] = op.node
    if op.error is not None:
        fields["error"] = op.error
    return f"{{{', '.join(f':{name} {write(value)}' for name, value in fields.items())}}}\n"


def _no_client(process: int | str) -> Any:
    return Keyword(NEMESIS) if str(process).removeprefix(":") == NEMESIS else process


def write_parquet(history: History, path: Path) -> None:
    """Write a table of the events: a column for each field, key, value and observed as JSON text.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed", "pip install 'kingslayer[parquet]'"
        ) from error
    events = history.events
    table = pyarrow.table(
        {
            "index": pyarrow.array([op.index for op in events], pyarrow.int64()),
            "time_ns": pyarrow.array([op.time for op in events], pyarrow.int64()),
            "process": pyarrow.array([str(op.process) for op in events], pyarrow.string()),
            "client": pyarrow.array([type(op.process) is int for op in events], pyarrow.bool_()),
            "node": pyarrow.array([op.node for op in events], pyarrow.string()),
            "type": pyarrow.array([op.type for op in events], pyarrow.string()),
            "f": pyarrow.array([op.f for op in events], pyarrow.string()),
            "key": pyarrow.array([_text(op.key) for op in events], pyarrow.string()),
            "value": pyarrow.array([_text(op.value) for op in events], pyarrow.string()),
            "observed": pyarrow.array([_text(op.observed) for op in events], pyarrow.string()),
            "error": pyarrow.array([op.error for op in events], pyarrow.string()),
        }
    )
    pyarrow.parquet.write_table(table, path, compression="zstd")


def _text(value: Any) -> str | None:
    return None if value is None or value is UNSET else json.dumps(value, ensure_ascii=False)
