"""The nemesis on nodes in memory: what every family does, measures, and makes of failures."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import pytest

from clusters.memory import Memory, MemoryBackend
from clusters.noop import Noop
from harness.cluster import Cluster
from harness.errors import FaultError, InternalError, UsageError
from harness.op import Call
from nemesis import FAMILIES, Nemesis, family, measure
from nemesis.grudge import SHAPES, grudge

FITTING = [name for name, each in FAMILIES.items() if name not in MemoryBackend.lacks and each.fits(Memory())]
NAMES = ["n1", "n2", "n3", "n4", "n5"]
PAUSE_N2 = {"kind": "pause", "target": "one", "nodes": ["n2"]}
KILL_N2 = {"kind": "kill", "target": "one", "nodes": ["n2"]}


def on_cluster(story: Callable[[Cluster, Nemesis], Awaitable[None]], system: type[Memory | Noop] = Memory) -> None:
    """Run `story` on a cluster of five nodes in memory."""

    async def run() -> None:
        cluster = Cluster(MemoryBackend("test"), system(), NAMES)
        await cluster.up([])
        await cluster.boot()
        await story(cluster, Nemesis(cluster))
        await cluster.down()

    asyncio.run(run())


def inject(value: dict[str, Any], number: int = 0) -> Call:
    """Return the call that injects a fault."""
    return Call("inject", number, value)


def heal(kind: str, number: int = 0) -> Call:
    """Return the call that heals it."""
    return Call("heal", number, {"kind": kind})


async def states(cluster: Cluster) -> list[str]:
    """Return the state of each node's server."""
    return [await node.state() for node in cluster.nodes.values()]


