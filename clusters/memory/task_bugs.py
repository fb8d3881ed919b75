"""Bugs of the task service in memory: each must be found by the harness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from clusters.memory.replicas import Replica
from clusters.memory.tasks import Record, TaskService
from harness.errors import Definite
from harness.facets import Claim, Task, TaskStatus

MISHAP: Final = 0.02
"""How often something goes wrong under the bugs that lose or overlook."""


class EagerTimeouts(TaskService):
    """Claims end after half of their time."""

    def grant(self, replica: Replica, record: Record, worker: str, *, claims: int) -> Claim:
        claim = super().grant(replica, record, worker, claims=claims)
        kept = self.record(replica, claim.task)
        if kept is not None:
            half_s = kept.until_s - kept.task.timeout_s / 2
            self.write(replica, msgspec.structs.replace(kept, until_s=half_s))
        return claim


class EndlessClaims(TaskService):
    """A claim never ends by itself: what a worker had claimed when it died is never done."""

    def stands(self, record: Record) -> bool:
        return record.state == "claimed"


class DoubleClaims(TaskService):
    """Now and then a task is claimed although another worker holds it."""

    def claimable(self, record: Record) -> bool:
        return super().claimable(record) or (record.state == "claimed" and self.random.random() < MISHAP)


class ReusedEpochs(TaskService):
    """A task that is claimed anew after a failure gets the epoch of the claim before."""

    def next_epoch(self, replica: Replica, record: Record) -> int:
        again = record.state == "submitted" and record.epoch > 0
        return record.epoch if again else super().next_epoch(replica, record)


class StaleCompletions(TaskService):
    """A completion is accepted from whoever once claimed the task, while anybody holds it."""

    def complete(self, replica: Replica, claim: Claim, result: Any) -> None:
        record = self.record(replica, claim.task)
        if record is None or record.state != "claimed":
            raise Definite("nobody holds the task")
        self.close(replica, msgspec.structs.replace(record, state="completed", result=result))


class SecondCompletions(TaskService):
    """A task that is completed already is completed again by a late worker."""

    def complete(self, replica: Replica, claim: Claim, result: Any) -> None:
        record = self.record(replica, claim.task)
        if record is None or record.state != "completed":
            super().complete(replica, claim, result)
        else:
            self.write(replica, msgspec.structs.replace(record, result=result))


class LostTasks(TaskService):
    """Now and then an acknowledged task is not kept."""

    def submit(self, replica: Replica, task: Task) -> None:
        if self.random.random() >= MISHAP:
            super().submit(replica, task)


class LostCompletions(TaskService):
    """Now and then an acknowledged completion is not kept, and the task is claimed again."""

    def complete(self, replica: Replica, claim: Claim, result: Any) -> None:
        if self.random.random() < MISHAP:
            self.standing(replica, claim)
        else:
            super().complete(replica, claim, result)


class OverlookedTasks(TaskService):
    """Every twentieth task is never given to those who ask for the next."""

    def submit(self, replica: Replica, task: Task) -> None:
        super().submit(replica, task)
        if self.random.random() < 0.05:
            record = self.record(replica, task.id)
            assert record is not None
            self.close(replica, record)


class EndlessRetries(TaskService):
    """Failures do not count: a task is retried as often as it fails."""

    def fail(self, replica: Replica, claim: Claim) -> None:
        super().fail(replica, claim)
        record = self.record(replica, claim.task)
        assert record is not None
        self.write(replica, msgspec.structs.replace(record, claims=0))


class AnyWorker(TaskService):
    """Nobody asks whether a worker has the capabilities."""

    def fits(self, task: Task, worker: str, capabilities: Sequence[str]) -> bool:
        return super().fits(task, worker, task.capabilities)


class ExcludedThieves(TaskService):
    """Who steals or is offered a task may be excluded from it."""

    def offer(self, replica: Replica, claim: Claim, worker: str) -> Claim:
        record = self.standing(replica, claim)
        return self.grant(replica, record, worker, claims=record.claims)

    def steal(self, replica: Replica, claim: Claim, worker: str, capabilities: Sequence[str]) -> Claim:
        return self.offer(replica, claim, worker)


class StaleSteals(TaskService):
    """A thief may name any claim that the task ever had."""

    def steal(self, replica: Replica, claim: Claim, worker: str, capabilities: Sequence[str]) -> Claim:
        record = self.record(replica, claim.task)
        epoch = claim.epoch if record is None else record.epoch
        return super().steal(replica, Claim(claim.task, claim.worker, epoch), worker, capabilities)


class NoDeadlines(TaskService):
    """Tasks are claimed after their deadline."""

    def claimable(self, record: Record) -> bool:
        return super().claimable(msgspec.structs.replace(record, last_s=float("inf")))


class FirstComeFirstServed(TaskService):
    """The oldest task comes first, whatever its priority."""

    def choose(self, fitting: Sequence[Record]) -> Record:
        return fitting[0]


class OldStatus(TaskService):
    """Followers tell where a task stood when they were last asked."""

    def status(self, replica: Replica, task: str) -> TaskStatus | None:
        now = super().status(replica, task)
        if replica.role == "leader":
            return now
        told: dict[tuple[str, str], TaskStatus | None] = self.__dict__.setdefault("_told", {})
        before = told.setdefault((replica.node.name, task), now)
        told[replica.node.name, task] = now
        return before


TASK_BUGS: Final = {
    "eager-timeouts": EagerTimeouts,
    "endless-claims": EndlessClaims,
    "double-claims": DoubleClaims,
    "reused-epochs": ReusedEpochs,
    "stale-completions": StaleCompletions,
    "second-completions": SecondCompletions,
    "lost-tasks": LostTasks,
    "lost-completions": LostCompletions,
    "overlooked-tasks": OverlookedTasks,
    "endless-retries": EndlessRetries,
    "any-worker": AnyWorker,
    "excluded-thieves": ExcludedThieves,
    "stale-steals": StaleSteals,
    "no-deadlines": NoDeadlines,
    "first-come-first-served": FirstComeFirstServed,
    "old-status": OldStatus,
}
