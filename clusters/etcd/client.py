"""etcd's gRPC client, as small as it can be: pinned to one node, never resends, raw bytes in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc.aio
import msgspec

from clusters.etcd import wire
from clusters.etcd.outcomes import is_definite
from harness.errors import Definite, Indefinite

OPEN_TIMEOUT_S: Final = 0.5

CHANNEL_OPTIONS: Final = (
    # grpc resends calls "transparently" unless told not to; a request that arrives twice falsifies the history.
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    # Channels to one address share a connection by default: one client's trouble must not be another's.
    ("grpc.use_local_subchannel_pool", 1),
    # The default backs off for up to two minutes, in which a healed node would look dead.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Despite its name the time that one attempt to connect gets: enough for a busy node, or one that is resumed.
    ("grpc.min_reconnect_backoff_ms", 1000),
    # http_proxy in the environment is not for nodes.
    ("grpc.enable_http_proxy", 0),
)

Method = Callable[[bytes], Awaitable[bytes]]

# Values are compared as bytes by etcd's transactions, so one JSON value must have one encoding.
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.decode


def _value(data: bytes | None) -> Any:
    return None if data is None else _decode(data)


class EtcdClient:
    """A channel to one etcd node: what all facets share.

    Args:
        address: "ip:port" of the node's client port.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel: grpc.aio.Channel | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            ConnectionError: no connection within OPEN_TIMEOUT_S.
        """
        channel = self._channel = grpc.aio.insecure_channel(f"ipv4:{self._address}", options=CHANNEL_OPTIONS)
        self._range: Method = channel.unary_unary("/etcdserverpb.KV/Range")
        self._put: Method = channel.unary_unary("/etcdserverpb.KV/Put")
        self._delete: Method = channel.unary_unary("/etcdserverpb.KV/DeleteRange")
        self._txn: Method = channel.unary_unary("/etcdserverpb.KV/Txn")
        self._lease_grant: Method = channel.unary_unary("/etcdserverpb.Lease/LeaseGrant")
        try:
            await asyncio.wait_for(channel.channel_ready(), OPEN_TIMEOUT_S)
        except TimeoutError:
            raise ConnectionError(f"{self._address}: no connection within {OPEN_TIMEOUT_S:g} s") from None

    async def close(self) -> None:
        """Disconnect; what is under way is cancelled."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


class EtcdRegister(EtcdClient):
    """Facet "register" on one etcd node: get, put, and one transaction for a cas.

    None stands for a key that does not exist: a key that was never written reads as None, and writing None deletes it.

    Args:
        address: "ip:port" of the node's client port.
        serializable: reads are answered from the node's own state, which may be stale, instead of linearizably.
    """

    def __init__(self, address: str, *, serializable: bool = False) -> None:
        super().__init__(address)
        self._serializable = serializable

    async def read(self, key: Any) -> Any:
        """Return the value; an error is definite, since a read has no effect."""
        reply = await harmless(self._range, wire.range_request(_encode(key), serializable=self._serializable))
        return _value(wire.range_value(reply))

    async def write(self, key: Any, value: Any) -> None:
        """Set the value."""
        if value is None:
            await effect(self._delete, wire.delete_request(_encode(key)))
        else:
            await effect(self._put, wire.put_request(_encode(key), _encode(value)))

    async def cas(self, key: Any, old: Any, new: Any) -> None:
        """Set `new` where the value is `old`; where it is not, the same transaction tells what it is."""
        before = None if old is None else _encode(old)
        after = None if new is None else _encode(new)
        reply = await effect(self._txn, wire.cas_request(_encode(key), before, after))
        succeeded, seen = wire.cas_result(reply)
        if not succeeded:
            raise Definite("the value differs", observed=_value(seen))


async def harmless(method: Method, request: bytes) -> bytes:
    """Send a request that has no effect on what is tested, once; that it failed is definite."""
    try:
        return await method(request)
    except grpc.aio.AioRpcError as error:
        raise Definite(_describe(error)) from None


async def effect(method: Method, request: bytes) -> bytes:
    """Send a request that has an effect, once."""
    try:
        return await method(request)
    except grpc.aio.AioRpcError as error:
        kind = Definite if is_definite(error.code().name, error.details() or "") else Indefinite
        raise kind(_describe(error)) from None


def _describe(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name}: {error.details()}"
