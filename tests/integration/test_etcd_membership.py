"""Members that leave a real etcd while it runs and come back with an empty disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from waiting import until

from clusters.etcd import Etcd
from harness.cluster import Cluster
from harness.op import Call
from harness.protocols import Backend, Node
from nemesis import Nemesis

Run = Callable[..., Any]

PATIENCE_S = 30.0


async def the_leader_leaves(backend: Backend, nodes: Sequence[Node], version: str, half_way: bool) -> None:
    """Take out the leader, write, bring it in again by a heal, and read there."""
    system = Etcd(version)
    cluster = Cluster(backend, system, [node.name for node in nodes])
    cluster.nodes = {node.name: node for node in nodes}
    await cluster.boot()
    nemesis = Nemesis(cluster)
    leader = await cluster.leader()
    assert leader is not None
    everybody = frozenset(cluster.names)
    gone = cluster.nodes[leader]
    other = next(node for node in nodes if node.name != leader)
    ids = dict(system._names)

    value = {"kind": "membership", "target": "leader", "nodes": ["leader"], "otherwise": "n1"}
    injected = await nemesis.invoke(Call("inject", 0, value))
    assert injected["nodes"] == [leader]
    assert injected["evidence"] == {"states": {leader: "dead"}, "members": sorted(everybody - {leader})}
    assert await system.members(other) == everybody - {leader}
    assert not await system.ready(gone)
    assert (await gone.run(["ls", f"{gone.folder}/data"]))[0] != 0, "its disk is empty"
    assert b"permanently removed" in await gone.read("server.log"), "its log is kept: it may say what went wrong"
    await until(lambda: system.ready(other), "the others elect a leader", PATIENCE_S)
    await write(system, other, "while it was gone")

    if half_way:
        await join(system, other, gone)
    healed = await nemesis.invoke(Call("heal", 0, {"kind": "membership"}))
    assert healed["evidence"] == {"states": {leader: "running"}, "members": sorted(everybody)}
    assert await system.ready(gone)
    register: Any = system.facets["register"](gone, {})
    await register.open()
    assert await register.read("k") == "while it was gone"
    await register.close()
    new = system._names.keys() - ids.keys()
    assert [system._names[each] for each in new] == [leader], "it has an id that nobody had"
    told = [await system.status(node) for node in nodes]
    assert len({status.leader for status in told} & everybody) == 1, "all name one leader, by its name"

    await nemesis.invoke(Call("heal", 0, {"kind": "membership"}))
    assert cluster.membership is not None
    await cluster.membership.add(gone)
    assert system._names.keys() - ids.keys() == new, "a member that runs is not added once more"
    assert await nemesis.heal_all() == []


async def write(system: Etcd, node: Node, value: str) -> None:
    register: Any = system.facets["register"](node, {})
    await register.open()
    await register.write("k", value)
    await register.close()


async def join(system: Etcd, asked: Node, node: Node) -> None:
    """Make a node a member, and no more."""
    facet: Any = system.facets["membership"](asked, {})
    await facet.open()
    await facet.join(node.name, node.ip)
    assert node.ip in [member.name for member in await facet.members()], "nobody knows its name yet"
    await facet.close()


@pytest.mark.docker
def test_members_leave_and_come_back_in_containers(on_docker: Run) -> None:
    """The leader is a member by nobody's list, then by everybody's, under a new id, with all data; its log stayed."""
    version = Etcd.versions[0]
    on_docker(the_leader_leaves, version, False, nodes=3, paths=asyncio.run(Etcd(version).install()))


@pytest.mark.netns
def test_members_leave_and_come_back_in_namespaces(on_netns: Run) -> None:
    """The same by the newest version, where a heal that was cut off had come as far as adding the member."""
    version = Etcd.versions[-1]
    on_netns(the_leader_leaves, version, True, nodes=3, paths=asyncio.run(Etcd(version).install()))
