"""Changing the members of a running etcd cluster, asked again until it is done: for faults, not for clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from clusters.etcd.facets import FACETS
from harness.errors import ClusterError, OpError
from harness.protocols import Node

T = TypeVar("T")

CHANGE_TIMEOUT_S: Final = 30.0
"""etcd refuses a change for five seconds after any member was not connected; after a partition it reconnects first."""

ASK_TIMEOUT_S: Final = 5.0
POLL_S: Final = 0.1


async def is_member(node: Node, others: Sequence[Node]) -> bool:
    """Say whether a node is a member, by what another one tells.

    Raises:
        ClusterError: no answer within CHANGE_TIMEOUT_S.
    """

    async def look(facet: Any) -> bool:
        return bool(await _names(facet, node))

    return await _ask(others, look, f"nobody tells whether {node.name} is a member")


async def change(node: Node, others: Sequence[Node], *, member: bool) -> None:
    """Make a node a member, or none; it need not be started, or have ended.

    It may be asked for more than once: a node is not added twice, and an id that was removed never comes back, so a
    request whose outcome was unknown does no harm when it takes effect late.

    Args:
        others: whom to ask, one after the other.

    Raises:
        ClusterError: not within CHANGE_TIMEOUT_S.
    """

    async def look_and_ask(facet: Any) -> None:
        names = await _names(facet, node)
        if member and not names:
            await facet.join(node.name, node.ip)
        elif names and not member:
            await facet.leave(names[0])

    await _ask(others, look_and_ask, f"{node.name} could not be made {'a' if member else 'no'} member")


async def _names(facet: Any, node: Node) -> list[str]:
    """Return what the cluster calls a node, which is its address before it has started; nothing where it is none."""
    return [each.name for each in await facet.members() if each.name in (node.name, node.ip)]


async def _ask(others: Sequence[Node], question: Callable[[Any], Awaitable[T]], what: str) -> T:
    reason = "there is no other node"
    end_s = time.monotonic() + CHANGE_TIMEOUT_S
    while others and time.monotonic() < end_s:
        for other in others:
            facet: Any = FACETS["membership"](other, {})
            try:
                async with asyncio.timeout(ASK_TIMEOUT_S):
                    await facet.open()
                    return await question(facet)
            except (OpError, OSError) as error:  # a time-out is an OSError
                reason = f"{other.name}: {error or 'no answer in time'}"
            finally:
                await facet.close()
        await asyncio.sleep(POLL_S)
    hint = "members are changed by a majority of members that are all connected: see the nodes' logs"
    raise ClusterError(f"{what} within {CHANGE_TIMEOUT_S:g} s: {reason}", hint)
