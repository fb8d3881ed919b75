"""The messages of watches: known bytes, and no surprise on bytes that are not a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.etcd import watch_wire, wire
from clusters.etcd.watch_wire import Event, WatchReply


def message(*fields: tuple[int, int | bytes]) -> bytes:
    return b"".join(wire.field(number, value) for number, value in fields)


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (watch_wire.create_request(b"a/", None), "0a080a02612f12026130"),
        (watch_wire.create_request(b"a/", 5), "0a0a0a02612f120261301805"),
        (watch_wire.create_request(b"", 1), "0a080a010012010018" + "01"),
        (watch_wire.cancel_request(0), "12020800"),
        (watch_wire.compact_request(300), "08ac02"),
    ],
)
def test_known_bytes(encoded: bytes, expected: str) -> None:
    """Requests spelt out by hand: a range from the prefix to the first key that has another one."""
    assert encoded.hex() == expected


def test_a_reply_with_events() -> None:
    """Puts and deletes come with their revisions, also where proto3 leaves an empty value or the type 0 out."""
    header = message((1, 7), (3, 99))
    put = message((2, message((1, b"a/1"), (2, 3), (3, 9), (4, 1), (5, b"[]"))))
    empty = message((1, 0), (2, message((1, b"a/2"), (3, 10))))
    gone = message((1, 1), (2, message((1, b"a/1"), (3, 11))))
    reply = message((1, header), (2, 4), (11, put), (11, empty), (11, gone))
    events = [Event(b"a/1", 9, b"[]"), Event(b"a/2", 10, b""), Event(b"a/1", 11, None)]
    assert watch_wire.watch_reply(reply) == WatchReply(4, False, False, 0, "", events)
    assert watch_wire.revision_of(reply) == 99


def test_a_reply_about_the_watch_itself() -> None:
    """It has begun, or ended, and why."""
    assert watch_wire.watch_reply(message((3, 1))) == WatchReply(0, True, False, 0, "", [])
    ended = message((2, 1), (4, 1), (5, 300), (6, b"compacted"))
    assert watch_wire.watch_reply(ended) == WatchReply(1, False, True, 300, "compacted", [])
    assert watch_wire.deleted(message((1, b""), (2, 1))) == 1
    assert watch_wire.deleted(message((1, b""))) == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_a_reply_or_a_wire_error(data: bytes) -> None:
    """Bytes from outside raise nothing but WireError."""
    for decode in (watch_wire.watch_reply, watch_wire.revision_of, watch_wire.deleted):
        try:
            decode(data)
        except wire.WireError:
            continue
