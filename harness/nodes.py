"""One machine of a cluster as the harness sees it, and what is measured on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol


class Right(StrEnum):
    """What a machine must be able to do for some faults. A backend gives its machines what was asked for, no more."""

    FILTER = "filter"
    """Drop and shape packets."""
    TRACE = "trace"
    """Trace its server."""
    VOLUME = "volume"
    """Have its folder on a file system of its own, which can fail."""
    HOLD = "hold"
    """Hold system calls of its server."""


class Probe(NamedTuple):
    """Which of the other nodes' test packets arrived at a node since the last `probe_reset`.

    Attributes:
        heard: addresses whose packets arrived.
        dropped: addresses whose packets the node's own rules dropped, by their counters: evidence, not absence.
    """

    heard: frozenset[str]
    dropped: frozenset[str]


class Shaped(NamedTuple):
    """How a node's packets are shaped now.

    Attributes:
        rules: how many rules of its kernel lose packets or hand them on.
        links: by source, what was done to how many packets: seen, held, duplicated, reordered, corrupted, overflowed.
    """

    rules: int
    links: Mapping[str, Mapping[str, int]]


class Trial(NamedTuple):
    """How a source's numbered test packets fared on their way to a node.

    Attributes:
        arrived: how many did, each counted once.
        duplicates: how many came again.
        reordered: how often one came after a later one.
        delay_ms_min: of the fastest.
        delay_ms_median: of the one in the middle.
        delay_ms_max: of the slowest.
    """

    arrived: int
    duplicates: int
    reordered: int
    delay_ms_min: float
    delay_ms_median: float
    delay_ms_max: float


class Reading(NamedTuple):
    """What a thread of a server read from one clock, against the node's own.

    Attributes:
        offset_ns: how far it was ahead.
        error_ns: by how much that may be wrong, either way.
        wanted_ns: the offset that the skew gives it at that moment, 0 without one.
    """

    offset_ns: int
    error_ns: int
    wanted_ns: int


class Clock(NamedTuple):
    """The clocks of one process of a server.

    Attributes:
        pid: on the node.
        intact: whether its clock functions are, byte for byte, those of the kernel.
        readings: by clock, realtime and monotonic.
    """

    pid: int
    intact: bool
    readings: Mapping[str, Reading]


class Memory(NamedTuple):
    """What one process of a server has in memory.

    Attributes:
        used_bytes: its data: heap, anonymous and other private writable memory.
        limit_bytes: as much as it may have; None without a limit.
    """

    used_bytes: int
    limit_bytes: int | None


class Endpoint(Protocol):
    """One end of the links that are measured: a node, or the harness, where the clients are.

    Attributes:
        ip: address that the others know it by.
    """

    ip: str

    async def trial_send(self, targets: Sequence[str], *, count: int, size: int) -> None:
        """Send numbered test packets of `size` bytes to each address."""

    async def trial(self) -> Mapping[str, Trial]:
        """Return by source how test packets fared since this was asked last; those of which none came are left out."""


class PowerCut(NamedTuple):
    """What became of the node's own test data, in bytes, when its power was cut.

    Attributes:
        flushed: written and flushed before.
        kept: of these, found again.
        unflushed: written and not flushed.
        survived: of these, found again: where there are any, the cut was none.
    """

    flushed: int
    kept: int
    unflushed: int
    survived: int


class DiskTrial(NamedTuple):
    """How it went to write a file to the node's disk.

    Attributes:
        error: the name of the error, such as ENOSPC; "" where it was written and flushed.
        fsync_ms: how long it took to flush it.
        held: how many flushes of the server and of such trials have been held since that began.
    """

    error: str
    fsync_ms: float
    held: int


class Damaged(NamedTuple):
    """What was done to a file of a node, as it was read back.

    Attributes:
        file: its path in the folder; of several the newest.
        at: where, in bytes.
        bytes: its size before and after.
        sha256: of its content before and after.
    """

    file: str
    at: int
    bytes: Sequence[int]
    sha256: Sequence[str]


class Node(Endpoint, Protocol):
    """One machine of a cluster, and the one server process on it. Every call is a short request to its agent.

    Attributes:
        name: n1, n2, …
        folder: absolute path, on the node, of its private writable folder (data, logs); emptied by `wipe`.
    """

    name: str
    folder: str

    async def wipe(self) -> None:
        """Kill the server, heal everything, empty the folder: as new."""

    async def start(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: str = "server.log") -> int:
        """Start the server process, output appended to `log` in the folder; return its pid.

        Raises:
            ClusterError: it is running already, or cannot be started.
        """

    async def signal(self, number: int) -> None:
        """Send a signal to the server process (and its children); nothing happens where none runs."""

    async def pending(self, number: int) -> bool:
        """Say whether a signal to the server still waits to be delivered; never, where it is dead."""

    async def duty(self, period_s: float, share: float) -> None:
        """Stop the server for a share of each period, a restarted one too; with 0, 0 let it go on.

        Raises:
            ClusterError: the cycle cannot be kept.
        """

    async def duty_stops(self) -> int:
        """Return how often the last duty cycle has stopped every thread of the server."""

    async def limit_memory(self) -> None:
        """Keep the server's data in memory from growing beyond what it has now, until `free_memory` or its end.

        Raises:
            ClusterError: the node's kernel cannot do it.
        """

    async def free_memory(self) -> None:
        """Give the server's processes the limit that they had before; nothing happens where none was set."""

    async def memory(self) -> list[Memory]:
        """Return what each of the server's processes has of data, and may have; empty where it is dead."""

    async def state(self) -> str:
        """Return the server's state: running, paused (SIGSTOP took effect on every thread), or dead."""

    async def block(self, sources: Sequence[str]) -> None:
        """Drop every packet that comes from these addresses: the full set each time, empty heals."""

    async def blocked(self) -> frozenset[str]:
        """Return the addresses that the node's rules drop now, as the kernel lists them."""

    async def shape(self, links: Mapping[str, Mapping[str, float]]) -> None:
        """Lose, hold, double, damage or slow down packets on their way in: the full state each time, empty heals.

        Args:
            links: by the source's address its figures, 0 where not given: delay_ms, jitter_ms, rate_kbit, and the
                probabilities loss, duplicate, reorder, corrupt.

        Raises:
            ClusterError: the node's kernel cannot do it.
        """

    async def shaped(self) -> Shaped:
        """Return what the node does to packets now."""

    async def access(self, clients: str, links: Mapping[str, Mapping[str, float]]) -> None:
        """Cut the links between this node and the clients, or shape their packets: the full state, empty heals.

        Args:
            clients: the clients' address.
            links: by direction, from-clients and to-clients, its figures as `shape` takes them; a loss of 1 cuts it.

        Raises:
            ClusterError: the node's kernel cannot do it.
        """

    async def accessed(self) -> Shaped:
        """Return what the node does to packets from and to clients now; `dropped` counts what a cut stopped."""

    async def skew(self, programme: Sequence[tuple[float, int, float]], clocks: Sequence[str]) -> None:
        """Skew clocks (realtime, monotonic) of the server, after a restart too, until `unskew`; see docs/nemeses.md.

        Args:
            programme: steps of (seconds, offset in ns, drift in seconds a second), again and again.

        Raises:
            ClusterError: it is not possible here.
        """

    async def unskew(self) -> None:
        """Put the server's clocks right, every byte; nothing happens where they are.

        Raises:
            ClusterError: they could not be put right, or the skew had not held all the time.
        """

    async def clock(self) -> list[Clock]:
        """Let a thread of each of the server's processes read its clocks; empty where it is dead."""

    async def condition(self) -> Mapping[str, Sequence[str]]:
        """Return what faults may change of this node, as its kernel tells it, by part: rules, mounts, limits, …

        Parts that say nothing now, such as the limits of a server that is dead, are left out.
        """

    async def cut_power(self) -> PowerCut:
        """Kill the server and all else on the node, and lose what was not flushed to its disk.

        Raises:
            ClusterError: its folder is no volume of its own, or another fault is on it.
        """

    async def spoil(self, trouble: str, hold_ms: float = 0) -> None:
        """Let the disk be "full" or "read-only", or hold each flush of the server; "" and 0 heal, all of it.

        The heal may kill the server, and mends the disk after a `cut_power` that failed half-way, too.

        Raises:
            ClusterError: the node was not made for that, or another fault is on its disk.
        """

    async def try_disk(self) -> DiskTrial:
        """Write a file, flush and delete it, held like the server's."""

    async def keep(self, patterns: Sequence[str]) -> None:
        """Copy files, by globs in the folder, for an old copy to put back by `damage`."""

    async def damage(self, how: str, patterns: Sequence[str], share: float) -> Damaged:
        """Damage files of a dead server, flushed and read back.

        Args:
            how: flip (one bit) or truncate the newest, or put the old copies of all back.
            patterns: which files, by globs in the folder.
            share: where, as a share of what is written in it.

        Raises:
            ClusterError: the server runs, there is no such file, or it is what it was before.
        """

    async def reset_connections(self) -> None:
        """Cut the server's established connections to its peers, so that they reconnect at once after a heal."""

    async def probe_reset(self) -> None:
        """Forget what was heard and dropped."""

    async def probe_send(self, targets: Sequence[str]) -> None:
        """Send one small test packet to each address."""

    async def probe(self) -> Probe:
        """Return what arrived since `probe_reset`."""

    async def run(self, argv: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str]:
        """Run a short command on the node; return its exit code and output (both streams)."""

    async def read(self, path: str, *, offset: int = 0, tail_bytes: int | None = None) -> bytes:
        """Return a file of the node (relative to the folder) from an offset on, or its end; empty without a file."""

    async def size(self, path: str) -> int:
        """Return how many bytes a file of the node has; 0 where there is none."""
