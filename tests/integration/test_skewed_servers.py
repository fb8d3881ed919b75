"""Skewed clocks on real nodes: servers see them, restarted ones too, every look is measured, and nothing is left."""

from __future__ import annotations

import asyncio
import platform
import signal
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from unittest.mock import patch

import pytest
from waiting import until

from clusters.etcd import Etcd
from harness.cluster import Cluster
from harness.errors import FaultError
from harness.op import Call
from harness.protocols import Backend, Node
from nemesis import Nemesis, clock

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="clocks are skewed on x86_64 only")
Run = Callable[..., Any]

HOUR_NS = 3600 * 10**9
SERVER = """
import time
while True:
    print(time.time_ns() - time.monotonic_ns(), flush=True)
    time.sleep(0.005)
"""
FAMILY = "while true; do python3 -c 'import time; time.sleep(0.2); print(time.time_ns() - time.monotonic_ns())'; done"
INTACT = """
import glob, os, sys
def vdso(pid):
    line = next(line for line in open(f"/proc/{pid}/maps") if line.endswith("[vdso]\\n"))
    first, last = (int(part, 16) for part in line.split()[0].split("-"))
    memory = open(f"/proc/{pid}/mem", "rb", 0)
    memory.seek(first)
    return memory.read(last - first)
pids = [path.split("/")[2] for path in glob.glob("/proc/[0-9]*/exe") if os.access(path, os.R_OK)]
print(sum(vdso(pid) != vdso("self") for pid in pids))
"""


class Servers:
    """A cluster of servers that tell their clocks in their logs; n1 leads."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes: Mapping[str, Node] = {node.name: node for node in nodes}

    async def leader(self) -> str | None:
        return "n1"

    async def restart(self, name: str) -> None:
        await self.nodes[name].start(["python3", "-c", SERVER])


async def started(nodes: Sequence[Node]) -> Servers:
    servers = Servers(nodes)
    for name in servers.nodes:
        await servers.restart(name)
        await telling(servers.nodes[name], 0)
    return servers


def host() -> int:
    """Return how far realtime is from monotonic here, in ns."""
    return time.time_ns() - time.monotonic_ns()


async def telling(node: Node, offset_ns: int) -> None:
    """Wait until the server itself writes times that are off by just that."""

    async def told() -> bool:
        lines = (await node.read("server.log", tail_bytes=200)).split(b"\n")
        return len(lines) > 1 and lines[-2].isdigit() and abs(int(lines[-2]) - host() - offset_ns) < 5_000_000

    await until(told, f"{node.name} sees a clock that is {offset_ns} ns off", 8)


async def all_intact(node: Node) -> bool:
    """Say, by a look of its own, whether all processes of a node have the kernel's vDSO."""
    return await node.run(["python3", "-c", INTACT]) == (0, "0\n")


def fault(kind: str = "clock", **params: Any) -> dict[str, Any]:
    return {"kind": kind, "target": "one", "nodes": ["n2"]} | params


async def every_shape(backend: Backend, nodes: Sequence[Node]) -> None:
    nemesis, before = Nemesis(await started(nodes)), host()
    shapes: list[dict[str, Any]] = [
        {"shape": "offset", "offset_ms": 7_200_000},
        {"shape": "offset", "offset_ms": -5},
        {"shape": "strobe", "offset_ms": -86_400_000, "period_s": 0.1},
        {"shape": "drift", "rate": -0.5},
        {"shape": "walk", "walk_ms": [50, -20, 900], "period_s": 0.05},
        {"shape": "offset", "offset_ms": 60_000, "clocks": ["realtime", "monotonic"]},
    ]
    for number, params in enumerate(shapes):
        result = await nemesis.invoke(Call("inject", number, fault(**params)))
        (offset_ms,) = result["evidence"]["offsets_ms"].values()
        assert offset_ms if params["shape"] != "offset" else abs(offset_ms - params["offset_ms"]) < 1
        assert ("CLOCK_MONOTONIC is skewed" in result.get("note", "")) == ("clocks" in params)
        await telling(nodes[0], 0)
        healed = await nemesis.invoke(Call("heal", number, {"kind": "clock"}))
        assert abs(healed["evidence"]["offsets_ms"]["n2"]) < 5
        await telling(nodes[1], 0)
        assert await all_intact(nodes[1])
    assert abs(host() - before) < 5_000_000  # the host's own clock was never touched


def test_every_shape_takes_effect_and_is_gone_after_its_heal(on_backend: Run) -> None:
    """On each backend the server that was chosen sees the skew, no other one does, and heals are exact."""
    on_backend(every_shape, nodes=2)


