"""etcd's elections against a real etcd: they mean what they say, and never resend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import at_most_once
import pytest
from at_most_once import Subject
from proxy import Proxy
from test_etcd_client import LocalNode
from test_etcd_lock import started

from clusters.etcd import Etcd
from clusters.etcd.elections import EtcdElection, EtcdElectionRecipe, EtcdElectionService
from clusters.etcd.system import CLIENT_PORT
from harness.errors import Definite
from harness.facets import ElectionEvent, Leadership

LONG_S = 60.0


@pytest.fixture
def node(etcd: LocalNode) -> LocalNode:
    """A real etcd."""
    return etcd


@asynccontextmanager
async def opened(node: LocalNode, variety: str = "native") -> AsyncIterator[EtcdElection]:
    election: Any = Etcd.facets[f"election={variety}"](node, {})  # type: ignore[arg-type]
    await election.open()
    try:
        yield election
    finally:
        await election.close()


class Through:
    """An election by way of the proxy, in the shape that the contract asks for."""

    def __init__(self, address: str, kind: type[EtcdElection]) -> None:
        self.election = kind(address)
        self.open, self.close = self.election.open, self.election.close

    async def read(self, key: Any) -> Any:
        return await self.election.leader(str(key))


Act = Callable[[Any, str], Awaitable[Any]]


async def campaign(election: Any, key: str) -> None:
    """Campaign with a lease that is there already: the one request that has an effect on the election."""
    await election.campaign(f"other {key}", "c", LONG_S)


async def renew(election: Any, key: str) -> None:
    (term,) = (term for name, term in election._holds if name == key)
    await election.renew(key, Leadership("c", term))


async def resign(election: Any, key: str) -> None:
    (term,) = (term for name, term in election._holds if name == key)
    await election.resign(key, Leadership("c", term))


ACTS = (
    ("native", campaign, "Campaign"),
    ("native", renew, "LeaseKeepAlive"),
    ("native", resign, "Resign"),
    ("recipe", campaign, "Txn"),
    ("recipe", renew, "LeaseKeepAlive"),
    ("recipe", resign, "Txn"),
)
VARIETIES = ("native", "recipe")
KINDS = {"native": EtcdElectionService, "recipe": EtcdElectionRecipe}


@pytest.mark.parametrize(("variety", "act", "method"), ACTS, ids=lambda part: getattr(part, "__name__", part))
@pytest.mark.parametrize("check", at_most_once.CHECKS, ids=lambda check: check.__name__)
def test_one_invoke_is_at_most_one_arrival(
    node: LocalNode, key: str, check: Callable[..., Awaitable[None]], variety: str, act: Act, method: str
) -> None:
    """Whatever is lost, a request arrives at most once and never later, and its outcome is not overstated."""

    async def main() -> None:
        async with opened(node, variety) as direct:
            await direct.campaign(key, "c", LONG_S)
            lease = await direct._lease(LONG_S)
            holds = direct._holds
        before = await started(node, method)
        proxy = Proxy(node.ip, CLIENT_PORT)
        await proxy.start()

        async def known_lease(ttl_s: float) -> int:
            return lease

        def through(address: str) -> Any:
            made: Any = Through(address, KINDS[variety])
            made.election._holds, made.election._lease = holds, known_lease
            return made

        async def arrivals(_: str) -> int:
            return await started(node, method) - before

        try:
            await check(Subject(proxy, through, arrivals), lambda made, key: act(made.election, key), key)
        finally:
            await proxy.stop()

    asyncio.run(main())


@pytest.mark.parametrize("variety", VARIETIES)
def test_one_leads_after_the_other_in_growing_terms(node: LocalNode, key: str, variety: str) -> None:
    """Who campaigns second waits until the first resigns; the leader is told to everybody, with its term."""

    async def main() -> None:
        async with opened(node, variety) as one, opened(node, variety) as two:
            assert await one.leader(key) is None
            first = await one.campaign(key, "ü", LONG_S)
            assert await two.leader(key) == first == Leadership("ü", first.term)
            waiting = asyncio.ensure_future(two.campaign(key, "b", LONG_S))
            assert await one.renew(key, first)
            assert not waiting.done()
            assert await one.resign(key, first)
            second = await asyncio.wait_for(waiting, 5)
            assert second.term > first.term
            assert await one.leader(key) == second
            with pytest.raises(Definite, match="has not won"):
                await one.renew(key, second)

    asyncio.run(main())


@pytest.mark.parametrize("variety", VARIETIES)
def test_a_campaign_that_is_cut_off_does_not_lead_for_long(node: LocalNode, key: str, variety: str) -> None:
    """A candidate whose client has gone leaves the queue, or its lease ends: another one is elected."""

    async def main() -> None:
        async with opened(node, variety) as one, opened(node, variety) as two:
            first = await one.campaign(key, "a", LONG_S)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(two.campaign(key, "b", 2), 0.2)
            await one.resign(key, first)
            third = await asyncio.wait_for(one.campaign(key, "c", LONG_S), 10)
            assert await two.leader(key) == third

    asyncio.run(main())


def test_a_leadership_ends_with_its_lease(node: LocalNode, key: str) -> None:
    """A leader that does not renew is replaced, and told so."""

    async def main() -> None:
        async with opened(node) as one, opened(node) as two:
            first = await one.campaign(key, "a", 1)
            second = await asyncio.wait_for(two.campaign(key, "b", LONG_S), 10)
            assert not await one.renew(key, first)
            assert await one.leader(key) == second
            assert await one.resign(key, first)  # the service does not tell, and the other one's key stays
            assert await one.leader(key) == second

    asyncio.run(main())


def test_who_resigns_a_leadership_of_the_recipe_that_has_ended_is_told_so(node: LocalNode, key: str) -> None:
    """A leader that does not renew is replaced; its renewal and its resignation say no, and end nothing."""

    async def main() -> None:
        async with opened(node, "recipe") as one, opened(node, "recipe") as two, aclosing(two.watch(key)) as stream:
            assert await anext(stream) == ElectionEvent("resigned")
            first = await one.campaign(key, "a", 1)
            second = await asyncio.wait_for(two.campaign(key, "b", LONG_S), 10)
            assert (await one.renew(key, first), await one.resign(key, first)) == (False, False)
            assert await one.leader(key) == second
            while (event := await asyncio.wait_for(anext(stream), 5)).leadership != second:
                assert event in (ElectionEvent("elected", first), ElectionEvent("resigned"))
            assert await two.resign(key, second)
            assert await asyncio.wait_for(anext(stream), 5) == ElectionEvent("resigned")

    asyncio.run(main())


def test_a_watch_tells_of_leaders_in_their_order(node: LocalNode, key: str) -> None:
    """The one that leads now, and each one after it."""

    async def main() -> None:
        async with opened(node) as one, opened(node) as two, aclosing(two.watch(key)) as stream:
            seen, terms = [], []
            for name in ("a", "b", "c"):
                leadership = await one.campaign(key, name, LONG_S)
                seen.append(await asyncio.wait_for(anext(stream), 5))
                terms.append(leadership)
                await one.resign(key, leadership)
            kinds = ("elected", "changed", "changed")
            assert seen == [ElectionEvent(kind, leader) for kind, leader in zip(kinds, terms, strict=True)]  # type: ignore[arg-type]

    asyncio.run(main())
