"""history.jsonl as it is written: every event at once in memory, on disk at most FLUSH_S later."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.errors import ClusterError, ContractError
from harness.op import EventType, Op

FLUSH_S: Final = 0.05
_FULL_BYTES: Final = 1 << 16
_LISTS: Final = (list, tuple)
_PLAIN: Final = frozenset((type(None), bool, int, str, msgspec.UnsetType))


class Recorder:
    """Appends events, stamped and numbered here and nowhere else.

    What a kill -9 takes is at most the last FLUSH_S of the events: the file holds a prefix of the history, and a
    prefix of a history is a history.

    Args:
        path: the file; it must not exist yet.
        clock_ns: a monotonic clock; time 0 of the history is now.

    Raises:
        ClusterError: the file cannot be made.
    """

    def __init__(self, path: Path, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._path = path
        self._clock_ns = clock_ns
        self._buffer = bytearray()
        self._encode_into = msgspec.json.Encoder().encode_into
        self._index = 0
        self._full_bytes = _FULL_BYTES
        self._failure: ClusterError | None = None
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except OSError as error:
            raise self._unwritable(error) from error
        self.start_ns = clock_ns()
        self.clients: dict[EventType, int] = {"invoke": 0, "ok": 0, "fail": 0, "info": 0}

    def now_ns(self) -> int:
        """Return the time since the history's start."""
        return self._clock_ns() - self.start_ns

    def record(
        self,
        process: int | str,
        kind: EventType,
        f: str,
        node: str | None,
        key: Any,
        value: Any,
        observed: Any = msgspec.UNSET,
        error: str | None = None,
    ) -> int:
        """Stamp and append one event; return its time.

        Raises:
            ContractError: a value is not JSON.
            ClusterError: the disk is full.
        """
        time_ns = self._clock_ns() - self.start_ns
        buffer = self._buffer
        size = len(buffer)
        op = Op(self._index, time_ns, process, kind, f, node, key, value, observed, error)
        try:
            if not (type(value) in _PLAIN and type(key) in _PLAIN and type(observed) in _PLAIN):
                _require_json((key, value, observed))
            self._encode_into(op, buffer, -1)
        except (TypeError, ValueError, OverflowError, RecursionError) as reason:
            del buffer[size:]
            raise ContractError(
                f"{f} {kind} of process {process} holds something that is not JSON: {reason}",
                "keys, values and what a client returns must be None, bool, number, str, list or dict",
            ) from reason
        buffer += b"\n"
        self._index += 1
        if type(process) is int:
            self.clients[kind] += 1
        if len(buffer) >= self._full_bytes:
            self.flush()
        return time_ns

    def flush(self) -> None:
        """Hand everything to the kernel; a kill -9 of this process cannot take it any more.

        Raises:
            ClusterError: the disk is full, now or at an earlier flush: what comes after a gap is never written.
        """
        if self._failure is None:
            try:
                while self._buffer:
                    del self._buffer[: os.write(self._file, self._buffer)]
                return
            except OSError as error:
                self._failure = self._unwritable(error)
                self._full_bytes = 0  # from now on every event fails at once
        self._buffer.clear()
        raise self._failure

    def close(self) -> None:
        """Flush and close the file."""
        try:
            if self._failure is None:
                self.flush()
        finally:
            os.close(self._file)

    def _unwritable(self, error: OSError) -> ClusterError:
        message = f"{self._path}: the history cannot be written: {error.strerror}"
        return ClusterError(message, "make room on that disk; what was written so far can be checked")


def _require_json(value: Any) -> None:
    """Refuse what would be written as something else: the checker would see a value that nobody saw.

    Raises:
        TypeError, ValueError: saying what it is.
    """
    if isinstance(value, _LISTS):
        for item in value:
            if type(item) not in _PLAIN:
                _require_json(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise TypeError(f"a dict's key {name!r}")
            _require_json(item)
    elif isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"the number {value}")
    elif type(value) not in _PLAIN and not isinstance(value, int | str):
        raise TypeError(f"{value!r}, a {type(value).__name__}")
