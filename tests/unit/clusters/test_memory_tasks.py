"""The task service in memory does what the facet says, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from memory_stage import Stage, on_stage, turns

from clusters.memory.tasks import TaskService
from harness.errors import Definite, Indefinite
from harness.facets import Claim, Task, TaskStatus


class Clock:
    """Seconds that pass when the test says so."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


Story = Callable[[Stage, Any, Clock], Awaitable[None]]


def on_tasks(story: Story) -> None:
    """Run `story` with a client of n1."""

    async def whole(stage: Stage) -> None:
        clock = Clock()
        service: TaskService = stage.system._states["tasks"]
        service.now_s = clock
        await story(stage, client(stage, "n1"), clock)

    on_stage(whole)


def client(stage: Stage, node: str) -> Any:
    return stage.system.facets["tasks"](stage.nodes[node], {})


def test_a_claim_lives_for_its_timeout_and_then_somebody_else_gets_the_task() -> None:
    """Until its last moment nobody else can claim the task; from then on its worker is refused."""

    async def story(stage: Stage, tasks: Any, clock: Clock) -> None:
        await tasks.submit(Task("t", timeout_s=2, retries_max=1))
        claim = await tasks.claim("w1", [])
        assert claim == Claim("t", "w1", 1)
        clock.now_s += 1.99
        with pytest.raises(Definite) as refused:
            await client(stage, "n2").claim("w2", [])
        assert refused.value.observed is None
        assert await tasks.status("t") == TaskStatus("claimed", 1, "w1")
        clock.now_s += 0.01
        assert await tasks.status("t") == TaskStatus("submitted", 1, "w1")
        again = await client(stage, "n2").claim("w2", [])
        assert again == Claim("t", "w2", 2)
        for late in (tasks.complete(claim, 1), tasks.fail(claim, "late"), tasks.offer(claim, "w3")):
            with pytest.raises(Definite, match="does not stand"):
                await late
        await tasks.complete(again, 7)
        assert await tasks.status("t") == TaskStatus("completed", 2, "w2", 7)
        with pytest.raises(Definite):
            await tasks.claim("w1", [], "t")

    on_tasks(story)


def test_retries_run_out() -> None:
    """After a failure it can be claimed anew, as often as it may be retried; offers and steals are no retries."""

    async def story(stage: Stage, tasks: Any, clock: Clock) -> None:
        await tasks.submit(Task("t", retries_max=1))
        claim = await tasks.offer(await tasks.claim("w1", []), "w2")
        claim = await tasks.steal(claim, "w3", [])
        assert claim == Claim("t", "w3", 3)
        await tasks.fail(claim, "no luck")
        await tasks.fail(await tasks.claim("w1", []), "again")
        assert await tasks.status("t") == TaskStatus("failed", 4, "w1")
        with pytest.raises(Definite):
            await tasks.claim("w1", [])

    on_tasks(story)


def test_the_best_fitting_task_comes_first() -> None:
    """By priority, then by age; capabilities, exclusions and deadlines decide what fits."""

    async def story(stage: Stage, tasks: Any, clock: Clock) -> None:
        await tasks.submit(Task("old"))
        await tasks.submit(Task("new"))
        await tasks.submit(Task("late", priority=9, deadline_s=1))
        await tasks.submit(Task("able", priority=3, capabilities=("gpu",)))
        await tasks.submit(Task("other", priority=2, excluded=("w1",)))
        clock.now_s += 1
        assert [(await tasks.claim("w1", [])).task for _ in range(2)] == ["old", "new"]
        assert (await tasks.claim("w1", ["gpu"])).task == "able"
        assert (await tasks.claim("w2", [])).task == "other"
        assert await tasks.status("late") == TaskStatus("failed")
        assert await tasks.status("none") is None
        with pytest.raises(Definite, match="must not have task other"):
            await tasks.offer(Claim("other", "w2", 1), "w1")
        with pytest.raises(Definite, match="there is a task old already"):
            await tasks.submit(Task("old"))

    on_tasks(story)


def test_tasks_are_on_every_node_and_survive() -> None:
    """What was submitted on one node is claimed on another, also after all were killed; a dead node refuses."""

    async def story(stage: Stage, tasks: Any, clock: Clock) -> None:
        await tasks.submit(Task("t"))
        for node in stage.nodes.values():
            await node.signal(signal.SIGKILL)
        with pytest.raises(Definite, match="the server of n1 is dead"):
            await tasks.claim("w1", [])
        for node in stage.nodes.values():
            await stage.system.start(node)
        assert await client(stage, "n4").claim("w1", []) == Claim("t", "w1", 1)

    on_tasks(story)


def test_a_minority_grants_nothing() -> None:
    """A claim on the smaller side of a partition hangs, and one whose node dies in the middle may have happened."""

    async def story(stage: Stage, tasks: Any, clock: Clock) -> None:
        await tasks.submit(Task("t"))
        await stage.split("n1 n2", "n3 n4 n5")
        pending = asyncio.ensure_future(tasks.claim("w1", []))
        await turns()
        assert not pending.done()
        assert await client(stage, "n3").claim("w2", []) == Claim("t", "w2", 1)
        await stage.split()
        with pytest.raises(Definite, match="no task to claim"):
            await pending
        late = asyncio.ensure_future(tasks.steal(Claim("t", "w2", 1), "w1", []))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # it has taken effect, and is a turn away from its reply
        await stage.nodes["n1"].signal(signal.SIGKILL)
        with pytest.raises(Indefinite):
            await late
        assert await client(stage, "n3").status("t") == TaskStatus("claimed", 2, "w1")

    on_tasks(story)
