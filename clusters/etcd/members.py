"""Facet "membership" of etcd: its cluster service, which changes one member at a time."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import grpc.aio

from clusters.etcd import member_wire, wire
from clusters.etcd.connection import Connection, Method, effect, look
from clusters.etcd.facets import PEER_PORT
from clusters.etcd.member_wire import ClusterMember
from clusters.http import get
from harness.errors import Definite
from harness.facets import Member

LIST_LINEARIZABLE: Final = (3, 5)
"""Since this version a list of members can be asked for that a quorum has confirmed."""

METRICS_TIMEOUT_S: Final = 1.0
_ITSELF: Final = re.compile(r'^etcd_server_id\{server_id="(\w+)"\} 1', re.MULTILINE)
_PEER: Final = re.compile(r'^etcd_network_active_peers\{Local="\w+",Remote="(\w+)"\} (\d+)', re.MULTILINE)
_PENDING: Final = re.compile(r"^etcd_server_proposals_pending (\S+)", re.MULTILINE)


class EtcdMembership(Connection):
    """The members as one etcd node tells them.

    A change is refused until all voting members have been connected to each other for five seconds; there is one
    member at a time that does not vote.
    """

    _lists_linearizably = True

    async def open(self) -> None:
        """Connect, and ask for the version."""
        await super().open()
        version = member_wire.status_version(await look(self._status, b""))
        self._lists_linearizably = version >= LIST_LINEARIZABLE

    def _use(self, channel: grpc.aio.Channel) -> None:
        self._range: Method = channel.unary_unary("/etcdserverpb.KV/Range")
        self._list: Method = channel.unary_unary("/etcdserverpb.Cluster/MemberList")
        self._add: Method = channel.unary_unary("/etcdserverpb.Cluster/MemberAdd")
        self._remove: Method = channel.unary_unary("/etcdserverpb.Cluster/MemberRemove")
        self._status: Method = channel.unary_unary("/etcdserverpb.Maintenance/Status")

    async def members(self) -> list[Member]:
        """Return the members.

        etcd 3.4 tells what the node has applied; it has applied what it answers a linearizable read with.
        """
        return [Member(_id(each), _name(each)) for each in await self._members()]

    async def health(self) -> list[Member]:
        """Return the node's own list, and from its metrics whom it is connected to; its load is what it proposed."""
        members = member_wire.list_reply(await look(self._list, member_wire.list_request(linearizable=False)))
        host, _, port = self._address.rpartition(":")
        try:
            metrics = (await get(host, int(port), "/metrics", timeout_s=METRICS_TIMEOUT_S)).decode()
        except OSError as error:
            raise Definite(f"{self._address}: no metrics: {error}") from None
        healthy = {peer: active != "0" for peer, active in _PEER.findall(metrics)}
        itself, pending = _ITSELF.search(metrics), _PENDING.search(metrics)
        load = {itself[1]: float(pending[1])} if itself and pending else {}
        healthy |= dict.fromkeys(load, True)
        ids = [_id(each) for each in members]
        return [
            Member(member, _name(each), healthy=healthy.get(member), load=load.get(member))
            for member, each in zip(ids, members, strict=True)
        ]

    async def leader(self) -> str | None:
        """Return whom this node takes for the leader."""
        leader = member_wire.status_leader(await look(self._status, b""))
        return next((_name(each) for each in await self._members() if each.id == leader), None)

    async def join(self, name: str, address: str, voting: bool = True) -> Member:
        """Add a member, or a learner; etcd gives it an id that no member ever had."""
        request = member_wire.add_request(f"http://{address}:{PEER_PORT}", voting=voting)
        added = member_wire.add_reply(await effect(self._add, request))
        return Member(_id(added), _name(added))

    async def leave(self, name: str) -> str:
        """Look up the member, and remove that one: should the node be added again, it has another id."""
        member = await self._find(name)
        await effect(self._remove, member_wire.remove_request(member.id))
        return _id(member)

    async def _find(self, name: str) -> ClusterMember:
        found = next((each for each in await self._members() if _name(each) == name), None)
        if found is None:
            raise Definite(f"{name} is no member")
        return found

    async def _members(self) -> list[ClusterMember]:
        if not self._lists_linearizably:
            await look(self._range, wire.range_request(b"members"))
        return member_wire.list_reply(await look(self._list, member_wire.list_request()))


def _id(member: ClusterMember) -> str:
    """Return the id as etcd's logs have it."""
    return f"{member.id:x}"


def _name(member: ClusterMember) -> str:
    return member.name or urlsplit(member.peers[0]).hostname or ""