async def whole(cluster: Cluster) -> bool:
    """Say whether no fault is on."""
    rules = [await node.blocked() for node in cluster.nodes.values()]
    return not any(rules) and set(await states(cluster)) == {"running"}


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the nemesis look again at once."""
    monkeypatch.setattr(measure, "PAUSE_S", 0)


@pytest.mark.parametrize("name", FITTING)
def test_every_plan_can_be_injected_and_healed(name: str) -> None:
    """Whatever a family plans takes effect, says what it resolved and measured, and leaves nothing after its heal."""

    async def story(cluster: Cluster, nemesis: Nemesis) -> None:
        for seed in range(60):
            params = family(name).plan(Random(seed), NAMES)
            leader = await cluster.leader()
            result = await nemesis.invoke(inject({"kind": name} | params, seed))
            assert not await whole(cluster)
            assert result["evidence"]
            assert {"kind": name} | params == {key: result[key] for key in ["kind", *params]} | (
                {"nodes": params["nodes"]} if "leader" in params.get("target", "") else {}
            )
            assert "leader" not in result.get("nodes", [])
            if params.get("target") == "all-but-leader":
                assert result["nodes"] == [node for node in NAMES if node != leader]
            healed = await nemesis.invoke(heal(name, seed))
            assert healed["evidence"]
            assert await whole(cluster)
        assert await nemesis.heal_all() == []

    on_cluster(story)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", ["quick", "natural"])
def test_partition_sets_the_shapes_rules(shape: str, way: str) -> None:
    """Every node's rules are the shape's, aimed at the leader of that moment, and the evidence counts every link."""

    async def story(cluster: Cluster, nemesis: Nemesis) -> None:
        leader = await cluster.leader()
        result = await nemesis.invoke(inject({"kind": "partition", "shape": shape, "order": NAMES, "heal": way}))
        expected = grudge(shape, NAMES, leader)  # type: ignore[arg-type]
        for name, node in cluster.nodes.items():
            assert await node.blocked() == {cluster.nodes[source].ip for source in expected[name]}
        dropped = sum(map(len, expected.values()))
        assert result["evidence"] == {"heard": 20 - dropped, "dropped": dropped, "looks": 1}
        assert result["unheard"] == {name: sorted(cut) for name, cut in expected.items() if cut}
        assert result.get("leader") == (leader if shape == "isolate-leader" else None)
        assert "evidence" in await nemesis.invoke(heal("partition"))
        assert await whole(cluster)

    on_cluster(story)


def test_an_unknown_leader_is_replaced_and_it_is_said() -> None:
    """On a system that tells no leader, the stand-in is hit, and the record says so."""

    async def story(cluster: Cluster, nemesis: Nemesis) -> None:
        result = await nemesis.invoke(
            inject({"kind": "kill", "target": "leader", "nodes": ["leader"], "otherwise": "n3"})
        )
        assert result["nodes"] == ["n3"]
        assert result["note"] == "leader unknown, hit n3"
        await nemesis.invoke(heal("kill"))
        cut = {"kind": "partition", "shape": "isolate-leader", "order": ["n4", "n1", "n2", "n3", "n5"]}
        result = await nemesis.invoke(inject(cut, 1))
        assert result["note"] == "leader unknown, hit n4"
        assert result["unheard"]["n4"] == ["n1", "n2", "n3", "n5"]

    on_cluster(story, Noop)


def test_a_leader_is_looked_up_when_it_is_hit() -> None:
    """Each of two kills of the leader hits whoever leads then."""

    async def story(cluster: Cluster, nemesis: Nemesis) -> None:
        value = {"kind": "kill", "target": "leader", "nodes": ["leader"], "otherwise": "n1"}
        for number in range(2):
            leader = await cluster.leader()
            assert (await nemesis.invoke(inject(value, number)))["nodes"] == [leader]
            assert await cluster.leader() not in (leader, None)

    on_cluster(story)


def test_healing_twice_or_without_a_fault_is_harmless() -> None:
    """A heal of what is not on does nothing and raises nothing."""

    async def story(cluster: Cluster, nemesis: Nemesis) -> None:
        await nemesis.invoke(heal("pause", 7))
        for name in FITTING:
            fault = family(name).make(cluster, family(name).plan(Random(1), NAMES))
            await fault.heal()
            await fault.inject()
            await fault.verify()
            for _ in range(2):
                await fault.heal()
                assert await whole(cluster)

    on_cluster(story)


@pytest.mark.usefixtures("hasty")
def test_rules_that_do_not_take_effect_are_an_error() -> None:
    """Links that stay open, or that are silent without having dropped anything, fail the fault; its heal mends it."""

    async def story(cluster: Cluster, nemesis: Nemesis) -> None:
        async def ignore(sources: Sequence[str]) -> None: ...

        async def send_nothing(targets: Sequence[str]) -> None: ...

        node: Any = cluster.nodes["n1"]
        cut = {"kind": "partition", "shape": "one", "order": NAMES}
        node.block = ignore
        with pytest.raises(FaultError, match=r"did not take effect: n1 still hears n2, n3, n4, n5"):
            await nemesis.invoke(inject(cut))
        del node.block
        await nemesis.invoke(heal("partition"))
        assert await whole(cluster)
        node.probe_send = send_nothing
        with pytest.raises(FaultError, match=r"n2 hears nothing, but has dropped nothing either, of n1"):
            await nemesis.invoke(inject(cut, 1))
        with pytest.raises(FaultError, match=r"not healed: n2 does not hear n1; n3 does not hear n1"):
            await nemesis.invoke(heal("partition", 1))
        del node.probe_send
        assert await nemesis.heal_all() == []
        assert await whole(cluster)

    on_cluster(story)


@pytest.mark.usefixtures("hasty")
def test_a_rule_too_many_is_an_error() -> None:
    """A partition that cuts a link that should be open has not taken effect as planned."""

    async def story(cluster: Cluster, nemesis: Nemesis) -> None:
        node: Any = cluster.nodes["n5"]
        plain = node.block

        async def block_more(sources: Sequence[str]) -> None:
            await plain([*sources, cluster.nodes["n4"].ip])

        node.block = block_more
        with pytest.raises(FaultError, match=r"n5 does not hear n4; n5 drops packets of n4"):
            await nemesis.invoke(inject({"kind": "partition", "shape": "one", "order": NAMES}))

    on_cluster(story)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("value", "state"), [(PAUSE_N2, "paused"), (KILL_N2, "dead")])
def test_a_signal_that_does_not_take_effect_is_an_error(value: dict[str, Any], state: str) -> None:
    """A server that goes on running has been neither paused nor killed."""

    async def story(cluster: Cluster, nemesis: Nemesis) -> None:
        async def ignore(number: int) -> None: ...

        node: Any = cluster.nodes["n2"]
        node.signal = ignore
        with pytest.raises(FaultError, match=f"not {state}: the server of n2 is running"):
            await nemesis.invoke(inject(value))
        assert await nemesis.heal_all() == []

    on_cluster(story)


@pytest.mark.parametrize("value", [PAUSE_N2, KILL_N2])
def test_a_server_that_crashed_cannot_be_hit(value: dict[str, Any]) -> None:
    """A fault on a server that died by itself is an error that says so; the heal of a kill starts it again."""

    async def story(cluster: Cluster, nemesis: Nemesis) -> None:
        await cluster.nodes["n2"].signal(signal.SIGKILL)
        with pytest.raises(FaultError, match="the server of n2 is dead before the fault"):
            await nemesis.invoke(inject(value))
        await nemesis.invoke(heal(value["kind"]))
        assert await cluster.nodes["n2"].state() == ("running" if value is KILL_N2 else "dead")

    on_cluster(story)


def test_a_half_failed_inject_is_healed_whole() -> None:
    """Where one node's agent fails in the middle, the others are healed, and the failure is reported."""

    async def story(cluster: Cluster, nemesis: Nemesis) -> None:
        async def fail(*args: object) -> None:
            raise ConnectionError("agent of n2 is gone")

        node: Any = cluster.nodes["n2"]
        node.block = node.signal = fail
        with pytest.raises(FaultError, match="agent of n2 is gone"):
            await nemesis.invoke(inject({"kind": "partition", "shape": "halves", "order": NAMES}))
        assert any([await each.blocked() for each in cluster.nodes.values()])
        with pytest.raises(FaultError, match="agent of n2 is gone"):
            await nemesis.invoke(inject({"kind": "pause", "target": "minority", "nodes": ["n1", "n2"]}, 1))
        assert (await states(cluster))[:2] == ["paused", "running"]
        errors = await nemesis.heal_all()
        assert [str(error).split(":")[0] for error in errors] == ["SIGCONT", "heal of the partition"]
        assert await whole(cluster)
        del node.block, node.signal
        assert await nemesis.heal_all() == []

    on_cluster(story)


