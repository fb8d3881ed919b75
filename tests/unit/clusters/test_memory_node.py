"""Nodes in memory keep protocols.Node: state, rules and probes as on a real machine."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from clusters.memory import MemoryBackend, MemoryNode
from harness.errors import ClusterError, UsageError


def on_nodes(story: Callable[[list[MemoryNode]], Awaitable[None]]) -> None:
    """Run `story` on three machines."""

    async def run() -> None:
        backend = MemoryBackend("test")
        assert backend.probe() is None
        nodes = [node for node in await backend.up(["n1", "n2", "n3"], []) if isinstance(node, MemoryNode)]
        await story(nodes)
        await backend.down()

    asyncio.run(run())


def test_states() -> None:
    """A server is dead, running or paused, as real signals make it; only a dead one can be started."""

    async def story(nodes: list[MemoryNode]) -> None:
        node = nodes[0]
        assert await node.state() == "dead"
        await node.signal(signal.SIGCONT)
        assert await node.state() == "dead"
        first = await node.start(["server"])
        with pytest.raises(ClusterError, match="n1: its server is running already"):
            await node.start(["server"])
        await node.signal(signal.SIGSTOP)
        assert await node.state() == "paused"
        with pytest.raises(ClusterError, match="n1: its server is paused already"):
            await node.start(["server"])
        await node.signal(signal.SIGCONT)
        assert await node.state() == "running"
        await node.signal(signal.SIGSTOP)
        await node.signal(signal.SIGKILL)
        assert await node.state() == "dead"
        assert await node.start(["server"]) != first

    on_nodes(story)


def test_probes_obey_the_receivers_rules() -> None:
    """A blocked source is not heard and counted as dropped; the other direction is open; dead servers do not matter."""

    async def story(nodes: list[MemoryNode]) -> None:
        one, two, three = nodes
        await one.block([two.ip])
        assert await one.blocked() == {two.ip}
        for node in nodes:
            await node.probe_send([other.ip for other in nodes if other is not node])
        assert await one.probe() == ({three.ip}, {two.ip})
        assert await two.probe() == ({one.ip, three.ip}, frozenset())
        await one.block([])
        await one.probe_reset()
        assert await one.probe() == (frozenset(), frozenset())
        await two.probe_send([one.ip, "203.0.113.7"])
        assert await one.probe() == ({two.ip}, frozenset())

    on_nodes(story)


def test_wipe_makes_it_as_new() -> None:
    """After a wipe no server runs, no rule is left and the folder is empty."""

    async def story(nodes: list[MemoryNode]) -> None:
        node = nodes[0]
        await node.start(["server", "--flag"])
        await node.block([nodes[1].ip])
        assert await node.read("server.log") == b"start 1: server --flag\n"
        assert await node.read("server.log", tail_bytes=5) == b"flag\n"
        assert await node.read("server.log", tail_bytes=0) == b""
        await node.wipe()
        assert await node.state() == "dead"
        assert await node.blocked() == frozenset()
        assert await node.read("server.log") == b""

    on_nodes(story)


def test_it_has_no_commands() -> None:
    """A command fails as one that a shell does not find."""

    async def story(nodes: list[MemoryNode]) -> None:
        code, output = await nodes[0].run(["ls", "-l"])
        assert code == 127
        assert "ls: command not found" in output

    on_nodes(story)


def test_two_backends_share_nothing() -> None:
    """The rules of one run's nodes do not touch another's of the same names and addresses."""

    async def run() -> None:
        (one,), (two,) = [await MemoryBackend(run_id).up(["n1"], []) for run_id in ("a", "b")]
        await one.block(["192.0.2.2"])
        assert await two.blocked() == frozenset()
        await one.probe_send([two.ip])
        assert (await two.probe()).heard == frozenset()

    asyncio.run(run())


def test_too_many_nodes() -> None:
    """More nodes than there are addresses is a UsageError."""
    with pytest.raises(UsageError, match="255 nodes in memory: at most 254"):
        asyncio.run(MemoryBackend("test").up([f"n{number}" for number in range(255)], []))
