"""Facets: what a system offers to workloads on one node. Whoever wrote a coordinator implements those that it has.

Each is a small protocol, opened and closed like a client and pinned to one node. Every call does one thing, once, and
may raise Definite (it certainly did not happen and never will) or Indefinite (it may have happened). Nothing goes on
behind the calls: a lease is kept alive by calls that the history shows, and by nothing else, so that a client that
freezes really falls silent. Times to live are in seconds, of the clock that the service uses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec


class Facet(Protocol):
    """What all facets share."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


class Register(Facet, Protocol):
    """Facet "register": one JSON value a key. A key that was never written reads as None."""

    async def read(self, key: Any) -> Any:
        """Return the value."""

    async def write(self, key: Any, value: Any) -> None:
        """Set the value."""

    async def cas(self, key: Any, old: Any, new: Any) -> None:
        """Set `new` where the value is `old`, in one step.

        Raises:
            Definite: the value was not `old`; `observed` holds the value that this same step saw, where the
                system tells it.
        """


class Grant(msgspec.Struct, frozen=True, omit_defaults=True):
    """A lock that was granted.

    Attributes:
        key: the lock's name.
        id: what the service knows this grant by (any JSON); no two grants share it.
        token: fencing token, a number that grows with each grant of the key; None where the system has none.
        ttl_s: the time to live that the service gave; None: the one that was asked for.
        ended: by the service's own account the grant had ended when it was made, and it was made all the same.
    """

    key: str
    id: Any
    token: int | None = None
    ttl_s: float | None = None
    ended: bool = False


class Lock(Facet, Protocol):
    """Facet "lock": locks that end by themselves when their time to live is over."""

    async def acquire(self, key: str, ttl_s: float) -> Grant:
        """Wait until the lock is granted."""

    async def try_acquire(self, key: str, ttl_s: float) -> Grant:
        """Take the lock if it is free.

        Raises:
            Definite: another one holds it; `observed` is {"token": …} of its grant, where the system tells it.
        """

    async def extend(self, grant: Grant, ttl_s: float) -> bool:
        """Let it live for `ttl_s` from now; False: the service says that the grant has ended."""

    async def release(self, grant: Grant) -> bool:
        """Give it back; False: the service says that the grant had ended already."""

    async def is_held(self, grant: Grant) -> bool:
        """Ask whether the grant still stands."""


class Leadership(msgspec.Struct, frozen=True):
    """Who leads, and since which election.

    Attributes:
        id: of the candidate.
        term: a number that grows with every new leader of the election (etcd: a revision; ZooKeeper: a sequence).
    """

    id: str
    term: int


class ElectionEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an observer of an election was told; `leadership` is None where nobody leads."""

    kind: Literal["elected", "resigned", "changed"]
    leadership: Leadership | None = None


class Election(Facet, Protocol):
    """Facet "election": candidates campaign, one leads, observers are told."""

    async def campaign(self, election: str, candidate: str, ttl_s: float) -> Leadership:
        """Wait until `candidate` leads, in a term greater than any before; it leads while it renews within `ttl_s`."""

    async def renew(self, election: str, leadership: Leadership) -> bool:
        """Keep the leadership alive; False: the service says that it has ended."""

    async def resign(self, election: str, leadership: Leadership) -> bool:
        """Step down; False: the service says that the leadership had ended already."""

    async def leader(self, election: str) -> Leadership | None:
        """Return who leads now; linearizable."""

    def watch(self, election: str) -> AsyncIterator[ElectionEvent]:
        """Yield who leads now, and changes from then on, in their order; one that was brief may be left out."""


class Lease(msgspec.Struct, frozen=True):
    """A lease that was granted.

    Attributes:
        id: what the service knows it by (any JSON).
        ttl_s: the time to live that it got.
    """

    id: Any
    ttl_s: float


class Leases(Facet, Protocol):
    """Facet "leases": keys that vanish with the lease that they are tied to; any node can keep a lease alive."""

    async def grant(self, ttl_s: float) -> Lease:
        """Return a new lease, which lives for `ttl_s` or, where the service cannot do that, somewhat longer."""

    async def keep_alive(self, lease: Any) -> bool:
        """Let the lease of this id live for its whole time again; False: the service says that it has ended."""

    async def revoke(self, lease: Any) -> bool:
        """End it, and remove its keys; False: the service says that it had ended already."""

    async def attach(self, key: str, value: Any, lease: Any) -> None:
        """Set a key that vanishes with the lease.

        Raises:
            Definite: the lease has ended.
        """

    async def read(self, key: str) -> Any:
        """Return the value, None where the key is not there; linearizable."""


FROM_NOW: Final = "now"
"""What a watch observed that failed because the service keeps no changes: it only has watches from now."""


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change of a key. No two changes share key and revision.

    Attributes:
        key: that changed.
        revision: of the change.
        value: that it got; None where it was deleted, UNSET where the service tells that it was set, and not to what.
    """

    key: str
    revision: int
    value: Any = None


