"""What plugs into the harness: clients, facets, systems, nodes, backends, faults, checkers.

Small protocols of a few methods each; the facets are in harness/facets.py. Whoever tests a coordinator of their own
writes a System and its facets, and nothing else; everything here may be implemented by any class of the right shape,
without inheriting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from harness.capabilities import HasDigest, HasLogPatterns, HasMembership, HasStatus, NodeDigest, NodeStatus
from harness.facets import Facet
from harness.history import History
from harness.op import Call
from harness.verdict import Verdict

# --- clients ------------------------------------------------------------------------------------------


class Client(Protocol):
    """One logical client, pinned to one node; its process is retired after an `info`."""

    async def open(self) -> None:
        """Connect. Called once, before the first invoke; may raise anything, then it is tried again later."""

    async def invoke(self, call: Call) -> Any:
        """Do `call` once, never resend, and return the completion's value.

        Raises:
            Definite: it certainly did not happen (`fail`).
            Indefinite: it may have happened (`info`); so is any other exception.
        """

    async def close(self) -> None:
        """Disconnect; also called after a failed open, or in the middle of an invoke that was cut off."""


FacetFactory = Callable[["Node", Mapping[str, Any]], Facet]
"""Makes the facet that talks to one node, from the run's options. Raises UsageError for an option's wrong value."""

# --- nodes and backends ------------------------------------------------------------------------------------------


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


class Node(Protocol):
    """One machine of a cluster, and the one server process on it. Every call is a short request to its agent.

    Attributes:
        name: n1, n2, …
        ip: address that nodes and clients reach it by.
        folder: absolute path, on the node, of its private writable folder (data, logs); emptied by `wipe`.
    """

    name: str
    ip: str
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

    async def trial_send(self, targets: Sequence[str], *, count: int, size: int) -> None:
        """Send numbered test packets of `size` bytes to each address."""

    async def trial(self) -> Mapping[str, Trial]:
        """Return by source how test packets fared since this was asked last; those of which none came are left out."""

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

    async def read(self, path: str, *, tail_bytes: int | None = None) -> bytes:
        """Return a file of the node (relative to the folder), or only its end; empty where there is none."""


class Unavailable(NamedTuple):
    """Why a backend cannot work here, and what would change that."""

    reason: str
    remedy: str


class Backend(Protocol):
    """Where nodes live.

    Attributes:
        lacks: families of faults that its nodes cannot have, with the reason.
    """

    name: str
    lacks: Mapping[str, str]

    def probe(self) -> Unavailable | None:
        """Say why it cannot work here, or None; quick, and without a trace."""

    def enter(self) -> None:
        """Prepare this process; called once, before any thread or event loop (netns without root needs it)."""

    def describe(self) -> str:
        """Return one line for people: the engine and its version."""

    async def up(self, names: Sequence[str], paths: Sequence[Path]) -> list[Node]:
        """Bring up one fresh machine a name; `paths` of this host are readable at the same place on each.

        Raises:
            ClusterError: with the hint what to do.
        """

    async def down(self) -> None:
        """Remove every machine and all else that `up` made; also after an `up` that failed half-way."""


# --- systems -----------------------------------------------------------------------------------------------------


class System(Protocol):
    """What runs on the nodes: how to install, start and ask it, and which facets it offers.

    Its capabilities are protocols of their own (harness/capabilities.py). Kill and pause need none: they act on the
    node's server.

    Attributes:
        name: such as "etcd".
        version: the one chosen, such as "3.5.30".
        backends: names of the backends it can run on, the best first.
        facets: how to make each facet it has, by name.
        logs: paths of its logs in the node's folder.
    """

    name: str
    version: str
    backends: Sequence[str]
    facets: Mapping[str, FacetFactory]
    logs: Sequence[str]

    async def install(self) -> Sequence[Path]:
        """Make sure that its files are on this host; return the paths that every node must be able to read.

        Raises:
            ClusterError: with the hint what to do.
        """

    async def boot(self, nodes: Sequence[Node]) -> None:
        """Start a fresh cluster on wiped nodes, and return when it serves.

        Raises:
            ClusterError: it never got healthy; the message names the node, the hint shows its last log lines.
        """

    async def start(self, node: Node) -> None:
        """Start the server again on a node whose server was killed, with its data; need not wait for it."""

    async def ready(self, node: Node) -> bool:
        """Say whether this node serves clients now (one quick look, False on any error)."""


# --- faults and checkers -----------------------------------------------------------------------------------------


class ClientProcess(Protocol):
    """A process of the harness that holds clients.

    Attributes:
        name: c1, c2, …
    """

    name: str

    def signal(self, number: int) -> None:
        """Send it a signal; one that is gone gets none."""

    def state(self) -> str:
        """Return running, paused or dead."""


class Cluster(Protocol):
    """What a fault acts on: the nodes of a running cluster, and who talks to them.

    Attributes:
        nodes: by name, in order.
        clients: the processes that hold clients, by name; none where clients live in the harness's own.
        membership: how nodes leave and join; None where the system cannot do that.
    """

    nodes: Mapping[str, Node]
    clients: Mapping[str, ClientProcess]

    @property
    def membership(self) -> HasMembership | None: ...

    async def leader(self) -> str | None:
        """Return the name of the node that most nodes take for the leader in the newest term, if any answers."""

    async def restart(self, name: str) -> None:
        """Start the server of a node again after a kill."""


class Fault(Protocol):
    """One fault on a running cluster, made from the parameters of a schedule's step.

    inject and heal measure that they took effect (`verify`) before they return, so that a step is one operation.
    """

    async def inject(self) -> dict[str, Any]:
        """Do it; return the resolved parameters, such as the nodes it hit."""

    async def verify(self) -> dict[str, Any]:
        """Measure that it took effect; return the evidence.

        Raises:
            FaultError: it did not.
        """

    async def heal(self) -> dict[str, Any]:
        """Undo it and measure that it is gone; safe to call twice, and after an inject that failed half-way.

        Raises:
            FaultError: it is not gone.
        """


class Checker(Protocol):
    """A pure function from history to verdict, with a name."""

    name: str

    def check(self, history: History) -> Verdict: ...


__all__ = [
    "Backend", "Checker", "Client", "ClientProcess", "Clock", "Cluster", "FacetFactory", "Fault", "HasDigest",
    "HasLogPatterns", "HasMembership", "HasStatus", "Node", "NodeDigest", "NodeStatus", "Probe", "Reading", "Shaped",
    "System", "Trial", "Unavailable",
]  # fmt: skip
