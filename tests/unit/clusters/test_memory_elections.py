"""The elections in memory: correct by themselves, in scenes on a clock that the scene moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from memory_stage import turns

from clusters.memory import Memory, MemoryBackend, MemoryNode
from harness.errors import Definite
from harness.facets import ElectionEvent, Leadership

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


def play(scene: Callable[..., Awaitable[None]]) -> None:
    """Play a scene with one client on each of three nodes."""

    async def main() -> None:
        backend = MemoryBackend("test")
        nodes = await backend.up(["n1", "n2", "n3"], [])
        system = Memory()
        await system.boot(nodes)
        clients: list[Any] = [system.facets["election"](node, {}) for node in nodes]
        await scene(clients, nodes)
        await backend.down()

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(main())


def test_one_leads_after_the_other() -> None:
    """Who campaigns while another leads waits; terms count the leaders; everybody is told the same."""

    async def scene(clients: list[Any], _: list[MemoryNode]) -> None:
        one, two, three = clients
        assert await three.leader("e") is None
        first = await one.campaign("e", "a", TTL_S)
        waiting = asyncio.ensure_future(two.campaign("e", "b", TTL_S))
        await turns()
        assert not waiting.done()
        assert [await client.leader("e") for client in clients] == [first] * 3
        assert await one.resign("e", first)
        wait(1)
        second = await asyncio.wait_for(waiting, 5)
        assert (first, second) == (Leadership("a", 1), Leadership("b", 2))
        assert not await one.resign("e", first)
        assert not await one.renew("e", first)
        assert await three.leader("e") == second
        assert await three.leader("other") is None

    play(scene)


def test_a_leadership_ends_unless_it_is_renewed() -> None:
    """A renewal counts from its own time; when time is over nobody leads, and a renewal is refused."""

    async def scene(clients: list[Any], _: list[MemoryNode]) -> None:
        one, two, _three = clients
        first = await one.campaign("e", "a", TTL_S)
        wait(TTL_S * 0.9)
        assert await one.renew("e", first)
        wait(TTL_S * 0.9)
        assert await two.leader("e") == first
        wait(TTL_S * 0.2)
        assert await two.leader("e") is None
        assert not await one.renew("e", first)

    play(scene)


def test_a_watch_tells_of_every_change() -> None:
    """Elected, changed, resigned, in this order, with the leaders."""

    async def scene(clients: list[Any], _: list[MemoryNode]) -> None:
        one, two, three = clients
        first = await one.campaign("e", "a", TTL_S)
        async with aclosing(three.watch("e")) as stream:
            assert await anext(stream) == ElectionEvent("elected", first)
            await one.resign("e", first)
            second = await two.campaign("e", "b", TTL_S)
            assert await anext(stream) == ElectionEvent("changed", second)
            await two.resign("e", second)
            assert await anext(stream) == ElectionEvent("resigned")

    play(scene)


def test_a_node_that_is_cut_off_lets_its_clients_hang_and_a_dead_one_refuses() -> None:
    """Nobody is elected through a node without a majority."""

    async def scene(clients: list[Any], nodes: list[MemoryNode]) -> None:
        await nodes[0].block([nodes[1].ip, nodes[2].ip])
        waiting = asyncio.ensure_future(clients[0].campaign("e", "a", TTL_S))
        await turns()
        assert not waiting.done()
        assert await clients[1].leader("e") is None
        await nodes[0].signal(9)
        with pytest.raises(Definite):
            await asyncio.wait_for(waiting, 5)

    play(scene)
