"""Facet "election" of etcd: its own election service, and the leases that leaders live by.

Candidates stand in a queue of keys, each tied to a lease of its own. Who stands first leads, and the term is the
revision at which that key was created. etcd's leases live for whole seconds.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, NamedTuple

import grpc.aio

from clusters.etcd import election_wire, lock_wire
from clusters.etcd.connection import Connection, Method, Stream, describe, effect, exchange, look, outcome
from harness.errors import Definite, Indefinite
from harness.facets import ElectionEvent, Leadership

_NO_LEADER: Final = "election: no leader"


class _Hold(NamedTuple):
    """What this client needs to renew a leadership, and to resign it."""

    lease: int
    key: bytes


class EtcdElection(Connection):
    """Elections by way of one node; a leadership is renewed and resigned by the client that won it."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._holds: dict[tuple[str, int], _Hold] = {}

    def _use(self, channel: grpc.aio.Channel) -> None:
        self._lease_grant: Method = channel.unary_unary("/etcdserverpb.Lease/LeaseGrant")
        self._keep_alive: Stream = channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive")
        self._campaign: Method = channel.unary_unary("/v3electionpb.Election/Campaign")
        self._resign: Method = channel.unary_unary("/v3electionpb.Election/Resign")
        self._leader: Method = channel.unary_unary("/v3electionpb.Election/Leader")
        self._observe: Callable[..., Any] = channel.unary_stream("/v3electionpb.Election/Observe")

    async def campaign(self, election: str, candidate: str, ttl_s: float) -> Leadership:
        """Get a lease and stand in the queue with it.

        A lease without a candidate is nobody's, so an error of the first step is definite. The service campaigns in
        several steps, so of its own errors only that of a connection that never was is.
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

    async def renew(self, election: str, leadership: Leadership) -> bool:
        """Keep the lease alive, by a stream of one message."""
        lease = self._hold(election, leadership).lease
        reply = await exchange(self._keep_alive, lock_wire.keep_alive_request(lease))
        return lock_wire.lease_reply(reply)[1] > 0

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

    async def _lease(self, ttl_s: float) -> int:
        reply = await look(self._lease_grant, lock_wire.grant_request(math.ceil(ttl_s)))
        return lock_wire.lease_reply(reply)[0]

    def _hold(self, election: str, leadership: Leadership) -> _Hold:
        hold = self._holds.get((election, leadership.term))
        if hold is None:
            raise Definite("this client has not won that leadership")
        return hold


def _leadership(reply: bytes) -> Leadership:
    found = election_wire.leader_reply(reply)
    return Leadership(found.candidate.decode(), found.create_revision)


def _name(election: str) -> bytes:
    return f"election {election}".encode()
