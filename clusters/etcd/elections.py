"""Facet "election" of etcd in two varieties: its own election service, and the recipe of a lease and a transaction.

In both a leader is a key that is tied to a lease and vanishes with it, and the term is the revision at which that key
was created. etcd's leases live for whole seconds.
"""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, NamedTuple

import grpc.aio

from clusters.etcd import election_wire, lock_wire, wire
from clusters.etcd.connection import Connection, Method, Stream, describe, effect, exchange, look, outcome
from clusters.observing import change
from harness.errors import Definite, Indefinite
from harness.facets import ElectionEvent, Leadership

POLL_S: Final = 0.05
"""How often the recipe looks again, for a leader that has gone, or for an observer."""

_NO_LEADER: Final = "election: no leader"


class _Hold(NamedTuple):
    """What this client needs to renew a leadership, and to resign it."""

    lease: int
    key: bytes


class EtcdElection(Connection):
    """What both varieties share; a leadership is renewed and resigned by the client that won it."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._holds: dict[tuple[str, int], _Hold] = {}

    def _use(self, channel: grpc.aio.Channel) -> None:
        self._range: Method = channel.unary_unary("/etcdserverpb.KV/Range")
        self._txn: Method = channel.unary_unary("/etcdserverpb.KV/Txn")
        self._lease_grant: Method = channel.unary_unary("/etcdserverpb.Lease/LeaseGrant")
        self._keep_alive: Stream = channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive")
        self._campaign: Method = channel.unary_unary("/v3electionpb.Election/Campaign")
        self._resign: Method = channel.unary_unary("/v3electionpb.Election/Resign")
        self._leader: Method = channel.unary_unary("/v3electionpb.Election/Leader")
        self._observe: Callable[..., Any] = channel.unary_stream("/v3electionpb.Election/Observe")

    @abstractmethod
    async def campaign(self, election: str, candidate: str, ttl_s: float) -> Leadership:
        """Get a lease, and wait with it until `candidate` leads.

        A lease without a candidate is nobody's, so an error of the first step is definite.
        """

    @abstractmethod
    async def resign(self, election: str, leadership: Leadership) -> bool:
        """Step down."""

    @abstractmethod
    async def leader(self, election: str) -> Leadership | None:
        """Return who leads."""

    @abstractmethod
    def watch(self, election: str) -> AsyncGenerator[ElectionEvent, None]:
        """Yield who leads, now and from then on."""

    async def renew(self, election: str, leadership: Leadership) -> bool:
        """Keep the lease alive, by a stream of one message."""
        lease = self._hold(election, leadership).lease
        reply = await exchange(self._keep_alive, lock_wire.keep_alive_request(lease))
        return lock_wire.lease_reply(reply)[1] > 0

    async def _lease(self, ttl_s: float) -> int:
        reply = await look(self._lease_grant, lock_wire.grant_request(math.ceil(ttl_s)))
        return lock_wire.lease_reply(reply)[0]

    def _hold(self, election: str, leadership: Leadership) -> _Hold:
        hold = self._holds.get((election, leadership.term))
        if hold is None:
            raise Definite("this client has not won that leadership")
        return hold


class EtcdElectionService(EtcdElection):
    """The variety "native": candidates stand in a queue of keys, each with a lease; who stands first leads."""

    async def campaign(self, election: str, candidate: str, ttl_s: float) -> Leadership:
        """Stand in the queue; the service does so in several steps.

        Of its errors only that of a connection that never was is definite.
        """
        lease = await self._lease(ttl_s)
        try:
            won = await self._campaign(election_wire.campaign_request(_name(election), lease, candidate.encode()))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise outcome(error) from None
            raise Indefinite(describe(error)) from None
        key = election_wire.campaign_reply(won)
        self._holds[election, key.revision] = _Hold(lease, key.message)
        return Leadership(candidate, key.revision)

    async def resign(self, election: str, leadership: Leadership) -> bool:
        """Leave the queue; the service does not say whether the key was still there."""
        await effect(self._resign, election_wire.resign_request(self._hold(election, leadership).key))
        return True

    async def leader(self, election: str) -> Leadership | None:
        """Ask the service, which reads linearizably."""
        try:
            reply = await self._leader(election_wire.leader_request(_name(election)))
        except grpc.aio.AioRpcError as error:
            if error.details() == _NO_LEADER:
                return None
            raise Definite(describe(error)) from None
        return _leadership(reply)

    async def watch(self, election: str) -> AsyncGenerator[ElectionEvent, None]:
        """Observe; etcd tells of leaders only, and leaves out those that were gone before it looked."""
        call = self._observe(election_wire.leader_request(_name(election)))
        before: Leadership | None = None
        try:
            async for reply in call:
                now = _leadership(reply)
                yield ElectionEvent("elected" if before is None else "changed", now)
                before = now
        except grpc.aio.AioRpcError as error:
            raise Definite(describe(error)) from None
        finally:
            call.cancel()


class EtcdElectionRecipe(EtcdElection):
    """The variety "recipe": a transaction creates the leader's key if there is none; whoever waits tries again."""

    async def campaign(self, election: str, candidate: str, ttl_s: float) -> Leadership:
        """Try until the key is created; who waits for longer than its lease lives is refused."""
        lease = await self._lease(ttl_s)
        key = _name(election)
        while True:
            reply = await effect(self._txn, lock_wire.take_request(key, lease, candidate.encode()))
            taken, term, _ = lock_wire.txn_reply(reply)
            if taken:
                self._holds[election, term] = _Hold(lease, key)
                return Leadership(candidate, term)
            await asyncio.sleep(POLL_S)

    async def resign(self, election: str, leadership: Leadership) -> bool:
        """Delete the key, if it is still the one that was created."""
        key = self._hold(election, leadership).key
        reply = await effect(self._txn, lock_wire.give_back_request(key, leadership.term))
        return lock_wire.txn_reply(reply)[0]

    async def leader(self, election: str) -> Leadership | None:
        """Read the key, linearizably."""
        reply = await look(self._range, wire.range_request(_name(election)))
        return None if lock_wire.first_pair(reply) is None else _leadership(reply)

    async def watch(self, election: str) -> AsyncGenerator[ElectionEvent, None]:
        """Yield who leads now, and every change that is seen; two changes between two looks are seen as one."""
        last: Any = ()
        while True:
            now = await self.leader(election)
            if now != last:
                yield change(last, now)
                last = now
            await asyncio.sleep(POLL_S)


def _leadership(reply: bytes) -> Leadership:
    found = election_wire.leader_reply(reply)
    return Leadership(found.candidate.decode(), found.create_revision)


def _name(election: str) -> bytes:
    return f"election {election}".encode()
