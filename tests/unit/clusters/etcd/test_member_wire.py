"""The messages of etcd's cluster service, as etcd's own proto numbers their fields."""

from __future__ import annotations

from clusters.etcd.member_wire import (
    ClusterMember,
    add_reply,
    add_request,
    list_reply,
    list_request,
    remove_request,
    status_leader,
    status_version,
)
from clusters.etcd.wire import field


def test_requests_have_etcds_fields() -> None:
    """A list of all or the node's own, a peer URL of whoever votes or learns, an id that fills 64 bits."""
    assert list_request() == b"\x08\x01"
    assert list_request(linearizable=False) == b""
    assert add_request("http://a:1") == b"\x0a\x0ahttp://a:1"
    assert add_request("http://a:1", voting=False) == b"\x0a\x0ahttp://a:1\x10\x01"
    assert remove_request((1 << 64) - 1) == b"\x08" + b"\xff" * 9 + b"\x01"


def test_members_are_read() -> None:
    """One that has started has a name, one that has not has none; fields that we do not know are passed over."""
    started = (
        field(1, 7) + field(2, b"n1") + field(3, b"http://a:1") + field(3, b"http://b:1") + field(4, b"http://a:2")
    )
    added = field(1, 9) + field(3, b"http://c:1") + field(5, 1)
    reply = field(1, field(2, 7)) + field(2, started) + field(2, added)
    assert list_reply(reply) == [
        ClusterMember(7, "n1", ("http://a:1", "http://b:1")),
        ClusterMember(9, "", ("http://c:1",)),
    ]
    assert list_reply(b"") == []


def test_a_new_member_and_a_version_are_read() -> None:
    """The member that was added, not the list that comes with it; a version with or without a suffix."""
    new, other = field(1, 9) + field(3, b"http://c:1"), field(1, 7) + field(2, b"n1")
    assert add_reply(field(1, field(2, 7)) + field(2, new) + field(3, other)).id == 9
    assert status_version(field(2, b"3.4.23") + field(4, 12)) == (3, 4, 23)
    assert status_version(field(2, b"3.6.0-rc.1")) == (3, 6, 0)


def test_the_leader_is_read() -> None:
    """Its id, and 0 where there is none, which the wire leaves out."""
    assert status_leader(field(2, b"3.5.30") + field(4, 12) + field(6, 3)) == 12
    assert status_leader(field(2, b"3.5.30")) == 0
