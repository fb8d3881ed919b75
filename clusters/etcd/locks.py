"""Facet "lock" of etcd in two varieties: its own lock service, and the recipe of a lease and a transaction.

In both a lock is a key that is tied to a lease and vanishes with it, and the fencing token is the revision at which
that key was created. etcd's leases live for whole seconds, and for no less than its election timeout allows: what a
grant got is told in it.
"""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from typing import Final

import grpc.aio

from clusters.etcd import lock_wire, wire
from clusters.etcd.connection import Connection, Method, Stream, effect, exchange, look
from harness.errors import Definite, Indefinite
from harness.facets import Grant

POLL_S: Final = 0.05
"""How often a waiting acquire of the recipe looks again."""


class EtcdLock(Connection):
    """What both varieties share: leases, and a lock's key."""

    def _use(self, channel: grpc.aio.Channel) -> None:
        self._range: Method = channel.unary_unary("/etcdserverpb.KV/Range")
        self._txn: Method = channel.unary_unary("/etcdserverpb.KV/Txn")
        self._lease_grant: Method = channel.unary_unary("/etcdserverpb.Lease/LeaseGrant")
        self._keep_alive: Stream = channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive")
        self._lock: Method = channel.unary_unary("/v3lockpb.Lock/Lock")
        self._unlock: Method = channel.unary_unary("/v3lockpb.Lock/Unlock")

    @abstractmethod
    async def acquire(self, key: str, ttl_s: float) -> Grant:
        """Wait until the lock is granted."""

    @abstractmethod
    async def try_acquire(self, key: str, ttl_s: float) -> Grant:
        """Take the lock if it is free."""

    async def extend(self, grant: Grant, ttl_s: float) -> bool:
        """Keep the lease alive, by a stream of one message.

        Raises:
            Definite: `ttl_s` is longer than what the lease was granted for, which etcd cannot change.
            Indefinite: an error after which it may have been renewed.
        """
        if grant.ttl_s is not None and ttl_s > grant.ttl_s:
            raise Definite(f"etcd renews this lease for the {grant.ttl_s:g} s that it was granted for, and no longer")
        reply = await exchange(self._keep_alive, lock_wire.keep_alive_request(grant.id["lease"]))
        return lock_wire.lease_reply(reply)[1] > 0

    async def is_held(self, grant: Grant) -> bool:
        """Read the lock's key, linearizably."""
        found = lock_wire.first_pair(await look(self._range, wire.range_request(_key(grant))))
        return found is not None and found.create_revision == grant.token

    async def _lease(self, ttl_s: float) -> tuple[int, int]:
        """Return a new lease and its TTL; an error has no effect on any lock, and so is definite."""
        return lock_wire.lease_reply(await look(self._lease_grant, lock_wire.grant_request(math.ceil(ttl_s))))


class EtcdLockService(EtcdLock):
    """The variety "native": the lock service that etcd offers, where whoever waits stands in a queue."""

    async def acquire(self, key: str, ttl_s: float) -> Grant:
        """Wait in the queue, and read the token as it was at the revision of the grant.

        There may be none: old versions look only whether anybody stands before who waits, and not whether its own key
        is still there after a wait for longer than its TTL.
        """
        lease, ttl = await self._lease(ttl_s)
        reply = await effect(self._lock, lock_wire.lock_request(_name(key), lease))
        held, revision = lock_wire.lock_reply(reply)
        try:
            then = lock_wire.first_pair(await look(self._range, lock_wire.past_request(held, revision)))
        except Definite as reason:
            raise Indefinite(f"granted, but its token could not be read: {reason.error}") from None
        identity = {"lease": lease, "key": held.decode()}
        if then is None:
            return Grant(key=key, id=identity, ttl_s=ttl, ended=True)
        return Grant(key=key, id=identity, token=then.create_revision, ttl_s=ttl)

    async def try_acquire(self, key: str, ttl_s: float) -> Grant:
        """Look whether anybody stands in the queue; who loses the race after that look waits in it."""
        first = lock_wire.first_pair(await look(self._range, lock_wire.first_request(_name(key) + b"/")))
        if first is not None:
            raise Definite("another one holds it", observed={"token": first.create_revision})
        return await self.acquire(key, ttl_s)

    async def release(self, grant: Grant) -> bool:
        """Unlock; the service does not say whether the lock was still there."""
        await effect(self._unlock, lock_wire.unlock_request(_key(grant)))
        return True


class EtcdLockRecipe(EtcdLock):
    """The variety "recipe": a transaction creates the lock's key if it does not exist; whoever waits tries again."""

    async def acquire(self, key: str, ttl_s: float) -> Grant:
        lease, ttl = await self._lease(ttl_s)
        while True:
            try:
                return await self._take(key, lease, ttl)
            except Definite as refusal:
                if not isinstance(refusal.observed, dict):
                    raise
            await asyncio.sleep(POLL_S)

    async def try_acquire(self, key: str, ttl_s: float) -> Grant:
        return await self._take(key, *await self._lease(ttl_s))

    async def release(self, grant: Grant) -> bool:
        assert grant.token is not None
        reply = await effect(self._txn, lock_wire.give_back_request(_key(grant), grant.token))
        return lock_wire.txn_reply(reply)[0]

    async def _take(self, key: str, lease: int, ttl: int) -> Grant:
        reply = await effect(self._txn, lock_wire.take_request(_name(key), lease))
        taken, revision, holder = lock_wire.txn_reply(reply)
        if not taken:
            observed = None if holder is None else holder.create_revision
            raise Definite("another one holds it", observed={"token": observed})
        return Grant(key=key, id={"lease": lease, "key": _name(key).decode()}, token=revision, ttl_s=ttl)


def _name(key: str) -> bytes:
    return f"lock {key}".encode()


def _key(grant: Grant) -> bytes:
    name: str = grant.id["key"]
    return name.encode()
