"""The task-claim workload: what it asks of workers, what its client notes, and how it ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any

import pytest

from harness.errors import ContractError, Definite, UsageError
from harness.facets import Claim, Task, TaskStatus
from harness.generator import Context, Wait
from harness.op import Call
from workloads.task_claim import SKILLS, Board, TaskClaimWorkload, TaskClient, Work


class Recorded:
    """A task service that notes what is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            self.calls.append((name, *arguments))
            if name == "claim":
                return Claim("t1", arguments[0], 3)
            if name in ("offer", "steal"):
                return Claim("t1", arguments[1], 4)
            if name == "fail":
                raise Definite("the claim does not stand")
            return TaskStatus("completed", 3, "w1", 7) if name == "status" else None

        return call


def test_the_client_does_each_call_once() -> None:
    """Each operation is one call of the facet, and its value tells what was granted or seen."""
    facet, board = Recorded(), Board()
    client = TaskClient(facet, board)  # type: ignore[arg-type]
    claim = Claim("t1", "w1", 3)
    of = {"worker": "w1", "epoch": 3}

    async def story() -> None:
        assert await client.invoke(Call("submit", "t1", {"id": "t1", "priority": 2})) == {"id": "t1", "priority": 2}
        assert board.acknowledged == list(board.left) == ["t1"]
        granted = {"task": "t1", "worker": "w1", "epoch": 3}
        assert await client.invoke(Call("claim", None, {"worker": "w1", "capabilities": ["cpu"]})) == granted
        assert board.held["w1"] == [claim]
        assert (await client.invoke(Call("offer", "t1", of | {"to": "w2"})))["epoch"] == 4
        assert (await client.invoke(Call("steal", "t1", of | {"to": "w3", "capabilities": []})))["worker"] == "w3"
        with pytest.raises(Definite):
            await client.invoke(Call("fail", "t1", of | {"error": "no"}))
        assert await client.invoke(Call("complete", "t1", of | {"result": 7})) == of | {"result": 7}
        assert not board.left
        status = await client.invoke(Call("status", "t1"))
        assert status == {"state": "completed", "epoch": 3, "worker": "w1", "result": 7}
        with pytest.raises(ContractError, match="no operation 'drop'"):
            await client.invoke(Call("drop", "t1", of))

    asyncio.run(story())
    assert facet.calls == [
        ("submit", Task("t1", priority=2)), ("claim", "w1", ["cpu"], None), ("offer", claim, "w2"),
        ("steal", claim, "w3", []), ("fail", claim, "no"), ("complete", claim, 7), ("status", "t1"),
    ]  # fmt: skip


def test_a_worker_reports_on_what_it_holds_and_first_waits() -> None:
    """A worker that holds a claim makes no call but the one that ends it; a frozen one is silent for long."""
    board = Board()
    source = Work(board, 1.0).start(Random(1))
    context = Context(0, 0, 4, 4)
    reports, longest_ns = Counter[str](), 0
    for number in range(400):
        board.granted(Claim(f"t{number}", "w0", number + 1))
        found = source.next(context)
        while isinstance(found, Wait):
            longest_ns = max(longest_ns, found.until_ns - context.time_ns)
            context.time_ns = found.until_ns
            found = source.next(context)
        assert found is not None
        if found.f in ("complete", "fail", "offer"):
            assert (found.key, found.value["epoch"]) == (f"t{number}", number + 1)
            reports[found.f] += 1
        assert not board.held["w0"]
    assert longest_ns > 2e9
    assert set(reports) == {"complete", "fail", "offer"}
    assert 0.85 * 400 < reports.total() < 400  # the others died


def test_tasks_make_demands() -> None:
    """Priorities, deadlines, capabilities, exclusions and retries all occur; some worker can do everything."""
    board = Board()
    source = Work(board, 2.0).start(Random(1))
    made = []
    while len(made) < 300:
        call = source.next(Context(len(made) % 4, len(made) % 4, 4, 4))
        if isinstance(call, Call) and call.f == "submit":
            made.append(call.value)
    assert len({task["id"] for task in made}) == 300
    assert {task.get("priority", 0) for task in made} == {0, 1, 2, 3} == {task.get("retries_max", 0) for task in made}
    for name in ("deadline_s", "capabilities", "excluded", "preferred", "affinity"):
        assert 20 < sum(name in task for task in made) < 280, name
    assert {task["timeout_s"] for task in made} == {2.0}
    assert all(set(task.get("capabilities", ())) <= set(SKILLS[0]) for task in made)


@pytest.mark.parametrize("value", ["soon", 0, "-1", None, "inf"])
def test_a_timeout_must_be_a_time(value: Any) -> None:
    """Another timeout than a positive number of seconds is refused."""
    with pytest.raises(UsageError, match="is no time that a claim could live"):
        TaskClaimWorkload({"timeout": value})
