"""Clusters: who is the leader, who is ready, and what is cut off in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from clusters.memory import Memory, MemoryBackend
from harness.cluster import READY_POLL_S, STATUS_S, Cluster
from harness.errors import UsageError
from harness.protocols import Node, NodeStatus
from tests.virtual_time import run

NAMES = ["n1", "n2", "n3"]


class Told(Memory):
    """A system whose nodes say what a test tells them to; None hangs, an exception is raised."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__()
        self._answers = answers

    async def status(self, node: Node) -> NodeStatus:
        answer = self._answers.get(node.name)
        if answer is None:
            await asyncio.sleep(1000)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, NodeStatus)
        return answer


def knows(leader: str | None, term: int | None) -> NodeStatus:
    """A node that takes `leader` for the leader in `term`."""
    return NodeStatus(role="follower", term=term, leader=leader)


@pytest.mark.parametrize(
    ("answers", "leader"),
    [
        ({"n1": knows("n1", 2), "n2": knows("n1", 2), "n3": knows("n1", 2)}, "n1"),
        ({"n1": knows("n1", 2), "n2": knows("n2", 3), "n3": knows("n1", 2)}, "n2"),
        ({"n1": knows("n1", 3), "n2": knows("n2", 3), "n3": knows("n2", 3)}, "n2"),
        ({"n1": knows(None, 9), "n2": knows("n2", 3), "n3": ConnectionError()}, "n2"),
        ({"n2": knows("n3", None)}, "n3"),
        ({"n1": knows(None, 1), "n2": OSError(), "n3": ValueError()}, None),
        ({}, None),
    ],
)
def test_the_leader_is_whom_most_know_in_the_newest_term(answers: Mapping[str, Any], leader: str | None) -> None:
    """Nodes that do not answer, or know of none, have no say; the question takes at most STATUS_S."""

    async def story() -> None:
        cluster = await standing(Told(answers))
        start = asyncio.get_running_loop().time()
        assert await cluster.leader() == leader
        assert asyncio.get_running_loop().time() - start <= STATUS_S + 0.001

    run(story())


async def standing(system: Memory) -> Cluster:
    """A cluster of three nodes, booted."""
    cluster = Cluster(MemoryBackend("test"), system, NAMES)
    await cluster.up([])
    await cluster.boot()
    return cluster


@pytest.mark.parametrize("turns", range(5))
def test_a_question_that_is_cancelled_ends(turns: int) -> None:
    """In whichever turn after the answer a watcher is cancelled, the cancellation is not lost: a run would hang."""

    async def story() -> None:
        answer = asyncio.get_running_loop().create_future()

        class Answers(Memory):
            async def status(self, node: Node) -> NodeStatus:
                await answer
                return knows("n1", 1)

        cluster = await standing(Answers())
        question = asyncio.create_task(cluster.status("n1"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        answer.set_result(None)
        for _ in range(turns):
            await asyncio.sleep(0)
        accepted = question.cancel()
        (result,) = await asyncio.gather(question, return_exceptions=True)
        assert isinstance(result, asyncio.CancelledError) == accepted

    run(story())


def test_recover_names_who_is_late() -> None:
    """It waits until every node serves, at most so long, and names those that do not."""

    async def story() -> None:
        system = Memory()
        cluster = await standing(system)
        start = asyncio.get_running_loop().time()
        assert await cluster.recover(5) == []
        await cluster.nodes["n2"].signal(9)
        asyncio.get_running_loop().call_later(2, lambda: asyncio.ensure_future(cluster.restart("n2")))
        assert await cluster.recover(5) == []
        assert asyncio.get_running_loop().time() - start == pytest.approx(2, abs=2 * READY_POLL_S)
        await cluster.nodes["n3"].signal(9)
        assert await cluster.recover(5) == ["n3"]
        await cluster.down()
        assert not cluster.nodes

    run(story())


def test_a_facet_that_the_system_lacks() -> None:
    """The error names the facets that it has."""

    async def story() -> None:
        cluster = await standing(Memory())
        assert cluster.facet("register", "n1", {})
        with pytest.raises(UsageError, match="memory has no facet 'dance'") as caught:
            cluster.facet("dance", "n1", {})
        assert caught.value.hint.startswith("its facets: register, lock")

    run(story())
