"""The backend `memory`: machines that are objects of this process, with a network between them that can be cut.

They behave as protocols.Node says (state, rules, probes), so that faults act on them as on real ones.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from harness.errors import ClusterError, UsageError
from harness.protocols import (
    Clock,
    Damaged,
    DiskTrial,
    Memory,
    Node,
    PowerCut,
    Probe,
    Right,
    Shaped,
    Trial,
    Unavailable,
)

NODES_MAX = 254
"""As many addresses as 192.0.2.0/24 has, the network that is set aside for examples."""

NO_CLOCK = "nodes in memory have no clock of their own"
NO_CLIENTS = "its nodes live in the harness's own process, where clients of another one do not reach them"
NO_LINKS = "clients of nodes in memory call them and have no links to them"
NO_PACKETS = "nodes in memory call each other and send no packets"
NO_DISK = "nodes in memory have no disk"
NO_PROCESS = "servers in memory have no processes of their own; use pause and kill"
REAL = "use --backend docker or netns, or leave it out of --nemesis"


class Network:
    """What the machines share: who has which address, and news of every change.

    Attributes:
        watcher: called at every change, before those who wait: the servers' own reaction.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, MemoryNode] = {}
        self.watcher: Callable[[], None] | None = None
        self._changed = asyncio.Event()

    def touch(self) -> None:
        """Tell the watcher, then everybody who waits, that a node's state or rules have changed."""
        if self.watcher is not None:
            self.watcher()
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()


