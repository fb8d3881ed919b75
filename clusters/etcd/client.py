"""etcd's gRPC client, as small as it can be: pinned to one node, never resends, raw bytes in and out."""

from __future__ import annotations

from typing import Any

import grpc.aio
import msgspec

from clusters.etcd import wire
from clusters.etcd.connection import Connection, Method, effect, look
from harness.errors import Definite

# Values are compared as bytes by etcd's transactions, so one JSON value must have one encoding.
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.decode


def _value(data: bytes | None) -> Any:
    return None if data is None else _decode(data)


class EtcdRegister(Connection):
    """Facet "register" on one etcd node: get, put, and one transaction for a cas.

    None stands for a key that does not exist: a key that was never written reads as None, and writing None deletes it.

    Args:
        address: "ip:port" of the node's client port.
        serializable: reads are answered from the node's own state, which may be stale, instead of linearizably.
    """

    def __init__(self, address: str, *, serializable: bool = False) -> None:
        super().__init__(address)
        self._serializable = serializable

    def _use(self, channel: grpc.aio.Channel) -> None:
        self._range: Method = channel.unary_unary("/etcdserverpb.KV/Range")
        self._put: Method = channel.unary_unary("/etcdserverpb.KV/Put")
        self._delete: Method = channel.unary_unary("/etcdserverpb.KV/DeleteRange")
        self._txn: Method = channel.unary_unary("/etcdserverpb.KV/Txn")

    async def read(self, key: Any) -> Any:
        """Return the value; an error is definite, since a read has no effect."""
        reply = await look(self._range, wire.range_request(_encode(key), serializable=self._serializable))
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
