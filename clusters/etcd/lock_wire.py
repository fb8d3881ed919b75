"""The messages of etcd's leases, of its lock service, and of a lock by transactions; see wire.py."""

from __future__ import annotations

from typing import NamedTuple

from clusters.etcd.wire import WireError, field, fields, last_bytes, last_integer, message

_COMPARE_CREATE_REVISION = 1
_ASCENDING = 1
_BY_CREATE_REVISION = 2


class Pair(NamedTuple):
    """A key that exists, and since which revision."""

    key: bytes
    create_revision: int


# --- requests ----------------------------------------------------------------------------------------------------


def grant_request(ttl_s: int) -> bytes:
    """LeaseGrantRequest: a new lease."""
    return field(1, ttl_s)


def keep_alive_request(lease: int) -> bytes:
    """LeaseKeepAliveRequest: let it live for its whole time again."""
    return field(1, lease)


def revoke_request(lease: int) -> bytes:
    """LeaseRevokeRequest: end it, and remove its keys."""
    return field(1, lease)


def with_lease(lease: int) -> bytes:
    """Return what a PutRequest has more where the key is tied to a lease."""
    return field(3, lease)


def lock_request(name: bytes, lease: int) -> bytes:
    """LockRequest of the lock service: wait for the lock."""
    return field(1, name) + field(2, lease)


def unlock_request(key: bytes) -> bytes:
    """UnlockRequest of the lock service: remove the key that stands for the hold."""
    return field(1, key)


def first_request(prefix: bytes) -> bytes:
    """RangeRequest: of all keys below a prefix, which does not end in 0xff, the one that was created first."""
    end = prefix[:-1] + bytes((prefix[-1] + 1,))
    return field(1, prefix) + field(2, end) + field(3, 1) + field(5, _ASCENDING) + field(6, _BY_CREATE_REVISION)


def past_request(key: bytes, revision: int) -> bytes:
    """RangeRequest of one key as it was at a revision."""
    return field(1, key) + field(4, revision)


def take_request(key: bytes, lease: int, value: bytes = b"") -> bytes:
    """TxnRequest: if the key does not exist then create it with the lease, else get it."""
    put = field(1, key) + field(2, value) + field(3, lease)
    return field(1, _created(key, 0)) + field(2, field(2, put)) + field(3, field(1, field(1, key)))


def give_back_request(key: bytes, create_revision: int) -> bytes:
    """TxnRequest: if the key is the one that was created at this revision then delete it."""
    return field(1, _created(key, create_revision)) + field(2, field(3, field(1, key)))


def _created(key: bytes, revision: int) -> bytes:
    # a zero is written although proto3 leaves zeros out, because it selects the member of the oneof
    return field(2, _COMPARE_CREATE_REVISION) + field(3, key) + field(5, revision)


# --- replies -----------------------------------------------------------------------------------------------------


def lease_reply(reply: bytes) -> tuple[int, int]:
    """Return id and TTL, in seconds, from a LeaseGrantResponse or a LeaseKeepAliveResponse; TTL 0: it has ended.

    Raises:
        WireError: there is no id.
    """
    lease = last_integer(reply, 2)
    if not lease:
        raise WireError("a lease without an id")
    return lease, last_integer(reply, 3)


def lock_reply(reply: bytes) -> tuple[bytes, int]:
    """Return from a LockResponse the key that stands for the hold, and the revision at which it was granted."""
    return last_bytes(reply, 2), last_integer(last_bytes(reply, 1), 3)


def first_pair(reply: bytes) -> Pair | None:
    """Return the first key of a RangeResponse; None where there is none."""
    for number, value in fields(reply):
        if number == 2:
            pair = message(value)
            return Pair(last_bytes(pair, 1), last_integer(pair, 2))
    return None


def txn_reply(reply: bytes) -> tuple[bool, int, Pair | None]:
    """Return from a TxnResponse whether the comparison held, its revision, and what it got, where it got a key."""
    revision, got = 0, None
    for number, value in fields(reply):
        if number == 1:
            revision = last_integer(message(value), 3)
        elif number == 3:
            for kind, response in fields(message(value)):
                if kind == 1:
                    got = first_pair(message(response))
    return bool(last_integer(reply, 2)), revision, got
