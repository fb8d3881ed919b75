"""The fault membership: whom it takes out, what it holds the nodes' own lists to, and where it is refused."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from clusters.memory import Memory, MemoryBackend
from harness.cluster import Cluster
from harness.config import RunConfig, Schedule, Step
from harness.errors import FaultError, UsageError
from harness.op import Call
from harness.protocols import Node
from harness.session import check_faults
from nemesis import Nemesis, family, measure

NAMES = ["n1", "n2", "n3", "n4", "n5"]
N2 = {"target": "one", "nodes": ["n2"]}


class Changing(Memory):
    """Nodes in memory with members: each one's own list, and nodes whose lists do not change."""

    def __init__(self) -> None:
        super().__init__()
        self.lists = {name: set(NAMES) for name in NAMES}
        self.stubborn: set[str] = set()

    async def remove(self, node: Node) -> None:
        await node.signal(signal.SIGKILL)
        for name in set(NAMES) - self.stubborn:
            self.lists[name].discard(node.name)

    async def add(self, node: Node) -> None:
        if await node.state() == "dead":
            await self.start(node)
        for name in set(NAMES) - self.stubborn:
            self.lists[name].add(node.name)

    async def members(self, node: Node) -> frozenset[str]:
        if await node.state() == "dead":
            raise OSError("no connection")
        return frozenset(self.lists[node.name])


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the nemesis look again at once."""
    monkeypatch.setattr(measure, "PAUSE_S", 0)


def on_cluster(
    story: Callable[[Cluster, Nemesis, Any], Awaitable[None]], make: Callable[[], Memory] = Changing
) -> None:
    """Run `story` on a cluster of five nodes in memory."""

    async def run() -> None:
        system = make()
        cluster = Cluster(MemoryBackend("test"), system, NAMES)
        await cluster.up([])
        await cluster.boot()
        await story(cluster, Nemesis(cluster), system)
        await cluster.down()

    asyncio.run(run())


def test_every_plan_takes_one_node_out_and_brings_it_in_again() -> None:
    """Whoever it is, all others' lists are without it, and whole after the heal; healing again is safe."""

    async def story(cluster: Cluster, nemesis: Nemesis, system: Changing) -> None:
        hit = set()
        for seed in range(40):
            params = family("membership").plan(Random(seed), NAMES)
            leader = await cluster.leader()
            result = await nemesis.invoke(Call("inject", seed, {"kind": "membership"} | params))
            (name,) = result["nodes"]
            hit.add((params["target"], name))
            assert name == (leader if params["target"] == "leader" else params["nodes"][0])
            others = [each for each in NAMES if each != name]
            assert result["evidence"] == {"states": {name: "dead"}, "members": others}
            healed = await nemesis.invoke(Call("heal", seed, {"kind": "membership"}))
            assert healed["evidence"] == {"states": {name: "running"}, "members": NAMES}
        assert {name for target, name in hit if target == "one"} == set(NAMES)
        assert "leader" in {target for target, _ in hit}
        fault = family("membership").make(cluster, N2)
        await fault.heal()
        await fault.inject()
        for _ in range(2):
            await fault.heal()

    on_cluster(story)


def test_a_node_that_keeps_its_list_fails_the_fault() -> None:
    """A change that one member has not heard of has not taken effect, and neither has its heal."""

    async def story(cluster: Cluster, nemesis: Nemesis, system: Changing) -> None:
        system.stubborn = {"n4"}
        with pytest.raises(FaultError, match="the members are not n1, n3, n4, n5: n4 takes n1, n2, n3, n4, n5 for"):
            await nemesis.invoke(Call("inject", 0, {"kind": "membership"} | N2))
        system.lists["n4"].discard("n2")
        with pytest.raises(FaultError, match="the members are not n1, n2, n3, n4, n5: n4 takes n1, n3, n4, n5 for"):
            await nemesis.invoke(Call("heal", 0, {"kind": "membership"}))
        system.stubborn = set()
        assert await nemesis.heal_all() == []

    on_cluster(story)


def test_a_member_that_does_not_answer_fails_the_fault() -> None:
    """Nothing is taken for granted of a node that is silent."""

    async def story(cluster: Cluster, nemesis: Nemesis, system: Changing) -> None:
        await cluster.nodes["n5"].signal(signal.SIGKILL)
        with pytest.raises(FaultError, match="n5 does not tell its members: no connection"):
            await nemesis.invoke(Call("inject", 0, {"kind": "membership"} | N2))

    on_cluster(story)


def test_members_that_are_no_nodes_are_left_alone() -> None:
    """Whom clients add is no matter of the fault: its lists are those of nodes."""

    async def story(cluster: Cluster, nemesis: Nemesis, system: Changing) -> None:
        for known in system.lists.values():
            known.add("127.1.0.1")
        told = await nemesis.invoke(Call("inject", 0, {"kind": "membership"} | N2))
        assert told["evidence"]["members"] == ["n1", "n3", "n4", "n5"]
        await nemesis.invoke(Call("heal", 0, {"kind": "membership"}))

    on_cluster(story)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"target": "minority", "nodes": ["n1", "n2"]}, "one node leaves at a time"),
        ({"target": "one", "nodes": ["n1", "n2"]}, "one node leaves at a time"),
        ({"target": "all", "nodes": ["n1"]}, "target is one or leader"),
        ({"target": "one", "nodes": ["n9"]}, "which the cluster does not have"),
    ],
)
def test_more_than_one_node_is_refused(params: dict[str, Any], said: str) -> None:
    """So that a majority of the cluster as it was always stays."""
    with pytest.raises(UsageError, match=said):
        family("membership").check(params, NAMES)


def test_a_small_cluster_is_refused() -> None:
    """Of two nodes none can leave, whether that was planned or read from a file."""
    for refuse in (
        lambda: family("membership").check(N2, NAMES[:2]),
        lambda: family("membership").plan(Random(1), NAMES[:2]),
    ):
        with pytest.raises(UsageError, match="membership needs 3 nodes, and there are 2"):
            refuse()


def test_a_system_that_cannot_change_its_members_is_refused() -> None:
    """Before anything starts, with its name; and once more should somebody ask all the same."""
    schedule = Schedule((Step(fault=0, kind="membership", start_s=1, stop_s=2, params=N2),))
    config = RunConfig(system="memory")
    check_faults(schedule, config, MemoryBackend("0"), Changing())
    with pytest.raises(UsageError, match="no membership with memory"):
        check_faults(schedule, config, MemoryBackend("0"), Memory())

    async def story(cluster: Cluster, nemesis: Nemesis, system: Memory) -> None:
        with pytest.raises(FaultError, match="cannot change its members"):
            await nemesis.invoke(Call("inject", 0, {"kind": "membership"} | N2))

    on_cluster(story, Memory)
