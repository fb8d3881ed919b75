"""What plugs into the harness: clients, facets, systems, nodes, backends, faults, checkers.

Small protocols of a few methods each; the facets are in harness/facets.py. Whoever tests a coordinator of their own
writes a System and its facets, and nothing else; everything here may be implemented by any class of the right shape,
without inheriting.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from harness.capabilities import (
    CanBeDamaged,
    HasDigest,
    HasFiles,
    HasLogPatterns,
    HasMembership,
    HasStatus,
    NodeDigest,
    NodeStatus,
)
from harness.facets import Facet
from harness.history import History
from harness.nodes import (
    Clock,
    Damaged,
    DiskTrial,
    Endpoint,
    Memory,
    Node,
    PowerCut,
    Probe,
    Reading,
    Right,
    Shaped,
    Trial,
)
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


FacetFactory = Callable[[Node, Mapping[str, Any]], Facet]
"""Makes the facet that talks to one node, from the run's options. Raises UsageError for an option's wrong value."""

# --- backends ------------------------------------------------------------------------------------------------------


class Unavailable(NamedTuple):
    """Why a backend cannot work here, and what would change that."""

    reason: str
    remedy: str


class Backend(Protocol):
    """Where nodes live.

    Attributes:
        lacks: families of faults that its nodes cannot have, with the reason.
        harness: the clients' end of their links to the nodes; None where there are no such links, or no nodes yet.
    """

    name: str
    lacks: Mapping[str, str]
    harness: Endpoint | None

    def probe(self) -> Unavailable | None:
        """Say why it cannot work here, or None; quick, and without a trace."""

    def enter(self) -> None:
        """Prepare this process; called once, before any thread or event loop (netns without root needs it)."""

    def describe(self) -> str:
        """Return one line for people: the engine and its version."""

    async def up(self, names: Sequence[str], paths: Sequence[Path], rights: Collection[Right] = ()) -> list[Node]:
        """Bring up one fresh machine a name; `paths` of this host are readable at the same place on each.

        Args:
            names: of the machines.
            paths: see above.
            rights: what the machines must be able to do.

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
        harness: the clients' end of their links to the nodes; None where there are no such links.
        files: globs of the system's files in a node's folder, by kind; none where it does not tell.
    """

    nodes: Mapping[str, Node]
    clients: Mapping[str, ClientProcess]

    @property
    def membership(self) -> HasMembership | None: ...

    @property
    def harness(self) -> Endpoint | None: ...

    @property
    def files(self) -> Mapping[str, Sequence[str]]: ...

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
    "Backend", "CanBeDamaged", "Checker", "Client", "ClientProcess", "Clock", "Cluster", "Damaged", "DiskTrial",
    "Endpoint", "FacetFactory", "Fault", "HasDigest", "HasFiles", "HasLogPatterns", "HasMembership", "HasStatus",
    "Memory", "Node", "NodeDigest", "NodeStatus", "PowerCut", "Probe", "Reading", "Right", "Shaped", "System", "Trial",
    "Unavailable",
]  # fmt: skip
