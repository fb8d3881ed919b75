"""The node's folder, and what can befall its disk: no power, no room, no writes, no haste."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

from clusters.agent.processes import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from clusters.agent.gate import Gate
    from clusters.agent.volume import Volume

CANARY, TRIAL = ".kingslayer-canary", ".kingslayer-trial"
LOOK_S = 0.05
CANARY_BYTES = 4096  # a block, so that what is appended goes to another one
TRIAL_LIMIT_S = 10.0
TRIAL_SCRIPT = """
import errno, json, os, sys, time
path, size = sys.argv[1], 65536
said, start = "", time.monotonic()
try:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    written = os.write(file, os.urandom(size))
    start = time.monotonic()
    os.fsync(file)
    said = "" if written == size else "ENOSPC"
except OSError as error:
    said = errno.errorcode[error.errno]
seconds = time.monotonic() - start
try:
    os.unlink(path)
except OSError as error:
    said = said or errno.errorcode[error.errno]
print(json.dumps({"error": said, "fsync_ms": round(seconds * 1000, 3)}))
"""
"""Writes a file, flushes it, and tells the error, and how long the flush took."""


class Disk:
    """Where the server's data is, and its log; on a volume of their own the data alone.

    Args:
        gate: before the flushes of whatever is started through it.
        kill_all: kills every process below the agent.
    """

    def __init__(self, gate: Gate, kill_all: Callable[[], None]) -> None:
        self.gate, self.kill_all = gate, kill_all
        self.folder = self.logs = "/"
        self.volume: Volume | None = None
        self.kept = b""  # what we have flushed to it
        self.trouble = ""  # what befalls the volume now
        self.next_look_s = 0.0

    def open(self, folder: str, rights: Collection[str]) -> None:
        """Make the folder, with what these rights ask for; once."""
        os.makedirs(folder, exist_ok=True)
        self.folder = self.logs = folder
        if "volume" in rights:
            self.logs = f"{folder}.logs"  # logs are for us, and outlive whatever befalls the disk
            os.makedirs(self.logs, exist_ok=True)
            from clusters.agent.volume import Volume  # late: few runs need it

            try:
                self.volume = Volume(folder)
            except (OSError, Refused) as error:
                raise Refused(f"it can have no disk of its own, which takes loop devices: {error}") from None
            self.lay_canary()
        if "hold" in rights:
            self.gate.put()

    def wipe(self) -> None:
        """Empty it, and heal it; whoever used it must be dead."""
        self.gate.hold(0)
        if self.volume is not None:
            self.volume.format()
            self.trouble = ""
            self.lay_canary()
        import shutil  # late: it loads every compression library

        for entry in list(os.scandir(self.logs)):
            remove = shutil.rmtree if entry.is_dir(follow_symlinks=False) else os.unlink
            remove(entry.path)

    def close(self) -> None:
        if self.volume is not None:
            self.volume.close()

    def path(self, name: str) -> str:
        """Return the path of a file that was asked for: a log, or of the folder."""
        log = os.path.join(self.logs, name)
        return log if os.path.exists(log) else os.path.join(self.folder, name)

    def do_cut_power(self) -> dict[str, int]:
        """Kill everything and lose what was not flushed; return how much of our own was kept, and survived."""
        volume, fresh = self.sound(), os.urandom(CANARY_BYTES)
        self.kill_all()
        self.trouble = "power"  # until it is whole again
        with open(os.path.join(self.folder, CANARY), "ab", buffering=0) as canary:
            canary.write(fresh)
        volume.cut()
        found = b""
        with contextlib.suppress(FileNotFoundError), open(os.path.join(self.folder, CANARY), "rb") as canary:
            found = canary.read()
        self.trouble = ""
        result = {
            "flushed": CANARY_BYTES,
            "kept": CANARY_BYTES if found.startswith(self.kept) else 0,
            "unflushed": CANARY_BYTES,
            "survived": CANARY_BYTES if fresh in found else 0,
        }
        self.lay_canary()
        return result

    def do_spoil(self, trouble: str, hold_ms: float) -> None:
        """Let the disk be full or read-only, and hold each flush; "" and 0 heal, and may kill the server for it."""
        if trouble:
            volume = self.sound()
            befall = {"full": volume.fill, "read-only": volume.fail}[trouble]
            self.trouble = trouble  # before: one that comes half-way is to be mended, too
            befall()
        elif self.volume is not None:
            self.mend(self.volume)
        self.gate.hold(hold_ms / 1000)

    def mend(self, volume: Volume) -> None:
        """Make the volume whole again."""
        if self.trouble == "full":
            volume.free()
        elif self.trouble:
            self.kill_all()  # their files are those of a file system that has ended
            volume.unmount()
            volume.mount()
            self.lay_canary()
        self.trouble = ""

    def tick(self) -> float | None:
        """Keep a full disk full; return the seconds until the next time, None for never."""
        if self.trouble != "full" or self.volume is None:
            return None
        now = time.monotonic()
        if now >= self.next_look_s:
            with contextlib.suppress(OSError):  # it has failed meanwhile: the next trial tells
                self.volume.refill()
            self.next_look_s = time.monotonic() + LOOK_S
        return max(0.0, self.next_look_s - now)

    def do_held(self) -> int:
        """Return how many flushes have been held since that began."""
        return self.gate.count

    def trial(self) -> list[str]:
        """Return the command that tries to write to the disk."""
        return [sys.executable, "-ISc", TRIAL_SCRIPT, os.path.join(self.folder, TRIAL)]

    def sound(self) -> Volume:
        """Return the volume where nothing befalls it already."""
        if self.volume is None:
            raise Refused("its folder is no volume of its own, so nothing can befall its disk")
        if self.trouble:
            raise Refused(f"another fault is on its disk already: {self.trouble}")
        return self.volume

    def lay_canary(self) -> None:
        """Write a block and flush it, with its name: before the server starts, since that flushes what is its, too."""
        self.kept = os.urandom(CANARY_BYTES)
        with open(os.path.join(self.folder, CANARY), "wb", buffering=0) as canary:
            canary.write(self.kept)
            os.fsync(canary.fileno())
        flush_names(self.folder)


def flush_names(folder: str) -> None:
    """Flush the names of a folder's files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
