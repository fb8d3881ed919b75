"""Skewed clocks: how long a node takes to change what its server sees, and what a server's clock reads cost then.

    python -m benchmarks.clock

On five etcd in network namespaces, as its user sees it: one request to the node's agent. A clock read is time.time_ns()
of Python, its call included, in a server of its own, in time of the processor. Medians, with minimum and maximum.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import secrets
import statistics
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Final

from clusters.etcd import Etcd
from clusters.netns import NetnsBackend
from harness.protocols import Node, Right

ROUNDS: Final = 30
READS: Final = 200_000
HOUR_NS: Final = 3600 * 10**9
SERVER: Final = f"""
import time
while True:
    start = time.process_time_ns()
    for _ in range({READS}): time.time_ns()
    print((time.process_time_ns() - start) / {READS}, flush=True)
"""


async def timed_ms(action: Awaitable[object]) -> float:
    """Return how long it takes."""
    start = time.perf_counter()
    await action
    return (time.perf_counter() - start) * 1e3


async def changes(nodes: Sequence[Node]) -> dict[str, list[float]]:
    """Return the times of injections, changes, readings and heals on every node in turn, in ms."""
    took: dict[str, list[float]] = {"first": [], "change": [], "reading": [], "heal": []}
    for turn in range(ROUNDS):
        node = nodes[turn % len(nodes)]
        took["first"].append(await timed_ms(node.skew([(1000, HOUR_NS, 0)], ["realtime"])))
        took["change"].append(await timed_ms(node.skew([(1000, -HOUR_NS, 0)], ["realtime"])))
        took["reading"].append(await timed_ms(node.clock()))
        took["heal"].append(await timed_ms(node.unskew()))
    return took


async def read_ns(node: Node) -> float:
    """Return the median cost of a clock read in the server, of those that it measures from now on."""
    await asyncio.sleep(0.2)
    known = len((await node.read("server.log")).split())
    while len(told := (await node.read("server.log")).split()) < known + ROUNDS // 2:
        await asyncio.sleep(0.05)
    return statistics.median(float(word) for word in told[known:])


async def reads(node: Node) -> tuple[float, float]:
    """Return the cost of a clock read in ns, right and skewed."""
    await node.wipe()
    await node.start(["python3", "-c", SERVER])
    right = await read_ns(node)
    await node.skew([(1000, HOUR_NS, 0.1)], ["realtime"])
    return right, await read_ns(node)


async def measure(paths: Sequence[Path]) -> None:
    """Print all figures."""
    backend = NetnsBackend(secrets.token_hex(4))
    try:
        nodes = await backend.up([f"n{number}" for number in range(1, 6)], paths, [Right.TRACE])
        await Etcd().boot(nodes)
        for name, took in (await changes(nodes)).items():
            print(f"  {name}: {statistics.median(took):.1f} ms ({min(took):.1f}-{max(took):.1f})", flush=True)
        right, skewed = await reads(nodes[0])
        print(f"  a clock read: {right:.0f} ns, skewed {skewed:.0f} ns", flush=True)
    finally:
        await backend.down()


def enter(paths: Sequence[Path]) -> None:
    """Measure in a network namespace of this process."""
    NetnsBackend("0").enter()
    asyncio.run(measure(paths))


def main() -> None:
    """Print all figures, in a process of its own: one that entered has no way to the outside any more."""
    paths = asyncio.run(Etcd().install())
    child = multiprocessing.get_context("spawn").Process(target=enter, args=(paths,))
    child.start()
    child.join()


if __name__ == "__main__":
    main()
