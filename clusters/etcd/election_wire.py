"""The messages of etcd's election service; see wire.py."""

from __future__ import annotations

from typing import NamedTuple

from clusters.etcd.wire import field, fields, last_integer, message


class Leader(NamedTuple):
    """Whose key stands first in an election, and since which revision it does in the queue."""

    candidate: bytes
    create_revision: int


class LeaderKey(NamedTuple):
    """What the service knows a leadership by; `message` is how it wrote it."""

    message: bytes
    revision: int


# --- requests ----------------------------------------------------------------------------------------------------


def campaign_request(name: bytes, lease: int, candidate: bytes) -> bytes:
    """CampaignRequest: stand in the queue with a lease, and wait until first."""
    return field(1, name) + field(2, lease) + field(3, candidate)


def resign_request(leader: bytes) -> bytes:
    """ResignRequest of a leader's key."""
    return field(1, leader)


def leader_request(name: bytes) -> bytes:
    """LeaderRequest, for one look and for a stream of them."""
    return field(1, name)


# --- replies -----------------------------------------------------------------------------------------------------


def campaign_reply(reply: bytes) -> LeaderKey:
    """Return the leader's key of a CampaignResponse."""
    for number, value in fields(reply):
        if number == 2:
            key = message(value)
            return LeaderKey(key, last_integer(key, 3))
    return LeaderKey(b"", 0)


def leader_reply(reply: bytes) -> Leader:
    """Return who leads by a LeaderResponse, or by the first key of a RangeResponse, which has the same field."""
    candidate, revision = b"", 0
    for number, value in fields(reply):
        if number == 2:
            pair = message(value)
            revision = last_integer(pair, 2)
            for part, held in fields(pair):
                if part == 5:
                    candidate = message(held)
    return Leader(candidate, revision)
