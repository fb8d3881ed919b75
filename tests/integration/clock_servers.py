"""Servers that tell their clocks when they are asked, and how to hold that against ours."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

HOUR_NS = 3600 * 10**9

PYTHON = """
import signal, sys, threading, time
def spin():
    while True:
        time.time(); time.monotonic()
signal.signal(signal.SIGALRM, lambda *_: time.time())
signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0007)
for _ in range(3): threading.Thread(target=spin, daemon=True).start()
before = 0
print("up", flush=True)
for line in sys.stdin:
    print(time.time_ns(), time.monotonic_ns(), flush=True)
"""
"""Four threads that read clocks without pause, and a signal's handler that does so every 0.7 ms."""


class Server:
    """A process that tells its clocks in ns when it is asked."""

    def __init__(self, argv: list[str]) -> None:
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._line() == "up\n"
        self.pid = self.process.pid

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def tells(self) -> list[int]:
        """Return what its clocks say."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return [int(word) for word in self._line().split()]

    def offset_ns(self) -> int:
        """Return how far its realtime is ahead of ours, both against the monotonic clock, which we share."""
        realtime, monotonic, *_ = self.tells()
        return realtime - monotonic - (time.time_ns() - time.monotonic_ns())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def near(one: int, other: int, within_ns: int = 2_000_000) -> bool:
    """Say whether two times are the same but for what passes between two readings."""
    return abs(one - other) < within_ns


def kernels_bytes(pid: int) -> bool:
    """Say, without the code under test, whether a process's vDSO is that of this one."""
    images = []
    for each in ("self", str(pid)):
        line = next(line for line in Path(f"/proc/{each}/maps").read_text().splitlines() if line.endswith("[vdso]"))
        first, last = (int(part, 16) for part in line.split()[0].split("-"))
        with open(f"/proc/{each}/mem", "rb") as memory:
            memory.seek(first)
            images.append(memory.read(last - first))
    return images[0] == images[1]
