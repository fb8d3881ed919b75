"""What all facets of the system `memory` share: a node that is cut off lets its clients hang, a dead one refuses."""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import coroutine
from typing import TypeVar

from clusters.memory.replicas import Replica
from harness.errors import Definite, Indefinite

T = TypeVar("T")


class MemoryFacet:
    """A client of one node.

    Args:
        replica: the node's.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._node = replica.node

    async def open(self) -> None:
        if self._node.dead():
            raise ConnectionRefusedError(f"{self._node.name}: its server is dead")

    async def close(self) -> None:
        """Nothing is held."""

    async def _at_once(self, step: Callable[[], T]) -> T:
        """Take one step at one instant while the node serves, with a turn of the event loop before and after."""
        await turn()
        if self._replica.group is None:
            await self._served()
        result = step()
        await turn()
        if not self._node.running:
            await self._answered()
        return result

    async def _served(self) -> None:
        """Hang until the node is in a group; a dead one refuses."""
        while self._replica.group is None:
            if self._node.dead():
                raise Definite(f"connection refused: the server of {self._node.name} is dead")
            await self._node.network.change()

    async def _answered(self) -> None:
        """Hang while the node is paused; one that died cannot answer any more."""
        while not self._node.running:
            if self._node.dead():
                raise Indefinite(f"connection lost: the server of {self._node.name} died")
            await self._node.network.change()


@coroutine
def turn() -> Generator[None]:
    """Give way to the event loop once; half the price of asyncio.sleep(0)."""
    yield
