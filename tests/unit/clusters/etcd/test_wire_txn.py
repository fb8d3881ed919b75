"""Transactions and leases on the wire: known bytes, and no surprise on bytes that are not a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.etcd import lock_wire, wire, wire_txn
from clusters.etcd.wire import field
from clusters.etcd.wire_txn import KeyValue


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (wire_txn.absent(b"k"), "10011a016b2800"),
        (wire_txn.unchanged(b"k", 7), "10021a016b3007"),
        (wire_txn.equals(b"k", b"v"), "10031a016b3a0176"),
        (wire_txn.put(b"k", b"v"), "12060a016b120176"),
        (wire_txn.put(b"k", b"v", 9), "12080a016b1201761809"),
        (wire_txn.delete(b"k"), "1a030a016b"),
        (wire_txn.get(b"k"), "0a030a016b"),
        (wire_txn.get_prefix(b"k/"), "0a080a026b2f12026b30"),
        (lock_wire.grant_request(2), "0802"),
        (wire_txn.txn_request([b"c"], [b"t", b"u"]), "0a016312017412" + "0175"),
    ],
)
def test_known_bytes(encoded: bytes, expected: str) -> None:
    """The requests are spelt out by hand, by the field numbers of etcd's rpc.proto."""
    assert encoded.hex() == expected


@given(st.booleans(), st.lists(st.lists(st.tuples(st.binary(min_size=1), st.binary(), st.integers(0, 2**63 - 1)))))
def test_what_a_transaction_saw(succeeded: bool, seen: list[list[tuple[bytes, bytes, int]]]) -> None:
    """Whether the comparisons held, and what each read saw, in order; the answers of writes are left out."""
    reply = field(1, field(3, 5)) + (field(2, 1) if succeeded else b"") + field(3, field(2, b""))
    for pairs in seen:
        found = b""
        for key, value, revision in pairs:
            numbers = field(2, 3) + field(3, revision) + field(4, 1)
            found += field(2, field(1, key) + numbers + field(5, value) + field(6, revision))
        reply += field(3, field(1, found))
    expected = [[KeyValue(key, value, 3, revision, revision) for key, value, revision in pairs] for pairs in seen]
    assert wire_txn.txn_result(reply) == (succeeded, expected)


def test_what_is_left_out_is_nothing() -> None:
    """proto3 leaves out zeros and empty bytes."""
    reply = field(3, field(1, field(2, field(1, b"k"))))
    assert wire_txn.txn_result(reply) == (False, [[KeyValue(b"k", b"", 0, 0, 0)]])


def test_the_id_of_a_lease() -> None:
    """It is read from the reply; a reply without one is none."""
    assert lock_wire.lease_reply(field(1, b"") + field(2, 77) + field(3, 2)) == (77, 2)
    with pytest.raises(wire.WireError, match="without an id"):
        lock_wire.lease_reply(field(1, b""))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_reply_or_a_wire_error(data: bytes) -> None:
    """Bytes from outside raise nothing but WireError."""
    for decode in (wire_txn.txn_result, lock_wire.lease_reply):
        try:
            decode(data)
        except wire.WireError:
            continue
