"""Watches and leases in memory: correct by themselves, and each bug shows itself in a scene of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from test_memory_locks import Clock, wait

from clusters.memory import Memory, MemoryBackend, MemoryNode
from clusters.memory.lease_bugs import LEASE_BUGS
from clusters.memory.watch_bugs import WATCH_BUGS
from harness.errors import Definite
from harness.facets import Change

TTL_S = 2.0
Scene = Callable[[list[Any]], Awaitable[None]]


def play(scene: Scene, facet: str, bug: str = "") -> None:
    """Play a scene with one client on each of three nodes, the leader's first."""

    async def main() -> None:
        backend = MemoryBackend("test")
        nodes = await backend.up(["n1", "n2", "n3"], [])
        system = Memory("", {"bug": bug} if bug else {})
        await system.boot(nodes)
        clients: list[Any] = [system.facets[facet](node, {}) for node in nodes]
        leader = (await system.status(nodes[0])).leader
        clients.sort(key=lambda client: client._node.name != leader)
        await scene(clients)
        await backend.down()

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(main())


async def take(client: Any, start: int | None, prefix: str = "", seconds: float = 0.05) -> list[Change]:
    """Return what a watch delivers in a while."""
    found: list[Change] = []
    try:
        async with asyncio.timeout(seconds):
            async for change in client.watch(prefix, start):
                found.append(change)
    except TimeoutError:
        pass
    return found


async def written(client: Any, count: int = 60) -> list[Change]:
    """Put and delete in turns; return the changes."""
    changes = []
    for number in range(1, count + 1):
        key = f"a/{number // 4}"
        value = None if number % 4 == 3 else number
        revision = await (client.delete(key) if value is None else client.put(key, value))
        assert revision == number
        changes.append(Change(key, revision, value))
    return changes


async def everything(clients: list[Any]) -> None:
    """Every node's watch from an old revision delivers all changes from there on, once and in order."""
    changes = await written(clients[0])
    for client in clients:
        assert await take(client, 1) == changes
        assert await take(client, 20) == changes[19:]
        assert await take(client, 20, "a/1") == [change for change in changes[19:] if change.key.startswith("a/1")]


async def from_now(clients: list[Any]) -> None:
    """A watch from now delivers what comes after it, and nothing from before."""
    await written(clients[0], 10)
    seen = asyncio.ensure_future(take(clients[1], None))
    while clients[1]._begun is None:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert await clients[2].put("b", 1) == 11
    assert await clients[2].delete("b") == 12
    assert await clients[2].delete("b") is None
    assert await seen == [Change("b", 11, 1), Change("b", 12)]


async def compacted(clients: list[Any]) -> None:
    """What is compacted cannot be watched any more, and the rest can."""
    changes = await written(clients[0])
    await clients[0].compact(30)
    with pytest.raises(Definite) as refused:
        await take(clients[1], 29)
    assert refused.value.observed == 30
    assert await take(clients[1], 30) == changes[29:]
    for revision in (30, 61):
        with pytest.raises(Definite):
            await clients[0].compact(revision)


async def cancelled(clients: list[Any]) -> None:
    """After a cancel nothing comes."""
    await written(clients[0])
    await take(clients[1], 1)
    await clients[0].put("c", 1)
    assert await clients[1].cancel() == []
    assert await clients[1].cancel() == []


async def one_life(clients: list[Any]) -> None:
    """A key is there, on every node, until its lease's time is over, and then it is gone for good."""
    lease = await clients[0].grant(TTL_S)
    await clients[1].attach("k", 7, lease.id)
    wait(0.95 * TTL_S)
    assert [await client.read("k") for client in clients] == [7, 7, 7]
    wait(0.1 * TTL_S)
    assert [await client.read("k") for client in clients] == [None, None, None]
    assert not await clients[0].keep_alive(lease.id)
    assert not await clients[0].revoke(lease.id)
    with pytest.raises(Definite):
        await clients[0].attach("k", 8, lease.id)
    assert await clients[0].read("k") is None


async def kept_alive(clients: list[Any]) -> None:
    """A renewal by any node gives a lease its whole time again."""
    lease = await clients[0].grant(TTL_S)
    await clients[0].attach("k", 7, lease.id)
    for client in (*clients, *clients):
        wait(0.8 * TTL_S)
        assert await client.keep_alive(lease.id)
        assert await client.read("k") == 7


async def revoked(clients: list[Any]) -> None:
    """A revoke removes the key at once."""
    lease = await clients[0].grant(TTL_S)
    await clients[0].attach("k", 7, lease.id)
    assert await clients[1].revoke(lease.id)
    assert [await client.read("k") for client in clients] == [None, None, None]


async def another_leader(clients: list[Any]) -> None:
    """A new leader knows what the old one acknowledged."""
    lease = await clients[0].grant(TTL_S)
    await clients[0].attach("k", 7, lease.id)
    wait(0.8 * TTL_S)
    assert await clients[0].keep_alive(lease.id)
    node: MemoryNode = clients[0]._node
    await node.signal(9)
    wait(0.8 * TTL_S)
    assert await clients[1].read("k") == 7


WATCH_SCENES = {
    "watch-skips": everything,
    "watch-repeats": everything,
    "watch-reorders": everything,
    "watch-starts-late": everything,
    "watch-starts-early": everything,
    "watch-hides-deletes": from_now,
    "watch-hides-compaction": compacted,
    "watch-refuses-old": everything,
    "watch-goes-on": cancelled,
    "watch-withholds-newest": everything,
}
LEASE_SCENES = {
    "lease-ends-early": kept_alive,
    "lease-never-ends": one_life,
    "lease-followers-forget": kept_alive,
    "lease-leader-forgets": another_leader,
    "lease-revoke-keeps-keys": revoked,
    "lease-revives": one_life,
}
SCENES = [*((scene, "watch", bug) for bug, scene in WATCH_SCENES.items())]
SCENES += [(scene, "leases", bug) for bug, scene in LEASE_SCENES.items()]


@pytest.mark.parametrize(("scene", "facet", "bug"), SCENES, ids=[bug for _, _, bug in SCENES])
def test_each_bug_shows_itself(scene: Scene, facet: str, bug: str) -> None:
    """The scene ends badly with the bug, and well without it."""
    play(scene, facet)
    with pytest.raises((AssertionError, Definite, pytest.fail.Exception)):
        play(scene, facet, bug)


def test_each_bug_has_a_scene() -> None:
    """None is left out."""
    assert set(WATCH_SCENES) == set(WATCH_BUGS)
    assert set(LEASE_SCENES) == set(LEASE_BUGS)


def test_a_watch_follows_its_node() -> None:
    """A node that is cut off delivers what it has, and the rest when it is back; a dead one breaks the stream."""

    async def scene(clients: list[Any]) -> None:
        changes = await written(clients[0], 4)
        one, other = clients[0]._node, clients[2]._node
        await other.block([client._node.ip for client in clients[:2]])
        assert await clients[0].put("late", 1) == 5
        assert await take(clients[2], 1) == changes
        seen = asyncio.ensure_future(take(clients[2], 5))
        await other.block([])
        assert await seen == [Change("late", 5, 1)]
        broken = asyncio.ensure_future(take(clients[0], 6, seconds=5))
        await asyncio.sleep(0)
        await one.signal(9)
        with pytest.raises(Definite, match="connection lost"):
            await broken

    play(scene, "watch")