class MemoryNode:
    """One machine; its server is nothing but the state running, paused or dead.

    Attributes:
        running: whether the state is running, for the path on which every operation goes.
    """

    def __init__(self, network: Network, name: str, ip: str) -> None:
        self.network = network
        self.name = name
        self.ip = ip
        self.folder = f"/memory/{name}"
        self.running = False
        self.sources: frozenset[str] = frozenset()
        self._state = "dead"
        self._starts = 0
        self._log = ""
        self._files: dict[str, bytes] = {}
        self._heard: set[str] = set()
        self._dropped: set[str] = set()

    async def wipe(self) -> None:
        self._files.clear()
        self.sources = frozenset()
        self._become("dead")

    async def start(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: str = "server.log") -> int:
        if self._state != "dead":
            raise ClusterError(f"{self.name}: its server is {self._state} already", "kill it before it is started")
        self._starts += 1
        self._log = log
        self.log(f"start {self._starts}: {' '.join(argv)}")
        self._become("running")
        return self._starts

    async def signal(self, number: int) -> None:
        if self._state == "dead":
            return
        if number == signal.SIGSTOP:
            self._become("paused")
        elif number == signal.SIGCONT:
            self._become("running")
        else:
            self._become("dead")

    async def pending(self, number: int) -> bool:
        """Say no: signals to it take effect at once."""
        return False

    async def duty(self, period_s: float, share: float) -> None:
        if share:
            raise UsageError(f"{self.name}: {NO_PROCESS}", REAL)

    async def duty_stops(self) -> int:
        """Tell of no stop."""
        return 0

    async def limit_memory(self) -> None:
        raise UsageError(f"{self.name}: {NO_PROCESS}", REAL)

    async def free_memory(self) -> None:
        """Do nothing: there is no limit."""

    async def memory(self) -> list[Memory]:
        """Tell of no process: there is none."""
        return []

    async def state(self) -> str:
        return self._state

    def dead(self) -> bool:
        """Say whether no server runs, not even a paused one."""
        return self._state == "dead"

    async def block(self, sources: Sequence[str]) -> None:
        self.sources = frozenset(sources)
        self.network.touch()

    async def blocked(self) -> frozenset[str]:
        return self.sources

    async def shape(self, links: Mapping[str, Mapping[str, float]]) -> None:
        if links:
            raise UsageError(f"{self.name}: {NO_PACKETS}", REAL)

    async def shaped(self) -> Shaped:
        """Tell of no rule."""
        return Shaped(0, {})

    async def access(self, clients: str, links: Mapping[str, Mapping[str, float]]) -> None:
        if links:
            raise UsageError(f"{self.name}: {NO_LINKS}", REAL)

    async def accessed(self) -> Shaped:
        """Tell of no rule."""
        return Shaped(0, {})

    async def trial_send(self, targets: Sequence[str], *, count: int, size: int) -> None:
        """Do nothing: there are no packets."""

    async def trial(self) -> Mapping[str, Trial]:
        """Tell of no packet."""
        return {}

    async def skew(self, programme: Sequence[tuple[float, int, float]], clocks: Sequence[str]) -> None:
        raise UsageError(f"{self.name}: {NO_CLOCK}", REAL)

    async def unskew(self) -> None:
        """Do nothing: its clock is never skewed."""

    async def clock(self) -> list[Clock]:
        """Tell of no process: there is none."""
        return []

    async def condition(self) -> Mapping[str, Sequence[str]]:
        """Tell of the rules, and of a server that is paused: there is nothing else to change."""
        return {"rules": sorted(self.sources), "held": ["the server"] if self._state == "paused" else []}

    async def cut_power(self) -> PowerCut:
        raise UsageError(f"{self.name}: {NO_DISK}", REAL)

    async def spoil(self, trouble: str, hold_ms: float = 0) -> None:
        if trouble or hold_ms:
            raise UsageError(f"{self.name}: {NO_DISK}", REAL)

    async def try_disk(self) -> DiskTrial:
        raise UsageError(f"{self.name}: {NO_DISK}", REAL)

    async def keep(self, patterns: Sequence[str]) -> None:
        raise UsageError(f"{self.name}: {NO_DISK}", REAL)

    async def damage(self, how: str, patterns: Sequence[str], share: float) -> Damaged:
        raise UsageError(f"{self.name}: {NO_DISK}", REAL)

    async def reset_connections(self) -> None:
        """Do nothing: this network has no connections that could linger."""

    async def probe_reset(self) -> None:
        self._heard.clear()
        self._dropped.clear()

    async def probe_send(self, targets: Sequence[str]) -> None:
        for target in targets:
            if receiver := self.network.nodes.get(target):
                receiver.receive(self.ip)

    def receive(self, source: str) -> None:
        """Take a test packet, or drop it by the rules."""
        (self._dropped if source in self.sources else self._heard).add(source)

    async def probe(self) -> Probe:
        return Probe(frozenset(self._heard), frozenset(self._dropped))

    async def run(self, argv: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str]:
        """Answer like a shell that does not know the command: there is none here."""
        return 127, f"{argv[0]}: command not found (a node in memory has no commands)\n"

    async def read(self, path: str, *, offset: int = 0, tail_bytes: int | None = None) -> bytes:
        data = self._files.get(path, b"")
        return data[offset:] if tail_bytes is None else data[max(0, len(data) - tail_bytes) :]

    async def size(self, path: str) -> int:
        return len(self._files.get(path, b""))

    def log(self, line: str) -> None:
        """Append a line to the server's log."""
        self._files[self._log] = self._files.get(self._log, b"") + line.encode() + b"\n"

    def linked(self, other: MemoryNode) -> bool:
        """Say whether requests and their replies get through between the two, either of them asking."""
        return other.ip not in self.sources and self.ip not in other.sources

    def _become(self, state: str) -> None:
        self._state = state
        self.running = state == "running"
        self.network.touch()


class MemoryBackend:
    """Machines in this process.

    Args:
        run_id: not needed here: two runs share nothing.
    """

    name = "memory"
    harness = None
    lacks: Mapping[str, str] = {
        "access": NO_LINKS,
        "clock": NO_CLOCK,
        "damage": NO_DISK,
        "disk": NO_DISK,
        "freeze": NO_CLIENTS,
        "packets": NO_PACKETS,
        "power": NO_DISK,
        "process": NO_PROCESS,
    }

    def __init__(self, run_id: str) -> None:
        self._network = Network()

    def probe(self) -> Unavailable | None:
        return None

    def enter(self) -> None:
        """Nothing to prepare."""

    def describe(self) -> str:
        return "in memory, one process"

    async def up(self, names: Sequence[str], paths: Sequence[Path], rights: Collection[Right] = ()) -> list[Node]:
        if len(names) > NODES_MAX:
            raise UsageError(f"{len(names)} nodes in memory: at most {NODES_MAX} have an address", "use fewer nodes")
        nodes = [MemoryNode(self._network, name, f"192.0.2.{number}") for number, name in enumerate(names, 1)]
        self._network.nodes = {node.ip: node for node in nodes}
        return list(nodes)

    async def down(self) -> None:
        for node in self._network.nodes.values():
            await node.wipe()
        self._network.nodes = {}
        self._network.watcher = None
