"""The messages of etcd's cluster service, and of its maintenance service's status; see wire.py."""

from __future__ import annotations

from typing import NamedTuple

from clusters.etcd.wire import field, fields, last_integer, message


class ClusterMember(NamedTuple):
    """A member; `name` is empty until it has started, and `peers` are the URLs that the others reach it by."""

    id: int
    name: str
    peers: tuple[str, ...]


# --- requests ----------------------------------------------------------------------------------------------------


def list_request(*, linearizable: bool = True) -> bytes:
    """MemberListRequest; etcd 3.4 does not know that it should be linearizable, and tells what its node knows."""
    return field(1, 1) if linearizable else b""


def add_request(peer: str, *, voting: bool = True) -> bytes:
    """MemberAddRequest of a voting member, or of a learner."""
    return field(1, peer.encode()) + (b"" if voting else field(2, 1))


def remove_request(member: int) -> bytes:
    """MemberRemoveRequest."""
    return field(1, member)


# --- replies -----------------------------------------------------------------------------------------------------


def list_reply(reply: bytes) -> list[ClusterMember]:
    """Return the members in a MemberListResponse."""
    return [_member(message(value)) for number, value in fields(reply) if number == 2]


def add_reply(reply: bytes) -> ClusterMember:
    """Return the new member in a MemberAddResponse."""
    return next(_member(message(value)) for number, value in fields(reply) if number == 2)


def status_version(reply: bytes) -> tuple[int, ...]:
    """Return the member's version in a StatusResponse, such as (3, 5, 30)."""
    text = next((message(value) for number, value in fields(reply) if number == 2), b"0")
    return tuple(int(part) for part in text.partition(b"-")[0].split(b"."))


def status_leader(reply: bytes) -> int:
    """Return the leader's id in a StatusResponse, 0 where the member knows of none."""
    return last_integer(reply, 4)


def _member(data: bytes) -> ClusterMember:
    member, name, peers = 0, "", []
    for number, value in fields(data):
        if number == 1 and isinstance(value, int):
            member = value
        elif number == 2:
            name = message(value).decode()
        elif number == 3:
            peers.append(message(value).decode())
    return ClusterMember(member, name, tuple(peers))
