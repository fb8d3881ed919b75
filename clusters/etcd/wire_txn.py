"""etcd's transactions and leases in protobuf's wire format, made of the pieces of clusters/etcd/wire.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from clusters.etcd.wire import delete_request, field, fields, message

_CREATE_REVISION: Final = 1
_MOD_REVISION: Final = 2
_VALUE: Final = 3


class KeyValue(NamedTuple):
    """One key as it is stored; `lease` is 0 where it is tied to none."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int


# --- what a transaction compares, and what it does ---------------------------------------------------------------


def absent(key: bytes) -> bytes:
    """Compare: the key does not exist."""
    # Zero is written although proto3 leaves zeros out, because it selects the member of the oneof.
    return field(2, _CREATE_REVISION) + field(3, key) + field(5, 0)


def unchanged(key: bytes, mod_revision: int) -> bytes:
    """Compare: the key was last written at this revision."""
    return field(2, _MOD_REVISION) + field(3, key) + field(6, mod_revision)


def equals(key: bytes, value: bytes) -> bytes:
    """Compare: the key exists and has this value."""
    return field(2, _VALUE) + field(3, key) + field(7, value)


def put(key: bytes, value: bytes, lease: int = 0) -> bytes:
    """RequestOp: set the key, tied to the lease."""
    tied = field(3, lease) if lease else b""
    return field(2, field(1, key) + field(2, value) + tied)


def delete(key: bytes) -> bytes:
    """RequestOp: remove the key."""
    return field(3, delete_request(key))


def get(key: bytes) -> bytes:
    """RequestOp: read the key."""
    return field(1, field(1, key))


def get_prefix(prefix: bytes) -> bytes:
    """RequestOp: read all keys with this prefix, which must not end with 0xff."""
    end = prefix[:-1] + bytes((prefix[-1] + 1,))
    return field(1, field(1, prefix) + field(2, end))


# --- requests and replies ----------------------------------------------------------------------------------------


def txn_request(compares: Sequence[bytes], then: Sequence[bytes]) -> bytes:
    """TxnRequest: where every comparison holds, do all of `then` in one step; without comparisons, always."""
    return b"".join([*(field(1, each) for each in compares), *(field(2, each) for each in then)])


def txn_result(reply: bytes) -> tuple[bool, list[list[KeyValue]]]:
    """Return from a TxnResponse whether the comparisons held, and what each read in it saw, in order."""
    succeeded, seen = False, []
    for number, value in fields(reply):
        if number == 2:
            succeeded = bool(value)
        elif number == 3:
            seen += [_pairs(message(found)) for kind, found in fields(message(value)) if kind == 1]
    return succeeded, seen


def _pairs(reply: bytes) -> list[KeyValue]:
    return [_pair(message(value)) for number, value in fields(reply) if number == 2]


def _pair(data: bytes) -> KeyValue:
    found = dict(fields(data))
    numbers = (found.get(number, 0) for number in (2, 3, 6))
    create, mod, lease = (number if isinstance(number, int) else 0 for number in numbers)
    return KeyValue(message(found.get(1, b"")), message(found.get(5, b"")), create, mod, lease)