async def restarts(backend: Backend, nodes: Sequence[Node]) -> None:
    servers = await started(nodes)
    nemesis = Nemesis(servers)
    await nemesis.invoke(Call("inject", 0, fault(nodes=["n1"], shape="offset", offset_ms=3_600_000)))
    await telling(nodes[0], HOUR_NS)
    for _ in range(2):
        await nodes[0].signal(signal.SIGKILL)

        async def dead() -> bool:
            return await nodes[0].state() == "dead"

        await until(dead, "killed")
        assert await nodes[0].clock() == []
        await servers.restart("n1")
        await telling(nodes[0], HOUR_NS)
    await nemesis.invoke(Call("heal", 0, {"kind": "clock"}))
    await telling(nodes[0], 0)
    await nodes[0].wipe()
    await nodes[0].start(["sh", "-c", FAMILY])
    await nodes[0].skew([(1000, -HOUR_NS, 0)], ["realtime"])
    await telling(nodes[0], -HOUR_NS)  # also what the server starts later
    await nodes[0].unskew()
    await telling(nodes[0], 0)
    await nodes[0].skew([(1000, -HOUR_NS, 0)], ["realtime"])
    await nodes[0].wipe()
    await servers.restart("n1")
    await telling(nodes[0], 0)


@pytest.mark.netns
def test_a_restarted_server_and_its_children_are_skewed_again(on_netns: Run) -> None:
    """While the fault is on every process of the server sees it, whenever it was started; after heal or wipe, none."""
    on_netns(restarts, nodes=1)


async def unverified(backend: Backend, nodes: Sequence[Node]) -> None:
    nemesis = Nemesis(await started(nodes))
    node: Any = nodes[1]
    plain = node.skew

    async def ignore(*args: object) -> None: ...

    node.skew = ignore
    with pytest.raises(FaultError, match="the skew did not take effect: n2 is hardly off yet"):
        await nemesis.invoke(Call("inject", 0, fault(shape="offset", offset_ms=500)))
    await nemesis.invoke(Call("heal", 0, {"kind": "clock"}))
    node.skew = plain
    await nemesis.invoke(Call("inject", 1, fault(shape="offset", offset_ms=500)))
    await node.unskew()  # behind the nemesis's back
    with pytest.raises(
        FaultError, match=r"the skew was lost before its heal: process .* of n2 has lost its skew"
    ) as caught:
        await nemesis.invoke(Call("heal", 1, {"kind": "clock"}))
    assert "CAP_SYS_PTRACE" in caught.value.hint
    await telling(node, 0)
    assert await all_intact(node)
    assert await nemesis.heal_all() == [], "it counts as on until a heal succeeds"
    await node.signal(signal.SIGKILL)

    async def dead() -> bool:
        return await node.state() == "dead"

    await until(dead, "killed")
    with (
        patch.object(clock, "DEAD_LOOKS", 10),  # 30 s otherwise, in which another fault's heal might start it
        pytest.raises(FaultError, match="nothing to skew: the server of n2 is dead"),
    ):
        await nemesis.invoke(Call("inject", 2, fault(shape="offset", offset_ms=500)))
    assert await nemesis.heal_all() == []


@pytest.mark.netns
def test_a_skew_that_is_not_there_is_an_error(on_netns: Run) -> None:
    """One that never came, one that was lost meanwhile, and one of a dead server: each is an error that says so."""
    on_netns(unverified, nodes=2)


async def etcd(backend: Backend, nodes: Sequence[Node], version: str) -> None:
    system = Etcd(version)
    cluster = Cluster(backend, system, [node.name for node in nodes])
    cluster.nodes = {node.name: node for node in nodes}
    await system.boot(list(nodes))
    nemesis = Nemesis(cluster)
    value = {"kind": "clock", "target": "leader", "nodes": ["leader"], "otherwise": "n1"}
    result = await nemesis.invoke(Call("inject", 0, value | {"shape": "offset", "offset_ms": -48 * 3_600_000}))
    (leader,) = result["nodes"]
    for node in nodes:
        offset_s = await asyncio.to_thread(etcds_offset_s, node.ip)
        assert abs(offset_s - (-48 * 3600 if node.name == leader else 0)) < 5
    await nemesis.invoke(Call("heal", 0, {"kind": "clock"}))
    assert abs(await asyncio.to_thread(etcds_offset_s, cluster.nodes[leader].ip)) < 5
    assert all([await all_intact(node) for node in nodes])


def etcds_offset_s(ip: str) -> float:
    """Return how far the time is off that an etcd writes into the header of its answers."""
    with urllib.request.urlopen(f"http://{ip}:2379/version", timeout=5) as answer:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()


def test_an_etcd_sees_the_skew_in_what_it_tells_others(on_backend: Run) -> None:
    """A static Go binary is reached: the leader dates its answers two days back, the others do not."""
    paths = asyncio.run(Etcd().install())
    on_backend(etcd, "", nodes=3, paths=paths)
