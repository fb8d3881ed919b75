"""Waiting for a node's server to get somewhere while a cluster boots: bounded, and over early where it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from harness.errors import ClusterError
from harness.protocols import Node

POLL_S: Final = 0.01
LOG_TAIL_BYTES: Final = 2000


async def until(
    node: Node, reached: Callable[[Node], Awaitable[bool]], *, server: str, what: str, timeout_s: float, log: str
) -> None:
    """Wait until a node has got there; give up early where its server has ended.

    Args:
        reached: one quick look.
        server: for people, such as "etcd 3.5.30".
        what: that it was to do, such as "start".
        log: path of its log, whose end is shown.

    Raises:
        ClusterError: it did not, with the end of its log as the hint.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while not await reached(node):
                if await node.state() == "dead":
                    raise await _failed(node, server, what, "its server ended", log)
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        reason = f"not within {timeout_s:g} s (its server is {await node.state()})"
        raise await _failed(node, server, what, reason, log) from None


async def until_all(
    nodes: Iterable[Node],
    reached: Callable[[Node], Awaitable[bool]],
    *,
    server: str,
    what: str,
    timeout_s: float,
    log: str,
) -> None:
    """Wait until all nodes have got there; see `until`."""
    await asyncio.gather(
        *(until(node, reached, server=server, what=what, timeout_s=timeout_s, log=log) for node in nodes)
    )


async def _failed(node: Node, server: str, what: str, reason: str, log: str) -> ClusterError:
    tail = (await node.read(log, tail_bytes=LOG_TAIL_BYTES)).decode(errors="replace").strip()
    return ClusterError(
        f"{node.name}: {server} did not {what}: {reason}",
        f"see what it says in the last lines of its log:\n{tail or '(empty)'}",
    )