class Watch(Facet, Protocol):
    """Facet "watch": changes by prefix, in the order of their revisions, from any that is still kept."""

    async def put(self, key: str, value: Any) -> int:
        """Set the value; return the revision of this change."""

    async def delete(self, key: str) -> int | None:
        """Remove the key; return the revision of this change, None where it was not there."""

    async def revision(self) -> int:
        """Return the newest revision."""

    async def compact(self, revision: int) -> None:
        """Forget the changes before `revision`.

        Raises:
            Definite: they are forgotten already, or there is no such revision yet.
        """

    def watch(self, prefix: str, start: int | None = None) -> AsyncIterator[Change]:
        """Yield every change of the keys with this prefix, from revision `start` on; None: from now.

        Raises:
            Definite: the changes that are due are kept no more (`observed` is the first revision that can be asked
                for, or FROM_NOW where none ever are), or the connection broke.
        """

    async def cancel(self) -> Sequence[Change]:
        """End the watch that was begun last; return what the service sent for it after it had said that it was ended.

        Whoever stops to iterate has not ended the watch yet.
        """


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something to be done once.

    Attributes:
        id: unique.
        type: of work.
        priority: the greater is claimed first.
        payload: any JSON.
        deadline_s: how long after its submission it may be claimed at the latest, also anew; None: always.
        capabilities: that a worker must have, all of them.
        preferred, excluded: ids of workers; the excluded ones must not get it.
        affinity: tasks of one affinity go to one worker where that is possible.
        retries_max: how often it may be claimed anew after a failure or a timeout.
        timeout_s: how long a claim lives, whatever becomes of the worker's client; then it can be claimed anew.
    """

    id: str
    type: str = ""
    priority: int = 0
    payload: Any = None
    deadline_s: float | None = None
    capabilities: Sequence[str] = ()
    preferred: Sequence[str] = ()
    excluded: Sequence[str] = ()
    affinity: str | None = None
    retries_max: int = 0
    timeout_s: float = 1.0


class Claim(msgspec.Struct, frozen=True):
    """A task in a worker's hands; `epoch` grows with each claim of the task, and is its fencing token."""

    task: str
    worker: str
    epoch: int


class TaskStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a task stands, at the epoch of its last claim (0: never claimed).

    One that can be claimed is submitted; one that nobody can claim any more, for its retries are used up or its
    deadline has passed, is failed.
    """

    state: Literal["submitted", "claimed", "completed", "failed"]
    epoch: int = 0
    worker: str | None = None
    result: Any = None


class Tasks(Facet, Protocol):
    """Facet "tasks": submitted once, claimed by one worker at a time, completed once."""

    async def submit(self, task: Task) -> None:
        """Hand in a task.

        Raises:
            Definite: there is one of this id already.
        """

    async def claim(self, worker: str, capabilities: Sequence[str], task: str | None = None) -> Claim:
        """Claim this task, or the next that fits the worker: one of the greatest priority that there is.

        Raises:
            Definite: there is none to claim; `observed` is None where the service has looked and seen none.
        """

    async def complete(self, claim: Claim, result: Any) -> None:
        """Report the result.

        Raises:
            Definite: the claim does not stand any more.
        """

    async def fail(self, claim: Claim, error: str) -> None:
        """Report a failure: the task may be claimed anew while it has retries left.

        Raises:
            Definite: the claim does not stand any more.
        """

    async def status(self, task: str) -> TaskStatus | None:
        """Return where it stands, linearizable; None: there is no such task."""

    async def offer(self, claim: Claim, worker: str) -> Claim:
        """Hand a claimed task over to an idle worker; return that worker's claim.

        Raises:
            Definite: the claim does not stand any more, or the worker must not have the task.
        """

    async def steal(self, claim: Claim, worker: str, capabilities: Sequence[str]) -> Claim:
        """Take a task away from the worker that holds `claim`; return the thief's claim, at a greater epoch.

        Raises:
            Definite: that claim does not stand any more, or the thief must not have the task.
        """


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """One member of a cluster.

    Attributes:
        id: what the cluster knows it by (any JSON); whoever leaves and joins again gets another one.
        name: the node's; its IP where the cluster does not know the name, for it has not started yet.
        healthy: whether it answers, as far as the node knows that was asked; None: that is not told.
        last_seen_s: how long ago it was heard of, in seconds.
        load: any number that grows with its work.
    """

    id: Any
    name: str
    healthy: bool | None = None
    last_seen_s: float | None = None
    load: float | None = None


class Membership(Facet, Protocol):
    """Facet "membership": who belongs to the cluster."""

    async def members(self) -> Sequence[Member]:
        """Return the members; linearizable."""

    async def health(self) -> Sequence[Member]:
        """Return the members as this node itself has them, which may be of the past, and what it knows of their health.

        It asks nobody, and goes back to no older members while its server lives.
        """

    async def leader(self) -> str | None:
        """Return the name of the member that this node takes for the leader."""

    async def join(self, name: str, address: str, voting: bool = True) -> Member:
        """Add a node to the members; its server is started by whoever calls this.

        Args:
            address: its IP; a member is told its own name only when it starts.
            voting: it counts for the quorum; one that does not only listens.

        Raises:
            Definite: it is a member already, or the cluster is not fit to be changed now.
        """

    async def leave(self, name: str) -> Any:
        """Remove a node from the members; return the id that it had.

        Raises:
            Definite: it is none, or the cluster is not fit to be changed now.
        """


__all__ = [
    "FROM_NOW", "Change", "Claim", "Election", "ElectionEvent", "Facet", "Grant", "Leadership", "Lease", "Leases",
    "Lock", "Member", "Membership", "Register", "Task", "TaskStatus", "Tasks", "Watch",
]  # fmt: skip
