"""Every fault on real machines: it takes effect, is measured, and is gone after its heal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import pytest

from harness.errors import FaultError
from harness.op import Call
from harness.protocols import Backend, Node
from nemesis import Nemesis, family
from nemesis.grudge import SHAPES, grudge

Run = Callable[..., Any]

SERVER = ("sleep", "600")


class Servers:
    """A cluster of servers that do nothing; n1 leads."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes: Mapping[str, Node] = {node.name: node for node in nodes}

    async def leader(self) -> str | None:
        return "n1"

    async def restart(self, name: str) -> None:
        await self.nodes[name].start(SERVER)


async def started(nodes: Sequence[Node]) -> Servers:
    """Start a server on each node."""
    servers = Servers(nodes)
    for name in servers.nodes:
        await servers.restart(name)
    return servers


async def whole(nodes: Sequence[Node]) -> bool:
    """Say whether no rule is left and every server runs."""
    return not any([await node.blocked() for node in nodes]) and {await node.state() for node in nodes} == {"running"}


async def every_shape(backend: Backend, nodes: Sequence[Node]) -> None:
    """Cut and heal in every shape, in both ways."""
    nemesis = Nemesis(await started(nodes))
    order = [node.name for node in reversed(nodes)]
    for number, (shape, heal) in enumerate((shape, heal) for shape in SHAPES for heal in ("quick", "natural")):
        value = {"kind": "partition", "shape": shape, "order": order, "heal": heal}
        result = await nemesis.invoke(Call("inject", number, value))
        cut = grudge(shape, order, "n1")
        assert result["unheard"] == {name: sorted(sources) for name, sources in cut.items() if sources}
        assert result["evidence"]["dropped"] == sum(map(len, cut.values()))
        healed = await nemesis.invoke(Call("heal", number, {"kind": "partition"}))
        assert healed["evidence"]["heard"] == len(nodes) * (len(nodes) - 1)
        assert await whole(nodes)


async def every_target(backend: Backend, nodes: Sequence[Node], kind: str, state: str) -> None:
    """Hit servers by many plans, and heal them."""
    servers = await started(nodes)
    nemesis = Nemesis(servers)
    for seed in range(12):
        params = family(kind).plan(Random(seed), list(servers.nodes))
        result = await nemesis.invoke(Call("inject", seed, {"kind": kind} | params))
        hit = {name for name, node in servers.nodes.items() if await node.state() == state}
        assert set(result["nodes"]) == hit == set(result["evidence"]["states"])
        await nemesis.invoke(Call("heal", seed, {"kind": kind}))
        assert await whole(nodes)


async def dead_servers(backend: Backend, nodes: Sequence[Node]) -> None:
    """Partition nodes whose servers were never started; then try to pause them."""
    nemesis = Nemesis(Servers(nodes))
    order = [node.name for node in nodes]
    await nemesis.invoke(Call("inject", 0, {"kind": "partition", "shape": "halves", "order": order}))
    with pytest.raises(FaultError, match="the server of n2 is dead before the fault"):
        await nemesis.invoke(Call("inject", 1, {"kind": "pause", "target": "one", "nodes": ["n2"]}))
    assert await nemesis.heal_all() == []
    assert not any([await node.blocked() for node in nodes])


def test_partitions_in_every_shape(on_backend: Run) -> None:
    """On each backend every directed link is measured as the shape wants it, and all are open after the heal."""
    on_backend(every_shape, nodes=5)


@pytest.mark.parametrize(("kind", "state"), [("pause", "paused"), ("kill", "dead")])
def test_servers_are_hit_and_healed(on_backend: Run, kind: str, state: str) -> None:
    """On each backend exactly the servers that were chosen are paused or dead, and all run after the heal."""
    on_backend(every_target, kind, state, nodes=5)


def test_faults_where_no_server_runs(on_backend: Run) -> None:
    """Links are measured without any server; a server that does not run cannot be paused, and that is an error."""
    on_backend(dead_servers, nodes=3)
