"""The lines of history.jsonl: decoded when they are asked for, or all at once."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness._kernels import scan, tokens
from harness.columns import Columns, Numbers, renumbered
from harness.errors import HistoryError
from harness.op import Op

_DECODER: Final = msgspec.json.Decoder(Op)
_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_CHUNK_BYTES: Final = 1 << 18  # decode_lines is four times slower on a whole large file at once
_CHUNK_LINES: Final = 2_000
_KEPT_LINES: Final = 1 << 19  # some 150 MB of events
_DECODING: Final = 4  # times as long takes a line by itself as among all
_SPELLED: Final = 16  # of a file with more objects and long lists than one part in so many, events are asked for
_WORDS: Final = {tokens.NULL: None, tokens.FALSE: False, tokens.TRUE: True}


class Lines(Sequence[Op]):
    """Events that are decoded when they are asked for; those of a small history are kept once most were.

    Args:
        data: whole lines, each a valid event.
        starts: int64[n + 1], where they begin, and where the last one ends.
        strange: int64[k], the lines that are no client's.
    """

    def __init__(self, data: bytes, starts: NDArray[np.int64], strange: NDArray[np.int64]) -> None:
        self._data = data
        self._starts = starts
        self._strange = strange
        self._asked = 0
        self._kept: list[Op] | None = None

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, at: int) -> Op: ...

    @overload
    def __getitem__(self, at: slice) -> list[Op]: ...

    def __getitem__(self, at: int | slice) -> Op | list[Op]:
        if self._kept is not None:
            return self._kept[at]
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        at %= len(self)
        self._asked += 1
        if self._asked * _DECODING > len(self) and len(self) <= _KEPT_LINES:
            self.keep()
        return self.decode(at)

    def decode(self, at: int) -> Op:
        """Return the event of one line, which must hold it and nothing else."""
        return _DECODER.decode(self._data[self._starts[at] : self._starts[at + 1]])

    def __iter__(self) -> Iterator[Op]:
        if len(self) <= _KEPT_LINES:
            self.keep()
        return iter(self._kept) if self._kept is not None else self._decoded()

    def keep(self) -> None:
        """Decode all lines now, and keep the events.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError, RecursionError: a line holds no event.
        """
        if self._kept is None:
            with without_collections():
                self._kept = list(self._decoded())

    def _decoded(self) -> Iterator[Op]:
        bounds = [*self._starts[:-1:_CHUNK_LINES].tolist(), int(self._starts[-1])]
        for begin, end in pairwise(bounds):
            yield from _DECODER.decode_lines(self._data[begin:end])

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of any list

    def strangers(self) -> Iterator[Op]:
        """Yield the events that are no client's, in order."""
        return map(self.decode, self._strange.tolist())


class _Values(Sequence[Any]):
    """What the scan numbered."""

    def __init__(self, data: bytes, ids: Any) -> None:
        self._data = data
        self._kinds = np.array(ids.kinds[: ids.count], np.int8)
        self._ones = np.array(ids.ones[: ids.count], np.int64)
        self._twos = np.array(ids.twos[: ids.count], np.int64)
        self._spelled = np.flatnonzero(self._kinds == tokens.OTHER)

    def spelled_bytes(self) -> int:
        """Return how long the values are that are known by their spelling."""
        return int((self._twos[self._spelled] - self._ones[self._spelled]).sum())

    @cached_property
    def others(self) -> dict[int, Any]:
        """The values that are known by their spelling, decoded all at once.

        Where they are not all valid, neither is their list: each spelling's brackets and quotes close, so that it is
        read to its end before the next one, and one without brackets has no comma.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError, RecursionError: one is no JSON.
        """
        found: list[Any] = []
        length = np.cumsum(self._twos[self._spelled] - self._ones[self._spelled])
        for rows in np.split(self._spelled, np.flatnonzero(np.diff(length // _CHUNK_BYTES)) + 1):
            found += msgspec.json.decode(_listed(self._data, self._ones[rows], self._twos[rows]))
        return dict(zip(self._spelled.tolist(), found, strict=True))

    def __len__(self) -> int:
        return len(self._kinds)

    def __iter__(self) -> Iterator[Any]:
        numbers = zip(self._kinds.tolist(), self._ones.tolist(), strict=True)
        return (one if kind == tokens.INTEGER else self[at] for at, (kind, one) in enumerate(numbers))

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        kind, one, two = int(self._kinds[at]), int(self._ones[at]), int(self._twos[at])
        if kind == tokens.INTEGER:
            return one
        if kind == tokens.TEXT:
            return self._data[one:two].decode("ascii")
        if kind == tokens.OTHER:
            return self.others[at]
        return [self[one], self[two]] if kind == tokens.PAIR else _WORDS[kind]


def _listed(data: bytes, begin: NDArray[np.int64], end: NDArray[np.int64]) -> bytes:
    """Return JSON's list of what is spelled at these places, each of which has a byte behind it."""
    length = end - begin + 1
    ends = np.cumsum(length)
    places = np.arange(length.sum()) + np.repeat(begin - ends + length, length)
    text = np.frombuffer(data, np.uint8)[places]
    text[ends - 1] = ord(",")
    return b"[%s]" % text[:-1].tobytes()


def scanned(data: bytes, size: int, kernel: Any = scan) -> tuple[Lines, Columns] | None:
    """Read whole lines into columns, without making an object of each.

    Args:
        data: its first `size` bytes are lines, the last one with its end.
        kernel: the compiled or plain form of harness._kernels.scan.

    Returns:
        None where that cannot be done: a line of a client is not as the recorder writes it, or events do not pair.
        Where much of the file is objects and long lists, events are decoded all the same: whoever checks those asks for
        them, and one decoding is cheaper than two.
    """
    scanning = kernel.Scan(data, size)
    columns = scanning.read(data.count(b"\n", 0, size))
    if columns is None:
        return None
    lines = Lines(data, columns.pop("starts")[: scanning.events + 1], columns.pop("strange")[: scanning.strangers])
    doubtful = columns.pop("doubtful")[: scanning.doubts]
    values = _Values(data, scanning.values)
    try:
        if any(type(op.process) is int for op in lines.strangers()):
            return None
        for at in doubtful.tolist():
            lines.decode(at)
        if values.spelled_bytes() * _SPELLED > size and len(lines) <= _KEPT_LINES:
            lines.keep()
        else:
            _ = values.others
    except _MALFORMED:
        return None
    columns = {name: column[: scanning.rows] for name, column in columns.items()}
    scans = {name: columns.pop(name) for name in ("value", "result", "observed", "old", "new")}

    def number() -> Numbers:
        numbers = Numbers(**scans, values=values)
        return renumbered(numbers) if values.others else numbers

    keys, fs = _Values(data, scanning.keys), tuple(_Values(data, scanning.fs))
    return lines, Columns(**columns, fs=fs, keys=keys, number=number)


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """Keep the garbage collector from walking millions of new records again and again: none of them is a cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
