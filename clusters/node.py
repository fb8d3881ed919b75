"""A node as the harness sees it: every method is a short request to its agent, on whatever backend."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from clusters.carrier import Carrier
from clusters.subnets import NODES_MAX
from harness.errors import ClusterError, UsageError
from harness.protocols import Clock, Damaged, DiskTrial, Memory, PowerCut, Probe, Reading, Right, Shaped, Trial

PIECE_BYTES = 4 << 20  # of a file, one request
NO_VOLUME_HINT = "leave power and disk out of the faults (--nemesis, --cluster-nemesis), or use another --backend"
WIPE_TIMEOUT_S = 30.0  # data may be gigabytes


class RemoteNode:
    """Implements harness.protocols.Node over an agent; see there for what each method promises."""

    def __init__(self, name: str, ip: str, folder: str, carrier: Carrier) -> None:
        self.name = name
        self.ip = ip
        self.folder = folder
        self.carrier = carrier

    async def setup(self, addresses: Sequence[str], rights: Collection[Right]) -> None:
        """Prepare the agent: folder, probe socket, and what the rights ask for; once the node has its address.

        Args:
            addresses: of all nodes.
            rights: what it may be asked for.
        """
        peers = [ip for ip in addresses if ip != self.ip]
        try:
            await self.carrier.call("setup", ip=self.ip, folder=self.folder, peers=peers, rights=sorted(rights))
        except ClusterError as error:
            if error.hint or Right.VOLUME not in rights:
                raise
            raise ClusterError(error.message, NO_VOLUME_HINT) from None

    async def wipe(self) -> None:
        await self.carrier.call("wipe", timeout_s=WIPE_TIMEOUT_S)

    async def start(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: str = "server.log") -> int:
        pid: int = await self.carrier.call("start", argv=list(argv), env=dict(env or {}), log=log)
        return pid

    async def signal(self, number: int) -> None:
        await self.carrier.call("signal", number=int(number))

    async def pending(self, number: int) -> bool:
        pending: bool = await self.carrier.call("pending", number=int(number))
        return pending

    async def duty(self, period_s: float, share: float) -> None:
        await self.carrier.call("duty", period_s=period_s, share=share)

    async def duty_stops(self) -> int:
        stops: int = await self.carrier.call("duty_stops")
        return stops

    async def limit_memory(self) -> None:
        await self.carrier.call("limit_memory")

    async def free_memory(self) -> None:
        await self.carrier.call("free_memory")

    async def memory(self) -> list[Memory]:
        found = await self.carrier.call("memory")
        return [Memory(used, None if limit < 0 else limit) for used, limit in found]

    async def state(self) -> str:
        state: str = await self.carrier.call("state")
        return state

    async def block(self, sources: Sequence[str]) -> None:
        await self.carrier.call("block", sources=list(sources))

    async def blocked(self) -> frozenset[str]:
        return frozenset(await self.carrier.call("blocked"))

    async def shape(self, links: Mapping[str, Mapping[str, float]]) -> None:
        await self.carrier.call("shape", links={source: dict(figures) for source, figures in links.items()})

    async def shaped(self) -> Shaped:
        found = await self.carrier.call("shaped")
        return Shaped(rules=found["rules"], links=found["links"])

    async def access(self, clients: str, links: Mapping[str, Mapping[str, float]]) -> None:
        await self.carrier.call("access", clients=clients, links={way: dict(each) for way, each in links.items()})

    async def accessed(self) -> Shaped:
        found = await self.carrier.call("accessed")
        return Shaped(rules=found["rules"], links=found["links"])

    async def trial_send(self, targets: Sequence[str], *, count: int, size: int) -> None:
        await self.carrier.call("trial_send", targets=list(targets), count=count, size=size)

    async def trial(self) -> Mapping[str, Trial]:
        found = await self.carrier.call("trial")
        return {source: Trial(**figures) for source, figures in found.items()}

    async def skew(self, programme: Sequence[tuple[float, int, float]], clocks: Sequence[str]) -> None:
        await self.carrier.call("skew", programme=[list(step) for step in programme], clocks=list(clocks))

    async def unskew(self) -> None:
        await self.carrier.call("unskew")

    async def clock(self) -> list[Clock]:
        looks = await self.carrier.call("clock")
        return [
            Clock(look["pid"], look["intact"], {name: Reading(*each) for name, each in look["clocks"].items()})
            for look in looks
        ]

    async def condition(self) -> Mapping[str, Sequence[str]]:
        parts: dict[str, list[str]] = await self.carrier.call("condition")
        return parts

    async def cut_power(self) -> PowerCut:
        return PowerCut(**await self.carrier.call("cut_power"))

    async def spoil(self, trouble: str, hold_ms: float = 0) -> None:
        await self.carrier.call("spoil", trouble=trouble, hold_ms=hold_ms)

    async def try_disk(self) -> DiskTrial:
        code, output = await self.carrier.call("try_disk")
        if code:
            raise ClusterError(f"{self.name}: the trial of the disk ended early: {output.strip()}")
        return DiskTrial(**json.loads(output), held=await self.carrier.call("held"))

    async def keep(self, patterns: Sequence[str]) -> None:
        await self.carrier.call("keep", patterns=list(patterns))

    async def damage(self, how: str, patterns: Sequence[str], share: float) -> Damaged:
        return Damaged(**await self.carrier.call("damage", how=how, patterns=list(patterns), share=share))

    async def reset_connections(self) -> None:
        await self.carrier.call("reset_connections")

    async def probe_reset(self) -> None:
        await self.carrier.call("probe_reset")

    async def probe_send(self, targets: Sequence[str]) -> None:
        await self.carrier.call("probe_send", targets=list(targets))

    async def probe(self) -> Probe:
        found = await self.carrier.call("probe")
        return Probe(heard=frozenset(found["heard"]), dropped=frozenset(found["dropped"]))

    async def run(self, argv: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str]:
        code, output = await self.carrier.call("run", argv=list(argv), limit_s=timeout_s, timeout_s=timeout_s + 5)
        return code, output

    async def read(self, path: str, *, offset: int = 0, tail_bytes: int | None = None) -> bytes:
        if tail_bytes is not None and tail_bytes < 0:
            raise ValueError(f"tail_bytes must not be negative: {tail_bytes}")
        offset = offset if tail_bytes is None else -tail_bytes
        limit = PIECE_BYTES if tail_bytes is None else min(PIECE_BYTES, tail_bytes)
        pieces: list[bytes] = []
        while limit:
            piece = await self.carrier.call("read", path=path, offset=offset, size=limit)
            data = base64.b64decode(piece["data"])
            pieces.append(data)
            offset = piece["offset"] + len(data)
            if not data or offset >= piece["size"]:
                break
        return b"".join(pieces)

    async def size(self, path: str) -> int:
        size: int = (await self.carrier.call("read", path=path, offset=0, size=0))["size"]
        return size


def require(names: Sequence[str], paths: Sequence[Path]) -> None:
    """See that a cluster of these nodes, which read these paths, can be.

    Raises:
        UsageError: too few or too many nodes.
        ClusterError: a path is missing on this host, or relative.
    """
    if not 1 <= len(names) <= NODES_MAX:
        raise UsageError(f"a cluster of {len(names)} nodes", f"ask for 1 to {NODES_MAX}")
    for path in paths:
        if not path.is_absolute() or not path.exists():
            raise ClusterError(
                f"{path} is not there on this host", "a system's install() returns absolute paths that exist"
            )
