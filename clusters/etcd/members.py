"""Facet "membership" of etcd: its cluster service, which changes one member at a time."""

from __future__ import annotations

from urllib.parse import urlsplit

import grpc.aio

from clusters.etcd import member_wire
from clusters.etcd.connection import Connection, Method, effect, look
from clusters.etcd.facets import PEER_PORT
from clusters.etcd.member_wire import ClusterMember
from harness.errors import Definite
from harness.facets import Member


class EtcdMembership(Connection):
    """The members as one etcd node tells them; etcd 3.4 tells what that node itself knows, and newer ones ask a quorum.

    A change is refused until all members have been connected to each other for five seconds.
    """

    def _use(self, channel: grpc.aio.Channel) -> None:
        self._list: Method = channel.unary_unary("/etcdserverpb.Cluster/MemberList")
        self._add: Method = channel.unary_unary("/etcdserverpb.Cluster/MemberAdd")
        self._remove: Method = channel.unary_unary("/etcdserverpb.Cluster/MemberRemove")
        self._status: Method = channel.unary_unary("/etcdserverpb.Maintenance/Status")

    async def members(self) -> list[Member]:
        """Return the members; etcd does not tell their health."""
        return [Member(_name(each)) for each in await self._members()]

    async def leader(self) -> str | None:
        """Return whom this node takes for the leader."""
        leader = member_wire.status_leader(await look(self._status, b""))
        return next((_name(each) for each in await self._members() if each.id == leader), None)

    async def join(self, name: str, address: str) -> None:
        """Add a voting member; etcd gives it an id that no member ever had."""
        await effect(self._add, member_wire.add_request(f"http://{address}:{PEER_PORT}"))

    async def leave(self, name: str) -> None:
        """Look up the member's id, and remove that id: should the node be added again, it is not the one removed."""
        await effect(self._remove, member_wire.remove_request(await self._id(name)))

    async def _id(self, name: str) -> int:
        found = next((each.id for each in await self._members() if _name(each) == name), None)
        if found is None:
            raise Definite(f"{name} is no member")
        return found

    async def _members(self) -> list[ClusterMember]:
        return member_wire.list_reply(await look(self._list, member_wire.list_request()))


def _name(member: ClusterMember) -> str:
    return member.name or urlsplit(member.peers[0]).hostname or ""
