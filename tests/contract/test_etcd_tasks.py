"""Tasks on a real etcd: no effect arrives twice, etcd decides when a claim ends, and constraints are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import at_most_once
import pytest
from at_most_once import Subject
from local_etcd import ask, version
from local_node import LocalNode
from proxy import Proxy

from clusters.etcd.lock_wire import grant_request
from clusters.etcd.system import CLIENT_PORT
from clusters.etcd.tasks import CLAIM, OPEN, EtcdTasks
from clusters.etcd.wire_txn import get
from harness.errors import Definite
from harness.facets import Claim, Task, TaskStatus

LONG_S = 60.0
ODD = ("odd",)
"""A capability that keeps a task from those who ask for any."""


@pytest.fixture
def node(etcd: LocalNode) -> LocalNode:
    """A real etcd."""
    return etcd


@asynccontextmanager
async def opened(node: LocalNode) -> AsyncIterator[EtcdTasks]:
    tasks = EtcdTasks(f"{node.ip}:{CLIENT_PORT}")
    await tasks.open()
    try:
        yield tasks
    finally:
        await tasks.close()


class Prepared(EtcdTasks):
    """What a change needs to know was asked for before, past the proxy: nothing but the change itself can get lost."""

    ahead: Ahead

    async def read(self, key: Any) -> Any:
        """Do something harmless through the proxy."""
        return await EtcdTasks._read(self, [])

    async def _read(self, what: Any) -> Any:
        return self.ahead.seen

    async def open(self) -> None:
        await super().open()
        self._lease_grant = self.ahead.grant


class Ahead:
    """A task that was made ready for one of the calls, what was read of it, and a lease."""

    def __init__(self, direct: EtcdTasks, key: str) -> None:
        self._direct, self._key = direct, key
        self._claim = Claim(key, "w1", 1)
        self._lease = b""
        self.seen: list[Any] = []

    async def prepare(self, call: str) -> None:
        if call != "submit":
            await self._direct.submit(Task(self._key, timeout_s=LONG_S, retries_max=9, capabilities=ODD))
        if call not in ("submit", "claim"):
            assert await self._direct.claim("w1", ODD, self._key) == self._claim
        name = self._key.encode()
        self.seen = await self._direct._read([get(OPEN + name), get(CLAIM + name)])
        self._lease = await self._direct._lease_grant(grant_request(int(LONG_S)))

    async def grant(self, request: bytes) -> bytes:
        return self._lease

    async def submit(self, tasks: Any, key: str) -> None:
        await tasks.submit(Task(key, capabilities=ODD))

    async def claim(self, tasks: Any, key: str) -> None:
        await tasks.claim("w1", ODD, key)

    async def complete(self, tasks: Any, key: str) -> None:
        await tasks.complete(self._claim, 7)

    async def fail(self, tasks: Any, key: str) -> None:
        await tasks.fail(self._claim, "no luck")

    async def offer(self, tasks: Any, key: str) -> None:
        await tasks.offer(self._claim, "w2")

    async def steal(self, tasks: Any, key: str) -> None:
        await tasks.steal(self._claim, "w2", ODD)


BEFORE = {"submit": 0, "claim": 1, "complete": 0, "fail": 2, "offer": 2, "steal": 2}
"""How often the key that the call writes had been written before it."""


@pytest.mark.parametrize("call", BEFORE)
@pytest.mark.parametrize("check", at_most_once.CHECKS, ids=lambda check: check.__name__)
def test_one_invoke_is_at_most_one_arrival(
    node: LocalNode, key: str, check: Callable[..., Awaitable[None]], call: str
) -> None:
    """Whatever is lost, a change of a task arrives at most once and never later, and its outcome is not overstated."""

    async def main() -> None:
        proxy = Proxy(node.ip, CLIENT_PORT)
        await proxy.start()
        async with opened(node) as direct:
            ahead = Ahead(direct, key)
            await ahead.prepare(call)

            def connect(address: str) -> Any:
                tasks = Prepared(address)
                tasks.ahead = ahead
                return tasks

            async def arrivals(task: str) -> int:
                prefix = b"tasks/done/" if call == "complete" else OPEN
                return max(0, await version(node, prefix + task.encode()) - BEFORE[call])

            try:
                await check(Subject(proxy, connect, arrivals), getattr(ahead, call), key)
            finally:
                await proxy.stop()

    asyncio.run(main())


def test_a_lost_lease_leaves_the_task_alone(node: LocalNode, key: str) -> None:
    """A claim whose lease was granted and never heard of is definite; there is one lease more, and nothing else."""

    async def leases() -> int:
        return len((await ask(node, "/v3/lease/leases", {})).get("leases", []))

    async def main() -> None:
        proxy = Proxy(node.ip, CLIENT_PORT)
        await proxy.start()
        async with opened(node) as direct:
            await direct.submit(Task(key, timeout_s=LONG_S, capabilities=ODD))
            tasks = EtcdTasks(proxy.address)
            await tasks.open()
            tasks._txn = direct._txn
            before = await leases()
            proxy.lose(replies=True)
            pending = asyncio.ensure_future(tasks.claim("w1", ODD, key))
            async with asyncio.timeout(10):
                while await leases() == before:
                    await asyncio.sleep(0.01)
            proxy.lose()
            await proxy.cut()
            with pytest.raises(Definite):
                await asyncio.wait_for(pending, 10)
            assert await direct.status(key) == TaskStatus("submitted")
            assert await leases() == before + 1
            await tasks.close()
            await proxy.stop()

    asyncio.run(main())


def test_a_claim_ends_with_its_lease_and_not_before(node: LocalNode, key: str) -> None:
    """While it stands nobody else claims the task; then somebody does, and the first worker comes too late."""

    async def main() -> None:
        async with opened(node) as tasks:
            loop = asyncio.get_running_loop()
            await tasks.submit(Task(key, timeout_s=1.5, retries_max=1))
            begin_s = loop.time()
            claim = await tasks.claim("w1", [], key)
            assert await tasks.status(key) == TaskStatus("claimed", 1, "w1")
            async with asyncio.timeout(20):
                while True:
                    try:
                        again = await tasks.claim("w2", [], key)
                        break
                    except Definite:
                        await asyncio.sleep(0.02)
            assert loop.time() - begin_s >= 1.5
            assert again == Claim(key, "w2", 2)
            for late in (tasks.complete(claim, 1), tasks.fail(claim, "late"), tasks.steal(claim, "w3", [])):
                with pytest.raises(Definite, match="epoch 1 does not stand any more"):
                    await late
            await tasks.complete(again, 2)
            assert await tasks.status(key) == TaskStatus("completed", 2, "w2", 2)
            with pytest.raises(Definite):
                await tasks.claim("w3", [], key)

    asyncio.run(main())


def test_claims_keep_priorities_and_constraints(node: LocalNode) -> None:
    """The greatest priority that fits comes first; who lacks a capability or is excluded gets nothing."""

    async def main() -> None:
        async with opened(node) as tasks:
            for task in (
                Task("low", capabilities=("prio",)),
                Task("high", priority=2, capabilities=("prio",)),
                Task("higher", priority=3, capabilities=("prio", "gpu")),
                Task("highest", priority=4, capabilities=("prio",), excluded=("w1",)),
                Task("late", priority=5, capabilities=("prio",), deadline_s=0.001),
            ):
                await tasks.submit(task)
            await asyncio.sleep(0.002)
            assert [(await tasks.claim("w1", ["prio"])).task for _ in range(2)] == ["high", "low"]
            with pytest.raises(Definite, match="no task to claim"):
                await tasks.claim("w1", ["prio"])
            highest = await tasks.claim("w2", ["prio"])
            assert highest.task == "highest"
            with pytest.raises(Definite, match="w1 is excluded"):
                await tasks.offer(highest, "w1")
            with pytest.raises(Definite, match="needs prio"):
                await tasks.steal(highest, "w3", ["gpu"])
            assert await tasks.steal(highest, "w3", ["prio"]) == Claim("highest", "w3", 2)
            assert await tasks.status("late") == TaskStatus("failed")
            assert await tasks.status("nothing") is None
            with pytest.raises(Definite, match="there is a task low already"):
                await tasks.submit(Task("low"))

    asyncio.run(main())


def test_a_task_fails_when_its_retries_are_used_up(node: LocalNode, key: str) -> None:
    """It is claimed once, and anew as often as it may be retried; offers do not count."""

    async def main() -> None:
        async with opened(node) as tasks:
            await tasks.submit(Task(key, retries_max=1, timeout_s=LONG_S))
            claim = await tasks.offer(await tasks.claim("w1", [], key), "w2")
            await tasks.fail(claim, "no luck")
            assert await tasks.status(key) == TaskStatus("submitted", 2, "w2")
            await tasks.fail(await tasks.claim("w1", [], key), "again")
            assert await tasks.status(key) == TaskStatus("failed", 3, "w1")
            with pytest.raises(Definite):
                await tasks.claim("w1", [], key)

    asyncio.run(main())


def test_of_many_who_claim_at_once_each_gets_another_task(node: LocalNode, key: str) -> None:
    """Twelve workers, six tasks: six claims, all different; who was too slow is told so, definitely."""

    async def main() -> None:
        async with opened(node) as tasks:
            for number in range(6):
                await tasks.submit(Task(f"{key} {number}", capabilities=("crowd",), timeout_s=LONG_S))
            asked = (tasks.claim(f"w{number}", ["crowd"]) for number in range(12))
            answers = await asyncio.gather(*asked, return_exceptions=True)
            claims = [answer for answer in answers if isinstance(answer, Claim)]
            assert len({claim.task for claim in claims}) == len(claims) >= 3
            assert all(isinstance(answer, Claim | Definite) for answer in answers)

    asyncio.run(main())
