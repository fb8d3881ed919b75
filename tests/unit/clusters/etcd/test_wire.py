"""The wire format: round trips, known bytes, and no surprise on bytes that are not a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.etcd import wire

VALUES = st.one_of(st.integers(0, 2**64 - 1), st.binary(max_size=300))
FIELDS = st.lists(st.tuples(st.integers(1, 2**29 - 1), VALUES), max_size=8)


def message(fields: list[tuple[int, int | bytes]]) -> bytes:
    return b"".join(wire.field(number, value) for number, value in fields)


def pair(key: bytes, value: bytes) -> bytes:
    """mvccpb.KeyValue as etcd sends it: revisions and version between key and value, empty bytes left out."""
    return message([(1, key), (2, 3), (3, 9), (4, 2), *([(5, value)] if value else [])])


@given(FIELDS)
def test_fields_come_back_as_they_were_written(fields: list[tuple[int, int | bytes]]) -> None:
    """Whatever fields a message is made of, reading it yields them in order."""
    assert list(wire.fields(message(fields))) == fields


@given(FIELDS.filter(bool), st.data())
def test_a_message_cut_off_is_an_error_or_a_shorter_message(
    fields: list[tuple[int, int | bytes]], data: st.DataObject
) -> None:
    """A prefix of a message yields a prefix of its fields, or WireError; never a field that was not there."""
    whole = message(fields)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        read = list(wire.fields(cut))
    except wire.WireError:
        return
    assert read == fields[: len(read)]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_reply_or_a_wire_error(data: bytes) -> None:
    """Bytes from outside raise nothing but WireError."""
    for decode in (wire.range_value, wire.cas_result):
        try:
            decode(data)
        except wire.WireError:
            continue


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (wire.varint(0), "00"),
        (wire.varint(150), "9601"),
        (wire.varint(2**64 - 1), "ffffffffffffffffff01"),
        (wire.field(1, 150), "089601"),
        (wire.field(2, b"testing"), "120774657374696e67"),
        (wire.range_request(b"k"), "0a016b"),
        (wire.range_request(b"k", serializable=True), "0a016b3801"),
        (wire.put_request(b"k", b"1"), "0a016b120131"),
        (wire.delete_request(b"k"), "0a016b"),
    ],
)
def test_known_bytes(encoded: bytes, expected: str) -> None:
    """The encoding is protobuf's: the examples of its documentation, and requests spelt out by hand."""
    assert encoded.hex() == expected


def test_a_cas_compares_puts_or_gets() -> None:
    """The transaction compares the value, puts in its first branch and gets in its second."""
    guard = bytes.fromhex("10031a016b3a0131")
    then = bytes.fromhex("12060a016b120132")
    other = bytes.fromhex("0a030a016b")
    assert list(wire.fields(wire.cas_request(b"k", b"1", b"2"))) == [(1, guard), (2, then), (3, other)]


def test_a_cas_from_none_asks_that_the_key_does_not_exist() -> None:
    """The guard is create revision 0, written out because it selects the member of the oneof."""
    guard = next(wire.fields(wire.cas_request(b"k", None, b"2")))[1]
    assert guard == bytes.fromhex("10011a016b2800")


@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_varint_holds_64_bits(value: int) -> None:
    """What does not fit is refused, not cut."""
    with pytest.raises(wire.WireError):
        wire.varint(value)


@pytest.mark.parametrize("data", ["ff" * 11, "ffffffffffffffffff7f", "00", "0b", "0a05aa", "08"])
def test_malformed_messages_are_refused(data: str) -> None:
    """Varints without end or over 64 bits, field 0, groups, and fields that are cut off are WireErrors."""
    with pytest.raises(wire.WireError):
        list(wire.fields(bytes.fromhex(data)))


def test_fields_of_fixed_width_are_stepped_over() -> None:
    """A reply of a later etcd may have fields of other kinds; they do not disturb."""
    data = wire.varint(9 << 3 | 1) + b"12345678" + wire.varint(10 << 3 | 5) + b"1234" + wire.field(2, pair(b"k", b"7"))
    assert wire.range_value(data) == b"7"


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_a_range_reply_gives_the_value(key: bytes, value: bytes) -> None:
    """The value of the key is found, also where proto3 leaves it out for being empty."""
    header = message([(1, 14841639068965178418), (2, 10276657743932975437), (3, 9), (4, 2)])
    assert wire.range_value(message([(1, header), (2, pair(key, value)), (4, 1)])) == value


def test_a_range_reply_without_a_pair_is_none() -> None:
    """A key that does not exist is None, unlike one whose value is empty."""
    assert wire.range_value(wire.field(1, b"")) is None


def test_a_failed_cas_tells_what_it_saw() -> None:
    """The value comes from the second branch of the same transaction; a key that does not exist is None."""
    saw = wire.field(3, wire.field(1, wire.field(2, pair(b"k", b"7"))))
    assert wire.cas_result(wire.field(1, b"") + saw) == (False, b"7")
    assert wire.cas_result(wire.field(1, b"") + wire.field(3, wire.field(1, b""))) == (False, None)


def test_a_done_cas_saw_nothing() -> None:
    """A transaction whose guard held has a put's response and no value."""
    assert wire.cas_result(wire.field(2, 1) + wire.field(3, wire.field(2, b""))) == (True, None)
