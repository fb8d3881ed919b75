"""The clients' links on real machines: each fault is felt on its links and on no other, and is gone after its heal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from waiting import until

from clusters.node import RemoteNode
from harness.errors import ClusterError, Definite
from harness.op import Call
from harness.protocols import Backend, Endpoint, Node
from nemesis import Nemesis

Run = Callable[..., Any]
EFFECTS: dict[str, dict[str, Any]] = {
    "cut": {"cut": True},
    "delay": {"delay_ms": 30, "jitter_ms": 10},
    "loss": {"loss": 0.3},
    "duplicate": {"duplicate": 0.4},
    "reorder": {"delay_ms": 20, "reorder": 0.3},
    "corrupt": {"corrupt": 0.2},
    "rate": {"rate_kbit": 2000},
}
DIRECTIONS = ("both", "from-clients", "to-clients")


class Machines:
    """A cluster whose servers are not asked for anything; n1 leads."""

    def __init__(self, nodes: Sequence[Node], harness: Endpoint | None) -> None:
        self.nodes: Mapping[str, Node] = {node.name: node for node in nodes}
        self.harness = harness

    async def leader(self) -> str | None:
        return "n1"


async def every_effect(backend: Backend, nodes: Sequence[Node]) -> None:
    """Do each effect in each direction, and heal it."""
    nemesis = Nemesis(Machines(nodes, backend.harness))
    cases = [(direction, figures) for figures in EFFECTS.values() for direction in DIRECTIONS]
    for number, (direction, figures) in enumerate(cases):
        value = {"kind": "access", "target": "leader", "nodes": ["leader"], "otherwise": "n2", "direction": direction}
        injected = await nemesis.invoke(Call("inject", number, value | figures))
        links = 2 if direction == "both" else 1
        assert injected["nodes"] == ["n1"]
        assert (injected["evidence"]["links"], injected["evidence"]["open"]) == (links, 2 - links)
        assert set((await nodes[0].accessed()).links) == ({*DIRECTIONS[1:]} if links == 2 else {direction})
        healed = await nemesis.invoke(Call("heal", number, {"kind": "access"}))
        assert healed["evidence"]["arrived"] == healed["evidence"]["sent"]
        assert [(await node.accessed()).rules for node in nodes] == [0, 0]


def test_each_effect_is_measured_in_each_direction(on_backend: Run) -> None:
    """On each backend cuts and every effect are measured on the links that they hit, no other feels it, all heal."""
    on_backend(every_effect, nodes=2)


async def asks(node: Node) -> bool:
    """Say whether a server on the node answers a client of this process within half a second."""
    try:
        async with asyncio.timeout(0.5):
            reader, writer = await asyncio.open_connection(node.ip, 8000)
            try:
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                return bool(await reader.read())
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


async def felt_by_clients(backend: Backend, nodes: Sequence[Node]) -> None:
    """Cut a server's links in each direction: clients feel it, the other node does not; a partition is apart."""
    nemesis = Nemesis(Machines(nodes, backend.harness))
    server, other = nodes
    await server.start(["python3", "-m", "http.server", "8000", "--bind", server.ip])
    fetch = ["python3", "-c", f"import urllib.request as u; u.urlopen('http://{server.ip}:8000', timeout=5).read()"]
    await until(lambda: asks(server), "the server serves", 10)
    for number, direction in enumerate(DIRECTIONS):
        value = {"kind": "access", "target": "one", "nodes": ["n1"], "cut": True, "direction": direction}
        await nemesis.invoke(Call("inject", number, value))
        assert not await asks(server)
        assert await server.blocked() == frozenset()
        assert (await other.run(fetch))[0] == 0
        await server.block([other.ip])
        assert await server.blocked() == {other.ip}
        await server.block([])
        assert not await asks(server), "the heal of a partition leaves clients cut off"
        await nemesis.invoke(Call("heal", number, {"kind": "access"}))
        await until(lambda: asks(server), "the server serves again")


def test_clients_are_cut_off_and_nodes_are_not(on_backend: Run) -> None:
    """In each direction a client gets no answer while another node does, and gets one after the heal."""
    on_backend(felt_by_clients, nodes=2)


async def odd_moments(backend: Backend, nodes: Sequence[RemoteNode]) -> None:
    """Heal what was never on; inject twice; another one beside it; wipe in the middle; ask for what there is not."""
    nemesis = Nemesis(Machines(nodes, backend.harness))
    assert await nemesis.invoke(Call("heal", 0, {"kind": "access"})) == {"kind": "access", "evidence": {}}
    value = {"kind": "access", "target": "one", "nodes": ["n1"]}
    await nemesis.invoke(Call("inject", 1, value | {"cut": True}))
    with pytest.raises(Definite, match=r"fault 1 \(access\) is on and holds the access of n1"):
        await nemesis.invoke(Call("inject", 2, value | {"delay_ms": 20}))
    other = value | {"nodes": ["n2"], "delay_ms": 20, "duplicate": 0.5, "direction": "to-clients"}
    await nemesis.invoke(Call("inject", 3, other))
    await nemesis.invoke(Call("heal", 3, {"kind": "access"}))
    assert [(await node.accessed()).rules for node in nodes] == [2, 0], "one heal leaves the other fault on"
    await nodes[0].wipe()
    assert (await nodes[0].accessed()).rules == 0
    assert "KINGSLAYER" not in (await nodes[0].run(["iptables", "-S"]))[1]
    assert await nemesis.heal_all() == []
    with pytest.raises(ClusterError, match="the directions of a client's link are from-clients and to-clients"):
        await nodes[0].access("10.0.0.1", {"up": {"loss": 1}})


def test_odd_moments_of_the_clients_links(on_backend: Run) -> None:
    """A heal without a fault, a second inject, a wipe in the middle and a wrong direction leave no rule behind."""
    on_backend(odd_moments, nodes=2)
