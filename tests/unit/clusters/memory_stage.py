"""A booted register in memory, with one client a node: what the tests of it act on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from clusters.memory import Memory, MemoryBackend, MemoryNode
from clusters.memory.register import MemoryRegister

ENOUGH_TURNS = 10
"""Turns of the event loop in which an operation that can complete does."""


class Stage:
    """Nodes, the system, and one client a node."""

    def __init__(self, system: Memory, nodes: list[MemoryNode]) -> None:
        self.system = system
        self.nodes = {node.name: node for node in nodes}
        self.clients: dict[str, MemoryRegister] = {
            node.name: system.facets["register"](node, {})  # type: ignore[misc]
            for node in nodes
        }

    async def split(self, *sides: str) -> None:
        """Cut sides such as "n1 n2" from each other; none heals all."""
        groups = [side.split() for side in sides] or [list(self.nodes)]
        for side in groups:
            for name in side:
                await self.nodes[name].block([node.ip for node in self.nodes.values() if node.name not in side])

    async def leader(self) -> str:
        """Return the leader in the newest term."""
        statuses = [await self.system.status(node) for node in self.nodes.values() if node.running]
        return max((status.term or 0, status.leader or "") for status in statuses)[1]


def on_stage(story: Callable[[Stage], Awaitable[None]], bug: str = "", count: int = 5, seed: int = 0) -> None:
    """Run `story` on a booted system."""

    async def run() -> None:
        backend = MemoryBackend("test")
        nodes = await backend.up([f"n{n}" for n in range(1, count + 1)], [])
        system = Memory("", {"bug": bug, "seed": seed} if bug else {"seed": seed})
        await system.boot(nodes)
        await story(Stage(system, [node for node in nodes if isinstance(node, MemoryNode)]))
        await backend.down()

    asyncio.run(run())


async def turns() -> None:
    """Let everything that can complete do so."""
    for _ in range(ENOUGH_TURNS):
        await asyncio.sleep(0)
