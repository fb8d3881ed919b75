"""The messages of etcd's watches, and the revisions in its replies; see wire.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clusters.etcd.wire import field, fields, last_bytes, last_integer, message

_DELETE = 1


class Event(NamedTuple):
    """One change of a key; `value` is None where it was deleted."""

    key: bytes
    revision: int
    value: bytes | None


class WatchReply(NamedTuple):
    """What the server said on a stream of watches.

    Attributes:
        watch: the number of the watch on this stream that it is about.
        created, canceled: it has begun, or ended.
        compacted: the first revision that is kept, where the watch was ended for that; else 0.
        reason: why it was ended, where the server says so.
        events: changes, in the order of their revisions.
    """

    watch: int
    created: bool
    canceled: bool
    compacted: int
    reason: str
    events: Sequence[Event]


# --- requests ----------------------------------------------------------------------------------------------------


def create_request(prefix: bytes, start: int | None) -> bytes:
    """WatchRequest: watch all keys with a prefix, which does not end in 0xff, from a revision on; None: from now."""
    if prefix:
        keys = field(1, prefix) + field(2, prefix[:-1] + bytes((prefix[-1] + 1,)))
    else:
        keys = field(1, b"\0") + field(2, b"\0")  # every key
    return field(1, keys + (b"" if start is None else field(3, start)))


def cancel_request(watch: int) -> bytes:
    """WatchRequest: end the watch of this number."""
    return field(2, field(1, watch))


def compact_request(revision: int) -> bytes:
    """CompactionRequest: forget what is older than this revision."""
    return field(1, revision)


# --- replies -----------------------------------------------------------------------------------------------------


def revision_of(reply: bytes) -> int:
    """Return the revision in the header of any reply: that of the write, or the newest one that a read saw."""
    return last_integer(last_bytes(reply, 1), 3)


def deleted(reply: bytes) -> int:
    """Return from a DeleteRangeResponse how many keys were there."""
    return last_integer(reply, 2)


def watch_reply(reply: bytes) -> WatchReply:
    """Read a WatchResponse."""
    watch = compacted = 0
    created = canceled = False
    reason, events = "", []
    for number, value in fields(reply):
        if number == 11:
            events.append(_event(message(value)))
        elif number == 6:
            reason = message(value).decode(errors="replace")
        elif isinstance(value, int):
            if number == 2:
                watch = value
            elif number == 3:
                created = bool(value)
            elif number == 4:
                canceled = bool(value)
            elif number == 5:
                compacted = value
    return WatchReply(watch, created, canceled, compacted, reason, events)


def _event(data: bytes) -> Event:
    pair = last_bytes(data, 2)
    value = None if last_integer(data, 1) == _DELETE else last_bytes(pair, 5)
    return Event(last_bytes(pair, 1), last_integer(pair, 3), value)
