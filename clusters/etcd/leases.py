"""Facet "leases" of etcd: leases and the keys that are tied to them; any node takes a renewal on to the leader."""

from __future__ import annotations

import math
from typing import Any

import grpc.aio
import msgspec

from clusters.etcd import lock_wire, wire
from clusters.etcd.connection import Connection, Method, Stream, effect, exchange, look, outcome
from harness.facets import Lease


class EtcdLeases(Connection):
    """Leases on one etcd node; they live for whole seconds, and for no less than its election timeout allows."""

    def _use(self, channel: grpc.aio.Channel) -> None:
        self._range: Method = channel.unary_unary("/etcdserverpb.KV/Range")
        self._put: Method = channel.unary_unary("/etcdserverpb.KV/Put")
        self._grant: Method = channel.unary_unary("/etcdserverpb.Lease/LeaseGrant")
        self._revoke: Method = channel.unary_unary("/etcdserverpb.Lease/LeaseRevoke")
        self._keep_alive: Stream = channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive")

    async def grant(self, ttl_s: float) -> Lease:
        return Lease(*lock_wire.lease_reply(await effect(self._grant, lock_wire.grant_request(math.ceil(ttl_s)))))

    async def keep_alive(self, lease: Any) -> bool:
        reply = await exchange(self._keep_alive, lock_wire.keep_alive_request(lease))
        return lock_wire.lease_reply(reply)[1] > 0

    async def revoke(self, lease: Any) -> bool:
        try:
            await self._revoke(lock_wire.revoke_request(lease))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return False
            raise outcome(error) from None
        return True

    async def attach(self, key: str, value: Any, lease: Any) -> None:
        request = wire.put_request(key.encode(), msgspec.json.encode(value)) + lock_wire.with_lease(lease)
        await effect(self._put, request)

    async def read(self, key: str) -> Any:
        found = wire.range_value(await look(self._range, wire.range_request(key.encode())))
        return None if found is None else msgspec.json.decode(found)
