"""The server's memory: kept from growing beyond what it has now, until it is let go again.

The limit is the soft limit on data (RLIMIT_DATA: heap, anonymous and other private writable memory) of the running
processes. What they have stays theirs, and files that they map are not counted.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Sequence

from clusters.agent.processes import Refused

UNLIMITED = resource.RLIM_INFINITY
SWITCH = "/sys/module/kernel/parameters/ignore_rlimit_data"


class Memory:
    """The limits that were set, by process.

    Args:
        family: returns the server's processes now.
    """

    def __init__(self, family: Callable[[], Sequence[int]]) -> None:
        self.family = family
        self.before: dict[int, tuple[int, int]] = {}

    def limit(self) -> None:
        """Set every process's limit to what it has now."""
        with contextlib.suppress(OSError), open(SWITCH) as file:
            if file.read().strip() == "Y":
                raise Refused(f"this kernel does not keep processes to RLIMIT_DATA: {SWITCH} is on")
        for pid in self.family():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                soft, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
                self.before.setdefault(pid, (soft, hard))
                resource.prlimit(pid, resource.RLIMIT_DATA, (used(pid), hard))

    def free(self) -> None:
        """Give every process that still lives the limit that it had."""
        living = set(self.family())
        for pid, limits in self.before.items():
            if pid in living:
                with contextlib.suppress(ProcessLookupError):
                    resource.prlimit(pid, resource.RLIMIT_DATA, limits)
        self.before = {}

    def report(self) -> list[list[int]]:
        """Return of each process what it has and what it may have, in bytes, as the kernel tells it; -1: no limit."""
        found = []
        for pid in self.family():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                soft, _ = resource.prlimit(pid, resource.RLIMIT_DATA)
                found.append([used(pid), -1 if soft == UNLIMITED else soft])
        return found


def used(pid: int) -> int:
    """Return how many bytes of data a process has."""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid, "it has ended")
