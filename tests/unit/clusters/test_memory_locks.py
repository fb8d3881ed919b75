"""The locks in memory: correct by themselves, and each bug shows itself in a scene of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from clusters.memory import Memory, MemoryBackend
from clusters.memory.lock_bugs import LOCK_BUGS
from harness.errors import Definite
from harness.facets import Lock

TTL_S = 2.0


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time a scene moves."""

    moved_s = 0.0

    def time(self) -> float:
        return super().time() + self.moved_s


def wait(seconds: float) -> None:
    """Let time pass."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Clock)
    loop.moved_s += seconds


Scene = Callable[[list[Lock]], Awaitable[None]]


def play(scene: Scene, bug: str = "", seed: int = 0) -> None:
    """Play a scene with one client on each of three nodes."""

    async def main() -> None:
        backend = MemoryBackend("test")
        nodes = await backend.up(["n1", "n2", "n3"], [])
        system = Memory("", {"bug": bug, "seed": seed} if bug else {"seed": seed})
        await system.boot(nodes)
        clients: list[Any] = [system.facets["lock"](node, {}) for node in nodes]
        leader = (await system.status(nodes[0])).leader
        clients.sort(key=lambda client: client._node.name != leader)
        await scene(clients)
        await backend.down()

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(main())


async def one_holder(locks: list[Lock]) -> None:
    """While a grant stands nobody else gets the lock; each grant has the next token."""
    one, two, _ = locks
    for token in range(1, 200):
        grant = await one.try_acquire("l", TTL_S)
        assert grant.token == token
        with pytest.raises(Definite) as refused:
            await two.try_acquire("l", TTL_S)
        assert refused.value.observed == {"token": token}
        assert await one.release(grant)
        assert not await one.release(grant)


async def an_end_of_its_own(locks: list[Lock]) -> None:
    """It ends when its TTL is over, no earlier and no later, and then nothing of it works any more."""
    one, two, follower = locks
    grant = await one.acquire("l", TTL_S)
    wait(0.9 * TTL_S)
    assert [await client.is_held(grant) for client in locks] == [True] * 3
    with pytest.raises(Definite):
        await two.try_acquire("l", TTL_S)
    wait(0.2 * TTL_S)
    assert [await client.is_held(grant) for client in locks] == [False] * 3
    assert not await one.extend(grant, TTL_S)
    newer = await two.try_acquire("l", TTL_S)
    assert (newer.token, await one.extend(grant, TTL_S), await one.release(grant)) == (2, False, False)
    assert await follower.is_held(newer)


async def extended(locks: list[Lock]) -> None:
    """An extension counts for everybody."""
    one, two, _ = locks
    grant = await one.acquire("l", TTL_S)
    for _ in range(5):
        wait(0.7 * TTL_S)
        assert await one.extend(grant, TTL_S)
    wait(0.7 * TTL_S)
    with pytest.raises(Definite):
        await two.try_acquire("l", TTL_S)


async def outlives_its_leader(locks: list[Lock]) -> None:
    """A new leader knows the locks."""
    grant = await locks[1].acquire("l", TTL_S)
    node: Any = locks[0]._node  # type: ignore[attr-defined]
    await node.signal(9)
    assert await locks[1].is_held(grant)


async def waits(locks: list[Lock]) -> None:
    """An acquire waits until the lock is free."""
    grant = await locks[0].acquire("l", TTL_S)
    waiting = asyncio.ensure_future(locks[1].acquire("l", TTL_S))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert await locks[0].release(grant)
    assert (await asyncio.wait_for(waiting, 5)).token == 2


SCENES = (one_holder, an_end_of_its_own, extended, outlives_its_leader, waits)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_correct_form_does_what_a_lock_must(scene: Scene) -> None:
    """Each scene ends well without a bug."""
    play(scene)


SPOILT = {
    "lock-double-grant": one_holder,
    "lock-forgotten-extends": extended,
    "lock-tokens-go-back": one_holder,
    "lock-token-reused": an_end_of_its_own,
    "lock-revived": an_end_of_its_own,
    "lock-foreign-release": one_holder,
    "lock-early-expiry": an_end_of_its_own,
    "lock-never-expires": an_end_of_its_own,
    "lock-lost-with-leader": outlives_its_leader,
    "lock-blind-is-held": an_end_of_its_own,
}


@pytest.mark.parametrize("bug", LOCK_BUGS)
def test_each_bug_spoils_its_scene(bug: str) -> None:
    """What the bug's first line says shows itself."""
    with pytest.raises((AssertionError, Definite, pytest.fail.Exception)):
        play(SPOILT[bug], bug)
