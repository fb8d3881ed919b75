"""Facet "tasks" on etcd, by transactions: a recipe, as etcd has no tasks of its own.

A task that is not done is one key, `tasks/open/<id>`, whose record changes only where nobody else has changed it since
it was read. Whoever holds it owns a second key, `tasks/claim/<id>`, which names the claim and is tied to a lease of the
task's timeout: when a claim ends is decided by etcd, and not by anybody's clock. A lease is of whole seconds, and of
more than 1.5 election timeouts at least (2 s with ours), so that claims may live longer than was asked for, never
shorter: the lease is granted after the claim was asked for. What is done moves to `tasks/done/<id>`.

Deadlines count on the clients' monotonic clock, which is one on this host.

Every call first reads, in one step, what it needs; then asks for a lease where it needs one; then makes one
transaction. What goes wrong before that has changed no task, so it is definite. A claim of the next task that comes
too late for one goes on to the next best; a transaction of unknown outcome is never followed by another.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from random import Random
from typing import Any, Final, Literal

import grpc.aio
import msgspec

from clusters.etcd import lock_wire, wire_txn
from clusters.etcd.connection import Connection, Method, effect, look
from clusters.etcd.wire_txn import KeyValue, absent, delete, equals, get, get_prefix, put, txn_request, unchanged
from harness.errors import Definite
from harness.facets import Claim, Task, TaskStatus

OPEN: Final = b"tasks/open/"
CLAIM: Final = b"tasks/claim/"
DONE: Final = b"tasks/done/"

CANDIDATES_MAX: Final = 5
"""How many tasks one claim tries for, when others are quicker."""

_encode = msgspec.json.Encoder(order="deterministic").encode
_claim = msgspec.json.Decoder(Claim).decode
_status = msgspec.json.Decoder(TaskStatus).decode


class Record(msgspec.Struct, frozen=True):
    """The value of a task's key while it is not done.

    Attributes:
        task: as it was submitted.
        last_ns: when it may be claimed at the latest.
        epoch, worker: of the last claim.
        claims: how often it was claimed, without offers and steals.
    """

    task: Task
    last_ns: int | None = None
    epoch: int = 0
    worker: str | None = None
    claims: int = 0

    def open(self) -> bool:
        """Say whether it may be claimed once nobody holds it."""
        return self.claims <= self.task.retries_max and (self.last_ns is None or time.monotonic_ns() < self.last_ns)

    def refusal(self, worker: str, capabilities: Sequence[str]) -> str:
        """Say why a worker must not have it; "" where it may."""
        if worker in self.task.excluded:
            return f"{worker} is excluded from task {self.task.id}"
        lacking = sorted(set(self.task.capabilities) - set(capabilities))
        return f"task {self.task.id} needs {', '.join(lacking)}" if lacking else ""


_record = msgspec.json.Decoder(Record).decode


class _Found(msgspec.Struct, frozen=True):
    """A task that is not done, as one read saw it; `holder` is the claim that stands."""

    record: Record
    mod_revision: int
    holder: Claim | None


class EtcdTasks(Connection):
    """The facet on one node.

    Args:
        address: "ip:port" of the node's client port.
        random: chooses between tasks of one priority, so that not everybody tries for the same one.
    """

    def __init__(self, address: str, random: Random | None = None) -> None:
        super().__init__(address)
        self._random = random or Random()  # noqa: S311 (not secrets)

    def _use(self, channel: grpc.aio.Channel) -> None:
        self._txn: Method = channel.unary_unary("/etcdserverpb.KV/Txn")
        self._lease_grant: Method = channel.unary_unary("/etcdserverpb.Lease/LeaseGrant")

    async def submit(self, task: Task) -> None:
        """Hand in a task."""
        last_ns = None if task.deadline_s is None else time.monotonic_ns() + int(task.deadline_s * 1e9)
        name = task.id.encode()
        if not await self._commit([absent(OPEN + name), absent(DONE + name)], [_open(Record(task, last_ns))]):
            raise Definite(f"there is a task {task.id} already")

    async def claim(self, worker: str, capabilities: Sequence[str], task: str | None = None) -> Claim:
        """Claim this task, or one of the greatest priority that fits."""
        fitting = [
            found
            for found in await self._find(task)
            if found.holder is None and found.record.open() and not found.record.refusal(worker, capabilities)
        ]
        if not fitting:
            raise Definite("no task to claim", observed=None)
        fitting.sort(key=lambda found: (-found.record.task.priority, self._random.random()))
        for found in fitting[:CANDIDATES_MAX]:
            if claim := await self._take(found, worker, claims=found.record.claims + 1):
                return claim
        raise Definite("others were quicker")

    async def complete(self, claim: Claim, result: Any) -> None:
        """Report the result."""
        done = TaskStatus("completed", claim.epoch, claim.worker, result)
        if not await self._commit([_stands(claim)], _done(claim.task, done)):
            raise _over(claim)

    async def fail(self, claim: Claim, error: str) -> None:
        """Report a failure."""
        found = await self._held(claim)
        if found.record.open():
            then = [_open(found.record), delete(CLAIM + claim.task.encode())]
        else:
            then = _done(claim.task, TaskStatus("failed", claim.epoch, claim.worker))
        if not await self._commit([_stands(claim)], then):
            raise _over(claim)

    async def status(self, task: str) -> TaskStatus | None:
        """Return where it stands."""
        name = task.encode()
        opened, claimed, done = await self._read([get(OPEN + name), get(CLAIM + name), get(DONE + name)])
        if done:
            return _status(done[0].value)
        if not opened:
            return None
        record = _record(opened[0].value)
        state: Literal["claimed", "submitted", "failed"]
        state = "claimed" if claimed else "submitted" if record.open() else "failed"
        return TaskStatus(state, record.epoch, record.worker)

    async def offer(self, claim: Claim, worker: str) -> Claim:
        """Hand it over; what the other worker can do is for the one who offers to know."""
        found = await self._held(claim)
        return await self._hand_over(found, claim, worker, found.record.task.capabilities)

    async def steal(self, claim: Claim, worker: str, capabilities: Sequence[str]) -> Claim:
        """Take it away."""
        return await self._hand_over(await self._held(claim), claim, worker, capabilities)

    # --- what these are made of ----------------------------------------------------------------------------------

    async def _hand_over(self, found: _Found, claim: Claim, worker: str, capabilities: Sequence[str]) -> Claim:
        refusal = found.record.refusal(worker, capabilities)
        if refusal:
            raise Definite(refusal)
        taken = await self._take(found, worker, claims=found.record.claims)
        if taken is None:
            raise _over(claim)
        return taken

    async def _find(self, task: str | None) -> list[_Found]:
        """Read one open task, or all."""
        if task is None:
            opened, claimed = await self._read([get_prefix(OPEN), get_prefix(CLAIM)])
        else:
            opened, claimed = await self._read([get(OPEN + task.encode()), get(CLAIM + task.encode())])
        holders = {pair.key.removeprefix(CLAIM): _claim(pair.value) for pair in claimed}
        return [
            _Found(_record(pair.value), pair.mod_revision, holders.get(pair.key.removeprefix(OPEN))) for pair in opened
        ]

    async def _held(self, claim: Claim) -> _Found:
        """Read a task that is held by this claim.

        Raises:
            Definite: it is not.
        """
        found = await self._find(claim.task)
        if not found or found[0].holder != claim:
            raise _over(claim)
        return found[0]

    async def _take(self, found: _Found, worker: str, *, claims: int) -> Claim | None:
        """Give a task to a worker, unless anybody has changed it since it was read."""
        record, task = found.record, found.record.task
        ttl_s = max(1, math.ceil(task.timeout_s))
        lease = lock_wire.lease_reply(await look(self._lease_grant, lock_wire.grant_request(ttl_s)))[0]
        claim = Claim(task.id, worker, record.epoch + 1)
        name = task.id.encode()
        holder = absent(CLAIM + name) if found.holder is None else _stands(found.holder)
        taken = msgspec.structs.replace(record, epoch=claim.epoch, worker=worker, claims=claims)
        then = [_open(taken), put(CLAIM + name, _encode(claim), lease)]
        return claim if await self._commit([unchanged(OPEN + name, found.mod_revision), holder], then) else None

    async def _read(self, what: Sequence[bytes]) -> list[list[KeyValue]]:
        """Read several things at one instant, linearizably."""
        _, seen = wire_txn.txn_result(await look(self._txn, txn_request([], what)))
        return seen

    async def _commit(self, compares: Sequence[bytes], then: Sequence[bytes]) -> bool:
        """Do `then` where the comparisons hold; say whether they did."""
        done, _ = wire_txn.txn_result(await effect(self._txn, txn_request(compares, then)))
        return done


def _open(record: Record) -> bytes:
    return put(OPEN + record.task.id.encode(), _encode(record))


def _done(task: str, status: TaskStatus) -> list[bytes]:
    name = task.encode()
    return [delete(OPEN + name), delete(CLAIM + name), put(DONE + name, _encode(status))]


def _stands(claim: Claim) -> bytes:
    """Compare: this claim has not ended. Its task's record cannot have changed then."""
    return equals(CLAIM + claim.task.encode(), _encode(claim))


def _over(claim: Claim) -> Definite:
    return Definite(f"the claim of task {claim.task} at epoch {claim.epoch} does not stand any more")
