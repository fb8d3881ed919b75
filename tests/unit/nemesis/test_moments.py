"""Moments: which news is one, that it is seen while somebody waits, and that what does not come is told."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from clusters.memory import Memory, MemoryBackend
from harness.capabilities import NodeStatus
from harness.cluster import Cluster
from harness.errors import Definite
from harness.op import Call
from nemesis import Lookout, Nemesis
from nemesis.moments import HASTE_S, MOMENTS, is_news

FOLLOWS = NodeStatus("follower", 3, "n1")
LOST = NodeStatus("follower", 3, None)
RUNS = NodeStatus("candidate", 4, None)
LEADS = NodeStatus("leader", 4, "n2")
AGAIN = NodeStatus("leader", 6, "n2")
NAMES = ["n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("before", "now", "moments"),
    [
        (None, LEADS, set()),
        (FOLLOWS, FOLLOWS, set()),
        (FOLLOWS, LEADS, {"became leader"}),
        (RUNS, LEADS, {"became leader"}),
        (LEADS, AGAIN, {"became leader"}),
        (LEADS, LEADS, set()),
        (LEADS, FOLLOWS, {"lost leadership"}),
        (FOLLOWS, LOST, {"election"}),
        (FOLLOWS, RUNS, {"election"}),
        (LOST, RUNS, {"election"}),
        (RUNS, RUNS, set()),
        (RUNS, FOLLOWS, set()),
        (LEADS, RUNS, {"lost leadership", "election"}),
    ],
)
def test_what_is_news(before: NodeStatus | None, now: NodeStatus, moments: set[str]) -> None:
    """A moment is a change of what a node says, never a state that it was in already, or that nobody knew before."""
    assert {moment for moment in MOMENTS if moment != "log line" and is_news(moment, before, now)} == moments


def awaited(moment: str, pattern: str = "", within_s: float = 5.0, number: int = 0) -> Call:
    """Return the call that waits for a moment."""
    return Call(
        "await", number, {"kind": "pause", "moment": moment, "pattern": pattern, "lasts_s": 1, "within_s": within_s}
    )


def on_cluster(story: Callable[[Cluster, Nemesis, Lookout], Awaitable[None]]) -> None:
    """Run a story on three nodes in memory."""

    async def whole() -> None:
        cluster = Cluster(MemoryBackend("test"), Memory(), NAMES)
        await cluster.up([])
        await cluster.boot()
        lookout = Lookout(cluster.nodes, cluster.system.logs)
        try:
            await story(cluster, Nemesis(cluster, lookout), lookout)
        finally:
            await cluster.down()

    asyncio.run(whole())


def test_the_fault_hits_whom_the_moment_was_seen_on() -> None:
    """The wait tells who it was, and the fault of that number hits that node, and says why."""

    async def story(cluster: Cluster, nemesis: Nemesis, lookout: Lookout) -> None:
        lookout.tell("n3", FOLLOWS)
        wait = asyncio.create_task(nemesis.invoke(awaited("became leader")))
        await lookout.rest(60)  # it hurries as soon as somebody waits
        lookout.tell("n3", FOLLOWS)
        lookout.tell("n3", LEADS)
        said = await wait
        assert (said["node"], said["said"]["term"]) == ("n3", 4)
        value = {"kind": "pause", "target": "one", "nodes": ["moment"]}
        result = await nemesis.invoke(Call("inject", 0, value))
        assert (result["nodes"], result["moment"]["node"]) == (["n3"], "n3")
        assert await cluster.nodes["n3"].state() == "paused"
        assert await nemesis.heal_all() == []

    on_cluster(story)


def test_a_line_of_a_log_is_a_moment() -> None:
    """Only a new, whole line counts, on whichever node it comes."""

    async def story(cluster: Cluster, nemesis: Nemesis, lookout: Lookout) -> None:
        node: Any = cluster.nodes["n2"]
        node.log("elected long ago")
        wait = asyncio.create_task(nemesis.invoke(awaited("log line", r"elected \w+")))
        loop = asyncio.get_running_loop()
        until = loop.time() + 5 * HASTE_S
        while loop.time() < until:
            await asyncio.sleep(HASTE_S)
        assert not wait.done()
        node.log("nothing")
        node.log("elected now")
        said = await wait
        assert (said["node"], said["said"]["line"]) == ("n2", "elected now")

    on_cluster(story)


@pytest.mark.parametrize("call", [awaited("election", within_s=0.02), awaited("log line", "x", within_s=0.02)])
def test_what_does_not_come_certainly_did_not_happen(call: Call) -> None:
    """The wait ends in its time, and says what was waited for."""

    async def story(cluster: Cluster, nemesis: Nemesis, lookout: Lookout) -> None:
        with pytest.raises(Definite, match=f"the moment did not come within 0.02 s: {call.value['moment']}"):
            await nemesis.invoke(call)
        assert nemesis.active() == []

    on_cluster(story)


def test_the_delay_counts_from_the_moment() -> None:
    """The wait ends so long after the moment was seen."""

    async def story(cluster: Cluster, nemesis: Nemesis, lookout: Lookout) -> None:
        call = awaited("became leader")
        loop = asyncio.get_running_loop()
        wait = asyncio.create_task(nemesis.invoke(Call("await", 0, call.value | {"delay_ms": 60})))
        await lookout.rest(60)
        lookout.tell("n1", FOLLOWS)
        lookout.tell("n1", LEADS)
        seen_s = loop.time()
        await wait
        assert loop.time() - seen_s >= 0.06 - 0.001

    on_cluster(story)


def test_a_fault_that_meets_another_does_not_come() -> None:
    """Where the moment's node is held already, the later fault certainly does not happen; on another node it does."""

    async def story(cluster: Cluster, nemesis: Nemesis, lookout: Lookout) -> None:
        await nemesis.invoke(Call("inject", 7, {"kind": "kill", "target": "one", "nodes": ["n2"]}))
        for node, number in (("n2", 0), ("n3", 1)):
            wait = asyncio.create_task(nemesis.invoke(awaited("became leader", number=number)))
            await lookout.rest(60)
            lookout.tell(node, FOLLOWS)
            lookout.tell(node, LEADS)
            await wait
        value = {"kind": "pause", "target": "one", "nodes": ["moment"]}
        with pytest.raises(Definite, match=r"fault 7 \(kill\) is on and holds the servers of n2"):
            await nemesis.invoke(Call("inject", 0, value))
        assert (await nemesis.invoke(Call("inject", 1, value)))["nodes"] == ["n3"]
        assert [call.key for call in nemesis.active()] == [1, 7]
        assert await nemesis.heal_all() == []
        assert [await node.state() for node in cluster.nodes.values()] == ["running"] * 3

    on_cluster(story)


def test_two_faults_of_one_kind_meet_on_one_node_alone() -> None:
    """Inject twice: on the same node the second does not come, on another it does, and each is healed by itself."""

    async def story(cluster: Cluster, nemesis: Nemesis, lookout: Lookout) -> None:
        for number, name in enumerate(("n1", "n2")):
            await nemesis.invoke(Call("inject", number, {"kind": "pause", "target": "one", "nodes": [name]}))
        with pytest.raises(Definite, match=r"fault 0 \(pause\) is on and holds the servers of n1"):
            await nemesis.invoke(Call("inject", 2, {"kind": "pause", "target": "minority", "nodes": ["n1"]}))
        assert (await nemesis.invoke(Call("heal", 2, {"kind": "pause"})))["evidence"] == {}
        await nemesis.invoke(Call("heal", 0, {"kind": "pause"}))
        assert [await node.state() for node in cluster.nodes.values()] == ["running", "paused", "running"]
        await cluster.nodes["n2"].signal(signal.SIGKILL)  # a server that dies while it is paused
        await nemesis.invoke(Call("heal", 1, {"kind": "pause"}))
        assert await cluster.nodes["n2"].state() == "dead"

    on_cluster(story)
