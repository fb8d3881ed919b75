"""Which format a file has, and reading it."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from harness.errors import HistoryError, UsageError
from harness.formats.records import HINT, Imported
from harness.history import History
from harness.lines import without_collections

AUTO: Final = "auto"
OWN: Final = "jsonl"
_LOADERS: Final = {
    "jepsen-edn": ("jepsen_maps", "load_edn"),
    "jepsen-log": ("jepsen_log", "load_log"),
    "porcupine-kv": ("porcupine_kv", "load_kv"),
    "elle-json": ("jepsen_maps", "load_elle"),
}  # module and function, imported when they are needed: our own format does without them
FORMATS: Final = (AUTO, OWN, *_LOADERS)
"""What --format takes."""

_HEAD_BYTES: Final = 1 << 16
_GZIP: Final = b"\x1f\x8b"
_JSON_OBJECT: Final = re.compile(r"\{\s*[\"}]")
_JSON_ARRAY: Final = re.compile(r"\[\s*\{\s*[\"}]")
_EDN: Final = re.compile(r"(?:[\s,]+|;[^\n]*)*[\[({#]")


def load(path: Path, name: str = AUTO) -> Imported:
    """Read a history of any known format.

    Args:
        path: of the file.
        name: of the format; "auto" looks at the content.

    Raises:
        UsageError: there is no such format.
        HistoryError: the file cannot be read, is empty or malformed, or of no known format.
    """
    if name not in FORMATS:
        raise UsageError(f"no format is called {name!r}", f"the formats are: {', '.join(FORMATS)}")
    if name == OWN or (name == AUTO and _is_own(path)):
        return Imported(History.load(path), OWN)
    text = _text(path)
    module, function = _LOADERS[detect(text, str(path)) if name == AUTO else name]
    loader: Callable[[str, str], Imported] = getattr(import_module(f"harness.formats.{module}"), function)
    with without_collections():
        return loader(text, str(path))


def detect(text: str, path: str) -> str:
    """Return the name of the format that `text` has, other than our own.

    Raises:
        HistoryError: none that is known.
    """
    from harness.formats.jepsen_log import LOG, OPERATION
    from harness.formats.jepsen_maps import EDN, ELLE
    from harness.formats.porcupine_kv import KV, LINE

    if _JSON_ARRAY.match(text.lstrip()):
        return ELLE
    first = text.lstrip().partition("\n")[0]
    if LINE.fullmatch(first):
        return KV
    if _EDN.match(text):
        return EDN
    if OPERATION.search(text):
        return LOG
    reason = f"{path}:1: not a history in any format that is known: it begins with {first[:40]!r}"
    raise HistoryError(reason, f"{HINT}; --format names one of {', '.join(FORMATS[1:])}")


def _is_own(path: Path) -> bool:
    """Look at the beginning only: our own histories can be large, and are read by a decoder of their own."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from error
    return _JSON_OBJECT.match(head.decode(errors="replace").lstrip()) is not None


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    if data.startswith(_GZIP):
        raise HistoryError(f"{path}: compressed by gzip", f"decompress it first: gunzip --keep {path}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        message = f"{path}:{line}:{column}: not UTF-8: byte 0x{data[error.start]:02x} cannot stand here"
        raise HistoryError(message, "a history is text; is this another kind of file?") from error
    if not text.strip():
        raise HistoryError(f"{path}: no event in it", "the file is empty; did the run that wrote it fail to start?")
    return text


def _unreadable(path: Path, error: OSError) -> HistoryError:
    return HistoryError(f"{path}: {error.strerror}", "give the file of a history, or a run's folder from the store")
