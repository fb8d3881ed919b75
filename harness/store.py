"""The store: store/<name>/<time>/ holds everything of one run, and store/latest points to the newest."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from harness.config import RunRecord
from harness.errors import ClusterError, HistoryError
from harness.history import History
from harness.verdict import Summary

HISTORY: Final = "history.jsonl"
RUN: Final = "run.json"
VERDICT: Final = "verdict.json"
SCHEDULE: Final = "schedule.json"
REPORT: Final = "report.html"
NODES: Final = "nodes"


T = TypeVar("T")


class RunFolder:
    """One run's folder. Files are written whole or not at all, but for the history, which grows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, store: Path, name: str) -> RunFolder:
        """Make store/<name>/<time>, which no other run has, and point store/latest to it.

        Raises:
            ClusterError: the store cannot be written.
        """
        try:
            while True:
                started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
                path = store / name / started
                with contextlib.suppress(FileExistsError):
                    path.mkdir(parents=True)
                    break
            folder = cls(path)
            folder._point_latest(store)
        except OSError as error:
            raise _cannot_write(store, error) from error
        return folder

    def _point_latest(self, store: Path) -> None:
        link = store / f".latest-{self.path.parent.name}-{self.path.name}"  # no other run's, whatever was killed here
        link.symlink_to(self.path.relative_to(store))
        link.replace(store / "latest")

    def write(self, name: str, data: bytes | str) -> Path:
        """Write a file of the run.

        Raises:
            ClusterError: it cannot be written.
        """
        path = self.path / name
        partial = path.with_name(f".{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data.encode() if isinstance(data, str) else data)
            partial.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise _cannot_write(path, error) from error
        return path

    def write_json(self, name: str, value: Any) -> Path:
        """Write a struct as JSON, indented for people."""
        return self.write(name, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")

    def record(self) -> RunRecord | None:
        """Return run.json, if there is one.

        Raises:
            HistoryError: it is corrupt.
        """
        return self._read(RUN, RunRecord)

    def summary(self) -> Summary | None:
        """Return verdict.json, if there is one.

        Raises:
            HistoryError: it is corrupt.
        """
        return self._read(VERDICT, Summary)

    def history(self) -> History:
        """Return the history.

        Raises:
            HistoryError: there is none, or it is corrupt.
        """
        return History.load(self.path / HISTORY)

    def logs(self, tail_bytes: int) -> dict[str, dict[str, str]]:
        """Return the end of each log of each node: node → log → text."""
        found: dict[str, dict[str, str]] = {}
        for path in sorted((self.path / NODES).glob("*/*")):
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - tail_bytes))
                found.setdefault(path.parent.name, {})[path.name] = file.read().decode(errors="replace")
        return found

    def _read(self, name: str, kind: type[T]) -> T | None:
        path = self.path / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise HistoryError(
                f"{path}: cannot be read: {error}", "was the file edited? the history may be intact"
            ) from error


def _cannot_write(path: Path, error: OSError) -> ClusterError:
    return ClusterError(f"{path}: cannot be written: {error.strerror}", "make room there, or choose another --store")


__all__ = ["HISTORY", "NODES", "REPORT", "RUN", "SCHEDULE", "VERDICT", "RunFolder"]
