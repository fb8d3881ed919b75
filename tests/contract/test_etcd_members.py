"""etcd's members against a real etcd: they mean what they say, and never resend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
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
from clusters.etcd.member_wire import ClusterMember
from clusters.etcd.members import EtcdMembership
from harness.errors import Definite
from harness.facets import Member

ELSEWHERE = "127.0.0.99"
"""An address where no etcd is."""


@pytest.fixture
def node(etcd: LocalNode) -> LocalNode:
    """A real etcd."""
    return etcd


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

    found = ClusterMember(0, "", ())

    async def read(self, key: Any) -> Any:
        """Do something harmless through the proxy."""
        return await self.members()

    async def _find(self, name: str) -> ClusterMember:
        return self.found


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
            member = await direct._find(node.name)
        before = await started(node, method)
        proxy = Proxy(node.ip, CLIENT_PORT)
        await proxy.start()

        def through(address: str) -> Any:
            made = Prepared(address)
            made.found = member
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
            told = await ask(node, "/v3/cluster/member/list", {})
            expected = [(f"{int(member['ID']):x}", member["name"]) for member in told["members"]]
            assert [(member.id, member.name) for member in await facet.members()] == expected
            assert [name for _, name in expected] == ["n1"]
            assert await facet.leader() == "n1"
            (itself,) = await facet.health()
            assert (itself.id, itself.name, itself.healthy) == (*expected[0], True)
            assert itself.load is not None

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
            assert [member.name for member in await facet.members()] == ["n1"]

    asyncio.run(main())


def test_a_learner_comes_and_goes_by_its_id_and_nobody_waits_for_it(node: LocalNode) -> None:
    """It goes by its address, and nothing is known of its health; there is one at a time, and no id twice."""

    async def main() -> None:
        async with opened(node) as facet:
            added = await facet.join(ELSEWHERE, ELSEWHERE, False)
            assert {(each.id, each.name) for each in await facet.members()} >= {(added.id, ELSEWHERE)}
            assert {each.name: each.healthy for each in await facet.health()} == {"n1": True, ELSEWHERE: None}
            with pytest.raises(Definite, match="too many learner"):
                await facet.join("127.0.0.98", "127.0.0.98", False)
            assert await facet.leave(ELSEWHERE) == added.id
            assert [each.name for each in await facet.members()] == ["n1"]
            assert (await again(facet)).id != added.id
            await facet.leave(ELSEWHERE)

    asyncio.run(main())


async def again(facet: EtcdMembership) -> Member:
    """Add the learner once more; within the second of its last join etcd would give it the same id, and refuses."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await facet.join(ELSEWHERE, ELSEWHERE, False)
            except Definite as refusal:
                if "member not found" not in refusal.error:
                    raise
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("version", ["", "3.4.23"])
def test_without_a_majority_a_node_tells_nothing_but_what_it_knows_itself(
    tmp_path_factory: pytest.TempPathFactory, version: str
) -> None:
    """A member that has not started goes by its address; one more would be too many, and is refused.

    The server has a node of its own: two members of which one does not run have no majority any more.
    """

    async def main(node: LocalNode) -> None:
        async with opened(node) as facet:
            await facet.join("n2", ELSEWHERE)
            with pytest.raises((Definite, TimeoutError)):
                await asyncio.wait_for(facet.members(), 0.5)
            assert {each.name for each in await facet.health()} == {"n1", ELSEWHERE}
            with pytest.raises(Definite, match="not enough started members"):
                await facet.join("n3", "127.0.0.98")

    with booted(Etcd(version), tmp_path_factory.mktemp("etcd"), network=128) as local:
        asyncio.run(main(local))
