"""Whether every node is, after the last heal, as it was before the first fault: asked of the agents, and recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from harness.cluster import Cluster
from harness.op import CONDITION
from harness.protocols import Node
from harness.recorder import Recorder

PROVE_S: Final = 3.0
LOOK_S: Final = 0.05
"""A server that was just started may still be setting its own limits, so a difference must last for PROVE_S."""

SHOWN_MAX: Final = 6

Condition = Mapping[str, Sequence[str]]
"""By part (rules, mounts, limits, …) what a node has of it, one line each. A part that is missing says nothing."""


async def conditions(cluster: Cluster) -> dict[str, Condition]:
    """Return how every node is now, by name."""
    nodes = cluster.nodes
    found = await asyncio.gather(*(node.condition() for node in nodes.values()))
    return dict(zip(nodes, found, strict=True))


async def prove(cluster: Cluster, before: Mapping[str, Condition], recorder: Recorder) -> None:
    """Record of every node whether it is as before: ok, or info with what differs."""
    await asyncio.gather(*(_prove(node, before[name], recorder) for name, node in cluster.nodes.items()))


async def _prove(node: Node, before: Condition, recorder: Recorder) -> None:
    process = f"{CONDITION}:{node.name}"
    recorder.record(process, "invoke", CONDITION, node.name, None, None)
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + PROVE_S
    while True:
        try:
            wrong = differences(before, await node.condition())
        except Exception as error:  # its agent may be gone
            wrong = [f"it does not tell: {error}"]
        if not wrong:
            recorder.record(process, "ok", CONDITION, node.name, None, {"same": sorted(before)})
            return
        if loop.time() >= deadline_s:
            recorder.record(process, "info", CONDITION, node.name, None, None, error="; ".join(wrong))
            return
        await asyncio.sleep(LOOK_S)


def differences(before: Condition, after: Condition) -> list[str]:
    """Return in words what a node has now and had not, or had and has not, in the parts that it told both times."""
    found = []
    for part in before.keys() & after.keys():
        new, gone = _less(after[part], before[part]), _less(before[part], after[part])
        found += [f"{part}: has {line}" for line in new] + [f"{part}: no longer has {line}" for line in gone]
    found.sort()
    more = len(found) - SHOWN_MAX
    return [*found[:SHOWN_MAX], f"and {more} more"] if more > 0 else found


def _less(lines: Iterable[str], others: Iterable[str]) -> list[str]:
    """Return the lines that others do not have, each as often as it comes too often."""
    left = list(others)
    found = []
    for line in lines:
        if line in left:
            left.remove(line)
        else:
            found.append(line)
    return found
