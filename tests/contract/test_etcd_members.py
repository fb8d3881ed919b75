"""etcd's members against a real etcd: they mean what they say, and never resend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import at_most_once
import pytest
from at_most_once import Subject
from local_etcd import ask
from local_node import LocalNode, booted
from proxy import Proxy
from test_etcd_lock import started

from clusters.etcd import Etcd
from clusters.etcd.facets import CLIENT_PORT
from clusters.etcd.members import EtcdMembership
from harness.errors import Definite
from harness.facets import Member

ELSEWHERE = "127.0.0.99"
"""An address where no etcd is."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    """A real etcd of one member."""
    with booted(Etcd(), tmp_path_factory.mktemp("etcd")) as local:
        yield local


@asynccontextmanager
async def opened(node: LocalNode) -> AsyncIterator[EtcdMembership]:
    facet: Any = Etcd.facets["membership"](node, {})  # type: ignore[arg-type]
    await facet.open()
    try:
        yield facet
    finally:
        await facet.close()


class Prepared(EtcdMembership):
    """What a change needs to know was asked for before, past the proxy: nothing but the change itself can get lost."""

    id = 0

    async def read(self, key: Any) -> Any:
        """Do something harmless through the proxy."""
        return await self.members()

    async def _id(self, name: str) -> int:
        return self.id


Act = Callable[[Any, LocalNode], Awaitable[None]]


async def join(facet: Any, node: LocalNode) -> None:
    """Add the only member again, which etcd looks at and makes void."""
    await facet.join(node.name, node.ip)


async def leave(facet: Any, node: LocalNode) -> None:
    """Remove the only member, which etcd refuses."""
    await facet.leave(node.name)


@pytest.mark.parametrize(("act", "method"), [(join, "MemberAdd"), (leave, "MemberRemove")])
@pytest.mark.parametrize("check", at_most_once.CHECKS, ids=lambda check: check.__name__)
def test_one_invoke_is_at_most_one_arrival(
    node: LocalNode, check: Callable[..., Awaitable[None]], act: Act, method: str
) -> None:
    """Whatever is lost, a request arrives at most once and never later, and its outcome is not overstated."""

    async def main() -> None:
        async with opened(node) as direct:
            member = await direct._id(node.name)
        before = await started(node, method)
        proxy = Proxy(node.ip, CLIENT_PORT)
        await proxy.start()

        def through(address: str) -> Any:
            made = Prepared(address)
            made.id = member
            return made

        async def arrivals(_: str) -> int:
            return await started(node, method) - before

        try:
            await check(Subject(proxy, through, arrivals), lambda facet, _: act(facet, node), "members")
        finally:
            await proxy.stop()

    asyncio.run(main())


def test_the_members_and_their_leader_are_told(node: LocalNode) -> None:
    """As etcd itself tells them."""

    async def main() -> None:
        async with opened(node) as facet:
            assert await facet.members() == [Member("n1")]
            assert await facet.leader() == "n1"
        told = await ask(node, "/v3/cluster/member/list", {})
        assert [member["name"] for member in told["members"]] == ["n1"]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda facet, node: facet.join("n1", node.ip), "Peer URLs already exists"),
        (lambda facet, node: facet.leave("n1"), "not enough started members"),
        (lambda facet, node: facet.leave("n2"), "n2 is no member"),
    ],
)
def test_a_change_that_is_refused_is_definite(node: LocalNode, act: Act, said: str) -> None:
    """And the members are as before."""

    async def main() -> None:
        async with opened(node) as facet:
            with pytest.raises(Definite, match=said):
                await act(facet, node)
            assert await facet.members() == [Member("n1")]

    asyncio.run(main())


def test_a_member_that_has_not_started_goes_by_its_address(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Once added it is told, though etcd does not know its name yet; one more would be too many, and is refused.

    The server has a node of its own: two members of which one does not run have no majority any more.
    """

    async def main(node: LocalNode) -> None:
        async with opened(node) as facet:
            await facet.join("n2", ELSEWHERE)
            told = await ask(node, "/v3/cluster/member/list", {"linearizable": False})
            assert [member["peerURLs"] for member in told["members"]].count([f"http://{ELSEWHERE}:2380"]) == 1
            facet._list = _local(facet._list)
            assert {member.name for member in await facet.members()} == {"n1", ELSEWHERE}
            with pytest.raises(Definite, match="not enough started members"):
                await facet.join("n3", "127.0.0.98")

    with booted(Etcd(), tmp_path_factory.mktemp("etcd"), network=128) as local:
        asyncio.run(main(local))


def _local(method: Any) -> Any:
    """Ask without a majority, which is not there any more."""
    return lambda _: method(b"")
