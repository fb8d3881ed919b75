"""Damage to the files of a server that is dead: a bit that flips, an end that is missing, an old copy put back."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any

from clusters.agent.disk import Disk, flush_names
from clusters.agent.processes import Refused


class Damage:
    """What is done to files in the node's folder.

    Args:
        disk: holds the folder.
        family: returns the server's processes now.
    """

    def __init__(self, disk: Disk, family: Callable[[], Sequence[int]]) -> None:
        self.disk, self.family = disk, family
        self.copies: dict[str, bytes] = {}  # by path, without the zeros that files are made ready with
        self.sizes: dict[str, int] = {}

    def forget(self) -> None:
        """Let the copies go."""
        self.copies, self.sizes = {}, {}

    def do_keep(self, patterns: list[str]) -> int:
        """Copy the files as they are now, for an old copy to put back; return how many there are."""
        self.forget()
        for path in self.matching(patterns):
            data = content(path)
            self.copies[path], self.sizes[path] = data.rstrip(b"\0"), len(data)
        return len(self.copies)

    def do_damage(self, how: str, patterns: list[str], share: float) -> dict[str, Any]:
        """Damage the newest of the files, or put the copies of all back; return what it was and is, read back.

        Args:
            how: flip, truncate or old.
            patterns: which files, by globs in the folder.
            share: where, as a share of what is written in the file.
        """
        if self.family():
            raise Refused("its server runs: files are damaged while it is dead")
        paths = self.matching(patterns)
        if not paths or (how == "old" and not self.copies):
            raise Refused(f"there is no file {' or '.join(patterns)}" if not paths else "no old copy was kept")
        path = max(paths, key=os.path.getmtime)
        before, at = content(path), 0
        if how == "old":
            for each in paths:
                os.unlink(each)
            for each, data in self.copies.items():
                write(each, data.ljust(self.sizes[each], b"\0"))
            self.forget()
        else:
            used = len(before.rstrip(b"\0"))
            if not used:
                raise Refused(f"nothing is written in {os.path.basename(path)}")
            at = min(int(used * share), used - 1)
            if how == "flip":
                write(path, before[:at] + bytes([before[at] ^ 1 << at % 8]) + before[at + 1 :])
            else:
                write(path, before[:at])
        after = content(path) if os.path.exists(path) else b""
        if after == before:
            raise Refused(f"{os.path.basename(path)} is what it was before")
        return {
            "file": os.path.relpath(path, self.disk.folder),
            "at": at,
            "bytes": [len(before), len(after)],
            "sha256": [hashlib.sha256(data).hexdigest() for data in (before, after)],
        }

    def matching(self, patterns: Sequence[str]) -> list[str]:
        return sorted(path for pattern in patterns for path in glob.glob(os.path.join(self.disk.folder, pattern)))


def content(path: str) -> bytes:
    """Return a file's bytes."""
    with open(path, "rb") as file:
        return file.read()


def write(path: str, data: bytes) -> None:
    """Write a file whole, and flush it."""
    with open(path, "wb", buffering=0) as file:
        file.write(data)
        os.fsync(file.fileno())
    flush_names(os.path.dirname(path))
