"""The messages of etcd's cluster service, and of its maintenance service's status; see wire.py."""

from __future__ import annotations

from typing import NamedTuple

from clusters.etcd.wire import field, fields, message


class ClusterMember(NamedTuple):
    """A member; `name` is empty until it has started, and `peers` are the URLs that the others reach it by."""

    id: int
    name: str
    peers: tuple[str, ...]


# --- requests ----------------------------------------------------------------------------------------------------


def list_request() -> bytes:
    """MemberListRequest: linearizable, which etcd 3.4 does not know and leaves out."""
    return field(1, 1)


def add_request(peer: str) -> bytes:
    """MemberAddRequest of a voting member."""
    return field(1, peer.encode())


def remove_request(member: int) -> bytes:
    """MemberRemoveRequest."""
    return field(1, member)


# --- replies -----------------------------------------------------------------------------------------------------


def list_reply(reply: bytes) -> list[ClusterMember]:
    """Return the members in a MemberListResponse."""
    return [_member(message(value)) for number, value in fields(reply) if number == 2]


def status_leader(reply: bytes) -> int:
    """Return the leader's id in a StatusResponse, 0 where the member knows of none."""
    return next((value for number, value in fields(reply) if number == 4 and isinstance(value, int)), 0)


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
