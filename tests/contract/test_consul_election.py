"""Consul's elections against a real Consul: one leads at a time, terms grow, observers are told, nothing is resent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from local_node import LocalNode
from proxy import Proxy

from clusters.consul import Consul
from clusters.consul.elections import ConsulElection
from clusters.consul.system import HTTP_PORT, LOG
from harness.errors import Definite, Indefinite
from harness.facets import ElectionEvent

TTL_S = 0.6


@pytest.fixture
def node(consul: LocalNode) -> LocalNode:
    """A real Consul."""
    return consul


@asynccontextmanager
async def opened(node: LocalNode, count: int = 2) -> AsyncIterator[list[Any]]:
    made: list[Any] = [Consul.facets["election"](node, {}) for _ in range(count)]  # type: ignore[arg-type]
    await asyncio.gather(*(each.open() for each in made))
    try:
        yield made
    finally:
        await asyncio.gather(*(each.close() for each in made))


def test_one_candidate_leads_and_terms_grow(node: LocalNode, key: str) -> None:
    """The next one leads when the leader resigns, at a greater term, and an observer is told of each."""

    async def main() -> None:
        async with opened(node, 4) as (first, second, asker, observer):
            assert await asker.leader(key) is None
            told = observer.watch(key)
            assert await anext(told) == ElectionEvent("resigned")
            leading = await first.campaign(key, "a", 5.0)
            assert await anext(told) == ElectionEvent("elected", leading)
            waiting = asyncio.create_task(second.campaign(key, "b", 5.0))
            assert (await asker.leader(key), await first.renew(key, leading)) == (leading, True)
            with pytest.raises(Definite, match="another client"):
                await second.renew(key, leading)
            assert not waiting.done()
            assert await first.resign(key, leading)
            after = await asyncio.wait_for(waiting, 5)
            assert (after.id, after.term > leading.term) == ("b", True)
            event = await anext(told)
            assert (await anext(told) if event == ElectionEvent("resigned") else event).leadership == after
            assert (await first.renew(key, leading), await first.resign(key, leading)) == (False, False)
            assert await asker.leader(key) == after, "who has resigned does not take it from the next one"
            await told.aclose()

    asyncio.run(main())


def test_a_leadership_ends_by_itself_and_is_kept_by_renewing_only(node: LocalNode, key: str) -> None:
    """A silent leader is replaced no sooner than its time to live; one that renews leads beyond that."""

    async def main() -> None:
        async with opened(node, 3) as (silent, renewing, waiter):
            loop = asyncio.get_running_loop()
            started, lost = loop.time(), await silent.campaign(key, "silent", TTL_S)
            kept = await renewing.campaign(f"{key}-kept", "renewing", TTL_S)
            waiting = asyncio.create_task(waiter.campaign(key, "next", TTL_S))
            while not waiting.done():
                assert await renewing.renew(f"{key}-kept", kept)
                await asyncio.wait([waiting], timeout=TTL_S / 4)
            assert loop.time() - started >= TTL_S
            assert waiting.result().term > lost.term
            assert await silent.renew(key, lost) is False
            assert await renewing.leader(f"{key}-kept") == kept

    asyncio.run(main())


def arrivals(node: LocalNode) -> int:
    """Return how many transactions arrived, by Consul's own log of requests."""
    lines = Path(node.folder, LOG).read_text().splitlines()
    return sum("method=PUT" in line and "/v1/txn" in line for line in lines)


@pytest.mark.parametrize(("spare", "kind"), [(0, Definite), (1, Indefinite)])
def test_one_campaign_is_at_most_one_arrival(node: LocalNode, key: str, spare: int, kind: type[Exception]) -> None:
    """A session whose reply is lost leads nothing; once the lock was asked for nobody knows, and nothing is resent."""

    async def main() -> None:
        before, proxy = arrivals(node), Proxy(node.ip, HTTP_PORT)
        proxy.spare = spare
        await proxy.start()
        candidate = ConsulElection(proxy.address)
        await candidate.open()
        proxy.lose(replies=True)
        pending = asyncio.ensure_future(candidate.campaign(key, "a", 5.0))
        await asyncio.wait_for(proxy.replies.wait(), 5)
        proxy.lose()
        await proxy.cut()
        with pytest.raises(kind):
            await pending
        found = await candidate.leader(key)
        assert (arrivals(node) - before, found is not None) == (spare, bool(spare))
        await candidate.close()
        await proxy.stop()

    asyncio.run(main())