def test_misuse_is_told_apart() -> None:
    """An unknown family, foreign nodes and wrong parameters are the user's; a fault that is on twice is ours."""

    async def story(cluster: Cluster, nemesis: Nemesis) -> None:
        with pytest.raises(UsageError, match="there is no nemesis 'fire'") as caught:
            await nemesis.invoke(inject({"kind": "fire"}))
        assert caught.value.hint == f"choose from {', '.join(FAMILIES)}"
        with pytest.raises(UsageError, match="a kill of n9, which the cluster does not have"):
            await nemesis.invoke(inject({"kind": "kill", "target": "one", "nodes": ["n9"]}))
        with pytest.raises(UsageError, match="parameters of a pause"):
            await nemesis.invoke(inject({"kind": "pause"}))
        await nemesis.invoke(inject(PAUSE_N2))
        with pytest.raises(InternalError, match="fault 0 is on already"):
            await nemesis.invoke(inject(PAUSE_N2))
        with pytest.raises(InternalError, match="asked for 'read'"):
            await nemesis.invoke(Call("read"))

    on_cluster(story)


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"kind": "power", "target": "one", "nodes": ["n2"]}, "nodes in memory have no disk"),
    ({"kind": "disk", "target": "one", "nodes": ["n2"], "trouble": "full"}, "nodes in memory have no disk"),
    (
        {"kind": "clock", "target": "one", "nodes": ["n2"], "shape": "offset", "offset_ms": 5},
        "n2: nodes in memory have no clock of their own",
    ),
    ({"kind": "packets", "shape": "all", "order": NAMES, "loss": 0.5}, "nodes in memory call each other"),
    ({"kind": "access", "target": "one", "nodes": ["n2"], "cut": True}, "clients have no links to these nodes"),
    (
        {"kind": "process", "target": "one", "nodes": ["n2"], "action": "slow", "period_s": 0.1, "share": 0.5},
        "have no processes of their own",
    ),
]


@pytest.mark.parametrize(("value", "said"), UNFIT, ids=lambda value: value["kind"] if isinstance(value, dict) else "")
def test_nodes_in_memory_say_what_they_cannot_have(value: dict[str, Any], said: str) -> None:
    """Where a schedule asks for it all the same, the error says why that cannot be; nothing needs a heal."""

    async def story(cluster: Cluster, nemesis: Nemesis) -> None:
        with pytest.raises(FaultError, match=said):
            await nemesis.invoke(inject(value))

    on_cluster(story)
    assert value["kind"] in MemoryBackend.lacks


def test_families_are_listed_for_people() -> None:
    """Each family has a summary of one line that fits a terminal, and its key is its name."""
    assert all(name == each.name and 0 < len(each.summary) <= 100 for name, each in FAMILIES.items())
