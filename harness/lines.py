"""The lines of history.jsonl: decoded when they are asked for, or all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness._kernels import scan
from harness.columns import Columns
from harness.errors import HistoryError
from harness.op import Op

_DECODER: Final = msgspec.json.Decoder(Op)
_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_CHUNK_BYTES: Final = 1 << 18  # decode_lines is four times slower on a whole large file at once
_CHUNK_LINES: Final = 2_000
_WORDS: Final = {scan.NULL: None, scan.FALSE: False, scan.TRUE: True}


class Lines(Sequence[Op]):
    """Events that are decoded when they are asked for.

    Args:
        data: whole lines, each a valid event.
        starts: int64[n + 1], where they begin, and where the last one ends.
        strange: int64[k], the lines that are no client's.
    """

    def __init__(self, data: bytes, starts: NDArray[np.int64], strange: NDArray[np.int64]) -> None:
        self._data = data
        self._starts = starts
        self._strange = strange

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, at: int) -> Op: ...

    @overload
    def __getitem__(self, at: slice) -> list[Op]: ...

    def __getitem__(self, at: int | slice) -> Op | list[Op]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        at %= len(self)
        return _DECODER.decode(self._data[self._starts[at] : self._starts[at + 1]])

    def __iter__(self) -> Iterator[Op]:
        bounds = [*self._starts[:-1:_CHUNK_LINES].tolist(), int(self._starts[-1])]
        for begin, end in pairwise(bounds):
            yield from _DECODER.decode_lines(self._data[begin:end])

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of any list

    def strangers(self) -> Iterator[Op]:
        """Yield the events that are no client's, in order."""
        return (self[at] for at in self._strange.tolist())


class _Values(Sequence[Any]):
    """What the scan numbered."""

    def __init__(self, data: bytes, ids: Any) -> None:
        self._data = data
        self._kinds = np.array(ids.kinds[: ids.count], np.int8)
        self._ones = np.array(ids.ones[: ids.count], np.int64)
        self._twos = np.array(ids.twos[: ids.count], np.int64)

    def __len__(self) -> int:
        return len(self._kinds)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        kind, one, two = int(self._kinds[at]), int(self._ones[at]), int(self._twos[at])
        if kind == scan.INTEGER:
            return one
        if kind == scan.TEXT:
            return self._data[one:two].decode("ascii")
        return [self[one], self[two]] if kind == scan.PAIR else _WORDS[kind]


def scanned(data: bytes, size: int, kernel: Any = scan) -> tuple[Lines, Columns] | None:
    """Read whole lines into columns, without making an object of each.

    Args:
        data: its first `size` bytes are lines, the last one with its end.
        kernel: the compiled or plain form of harness._kernels.scan.

    Returns:
        None where that cannot be done: a line of a client is not as the recorder writes it, or events do not pair.
    """
    scanning = kernel.Scan(data, size)
    columns = scanning.read(data.count(b"\n", 0, size))
    if columns is None:
        return None
    rows = scanning.rows
    lines = Lines(data, columns.pop("starts")[: scanning.events + 1], columns.pop("strange")[: scanning.strangers])
    doubtful = columns.pop("doubtful")[: scanning.doubts]
    try:
        if any(type(op.process) is int for op in lines.strangers()):
            return None
        for at in doubtful.tolist():
            lines[at]
    except _MALFORMED:
        return None
    return lines, Columns(
        **{name: column[:rows] for name, column in columns.items()},
        fs=tuple(_Values(data, scanning.fs)),
        keys=_Values(data, scanning.keys),
        values=_Values(data, scanning.values),
    )


def decoded(data: bytes, path: Path) -> list[Op]:
    """Decode whole lines, in chunks; name the line that is malformed.

    Raises:
        HistoryError: a line is malformed.
    """
    events: list[Op] = []
    start = 0
    while start < len(data):
        stop = data.find(b"\n", start + _CHUNK_BYTES)
        stop = len(data) if stop < 0 else stop
        try:
            events += _DECODER.decode_lines(data[start:stop])
        except _MALFORMED:
            _raise_malformed(data, start, path)
        start = stop + 1
    return events


def is_event(line: bytes) -> bool:
    """Say whether a line is a whole event."""
    try:
        _DECODER.decode(line)
    except _MALFORMED:
        return False
    return True


def _raise_malformed(data: bytes, start: int, path: Path) -> None:
    first = data.count(b"\n", 0, start) + 1
    for number, line in enumerate(data[start:].split(b"\n"), first):
        try:
            if line.strip():
                _DECODER.decode(line)
        except _MALFORMED as error:
            message = f"{path}:{number}: not an event of a history: {error}"
            raise HistoryError(message, "docs/reference.md shows the format; the lines before it are intact") from error
    raise AssertionError("a chunk failed to decode, but none of its lines does")
