"""Facet "tasks" of the system `memory`: a task service that keeps its records in the replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import Any, Final, Literal

import msgspec

from clusters.memory.facet import MemoryFacet
from clusters.memory.replicas import Replica, Replicas
from harness.errors import Definite
from harness.facets import Claim, Task, TaskStatus

OPEN: Final = ("open tasks",)
"""The key of the ids of the tasks that are neither completed nor failed, in the order of their submission."""


class Record(msgspec.Struct, frozen=True):
    """What the service knows of a task.

    Attributes:
        task: as it was submitted.
        last_s: when it may be claimed at the latest, by the event loop's clock.
        state: claimed even after the claim has ended by itself.
        epoch, worker: of the last claim.
        claims: how often it was claimed, without offers and steals.
        until_s: when the claim ends by itself.
        result: of its completion.
    """

    task: Task
    last_s: float
    state: Literal["submitted", "claimed", "completed", "failed"] = "submitted"
    epoch: int = 0
    worker: str | None = None
    claims: int = 0
    until_s: float = inf
    result: Any = None


class TaskService:
    """The operations, each at one instant on a replica that is in a group.

    Args:
        replicas: where the records are.
        clock: of timeouts and deadlines, in seconds.
    """

    def __init__(self, replicas: Replicas, clock: Callable[[], float] | None = None) -> None:
        self.replicas = replicas
        self.random = replicas.random
        self.now_s = clock or asyncio.get_running_loop().time

    def submit(self, replica: Replica, task: Task) -> None:
        """Hand in a task."""
        if self.record(replica, task.id) is not None:
            raise Definite(f"there is a task {task.id} already")
        last_s = inf if task.deadline_s is None else self.now_s() + task.deadline_s
        self.write(replica, Record(task, last_s))
        self.replicas.write(replica, OPEN, (*self.open(replica), task.id))

    def claim(self, replica: Replica, worker: str, capabilities: Sequence[str], task: str | None) -> Claim:
        """Claim one task, or the next."""
        fitting = [
            record
            for name in (self.open(replica) if task is None else (task,))
            if (record := self.record(replica, name)) is not None
            and self.claimable(record)
            and self.fits(record.task, worker, capabilities)
        ]
        if not fitting:
            raise Definite("no task to claim", observed=None)
        chosen = self.choose(fitting)
        return self.grant(replica, chosen, worker, claims=chosen.claims + 1)

    def complete(self, replica: Replica, claim: Claim, result: Any) -> None:
        """Accept a result."""
        record = self.standing(replica, claim)
        self.close(replica, msgspec.structs.replace(record, state="completed", result=result))

    def fail(self, replica: Replica, claim: Claim) -> None:
        """Accept a failure."""
        record = self.standing(replica, claim)
        self.write(replica, msgspec.structs.replace(record, state="submitted", until_s=inf))

    def status(self, replica: Replica, task: str) -> TaskStatus | None:
        """Tell where a task stands."""
        record = self.record(replica, task)
        if record is None:
            return None
        state = record.state
        if self.claimable(record):
            state = "submitted"
        elif state == "submitted" or (state == "claimed" and not self.stands(record)):
            state = "failed"
        return TaskStatus(state, record.epoch, record.worker, record.result)

    def offer(self, replica: Replica, claim: Claim, worker: str) -> Claim:
        """Hand a claimed task over."""
        record = self.standing(replica, claim)
        if not self.fits(record.task, worker, record.task.capabilities):
            raise Definite(f"{worker} must not have task {claim.task}")
        return self.grant(replica, record, worker, claims=record.claims)

    def steal(self, replica: Replica, claim: Claim, worker: str, capabilities: Sequence[str]) -> Claim:
        """Take a claimed task away."""
        record = self.standing(replica, claim)
        if not self.fits(record.task, worker, capabilities):
            raise Definite(f"{worker} must not have task {claim.task}")
        return self.grant(replica, record, worker, claims=record.claims)

    # --- what these are made of ----------------------------------------------------------------------------------

    def record(self, replica: Replica, task: str) -> Record | None:
        """Return what is known of a task."""
        found: Record | None = self.replicas.read(replica, ("task", task))
        return found

    def open(self, replica: Replica) -> tuple[str, ...]:
        """Return the ids of the tasks that may be claimable."""
        found: tuple[str, ...] | None = self.replicas.read(replica, OPEN)
        return found or ()

    def write(self, replica: Replica, record: Record) -> None:
        """Keep a record."""
        self.replicas.write(replica, ("task", record.task.id), record)

    def close(self, replica: Replica, record: Record) -> None:
        """Keep the record of a task that is done."""
        self.write(replica, record)
        self.replicas.write(replica, OPEN, tuple(name for name in self.open(replica) if name != record.task.id))

    def stands(self, record: Record) -> bool:
        """Say whether somebody holds the task."""
        return record.state == "claimed" and self.now_s() < record.until_s

    def claimable(self, record: Record) -> bool:
        """Say whether somebody can claim the task."""
        free = record.state == "submitted" or (record.state == "claimed" and not self.stands(record))
        return free and record.claims <= record.task.retries_max and self.now_s() < record.last_s

    def fits(self, task: Task, worker: str, capabilities: Sequence[str]) -> bool:
        """Say whether a worker may have the task."""
        return set(task.capabilities) <= set(capabilities) and worker not in task.excluded

    def choose(self, fitting: Sequence[Record]) -> Record:
        """Return the one to be claimed; of one priority the oldest."""
        return max(fitting, key=lambda record: record.task.priority)

    def standing(self, replica: Replica, claim: Claim) -> Record:
        """Return the record of a claim that stands.

        Raises:
            Definite: it does not.
        """
        record = self.record(replica, claim.task)
        if record is None or not self.stands(record) or record.epoch != claim.epoch:
            raise Definite("the claim does not stand any more")
        return record

    def grant(self, replica: Replica, record: Record, worker: str, *, claims: int) -> Claim:
        """Give the task to a worker."""
        epoch, until_s = self.next_epoch(replica, record), self.now_s() + record.task.timeout_s
        self.write(
            replica,
            msgspec.structs.replace(
                record, state="claimed", epoch=epoch, worker=worker, claims=claims, until_s=until_s
            ),
        )
        return Claim(record.task.id, worker, epoch)

    def next_epoch(self, replica: Replica, record: Record) -> int:
        """Return the epoch of the next claim."""
        return record.epoch + 1


class MemoryTasks(MemoryFacet):
    """A client of the service on one node.

    Args:
        service: shared by all nodes.
        replica: the node's.
    """

    def __init__(self, service: TaskService, replica: Replica) -> None:
        super().__init__(replica)
        self._service = service

    async def submit(self, task: Task) -> None:
        await self._at_once(partial(self._service.submit, self._replica, task))

    async def claim(self, worker: str, capabilities: Sequence[str], task: str | None = None) -> Claim:
        return await self._at_once(partial(self._service.claim, self._replica, worker, capabilities, task))

    async def complete(self, claim: Claim, result: Any) -> None:
        await self._at_once(partial(self._service.complete, self._replica, claim, result))

    async def fail(self, claim: Claim, error: str) -> None:
        await self._at_once(partial(self._service.fail, self._replica, claim))

    async def status(self, task: str) -> TaskStatus | None:
        return await self._at_once(partial(self._service.status, self._replica, task))

    async def offer(self, claim: Claim, worker: str) -> Claim:
        return await self._at_once(partial(self._service.offer, self._replica, claim, worker))

    async def steal(self, claim: Claim, worker: str, capabilities: Sequence[str]) -> Claim:
        return await self._at_once(partial(self._service.steal, self._replica, claim, worker, capabilities))
