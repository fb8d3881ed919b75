"""Consul's clients against a real Consul: they never resend, stay on their node, and mean what they say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from local_node import LocalNode, opened
from proxy import proxied

from clusters.consul import Consul
from clusters.consul.lock import ConsulLock
from clusters.consul.system import HTTP_PORT
from harness.errors import Definite, Indefinite
from harness.facets import Lock


@pytest.fixture
def node(consul: LocalNode) -> LocalNode:
    """A real Consul."""
    return consul


def test_a_cas_after_a_change_neither_happens_nor_observes(node: LocalNode, key: str) -> None:
    """Where the value changed between the read and the set, the cas fails and tells of no value."""

    async def main() -> None:
        async with opened(Consul(), node, "register", 2) as (register, other):
            await other.write(key, 1)
            request = register._connection.request

            async def late(method: str, path: str, body: bytes = b"") -> Any:
                if method == "PUT":
                    await other.write(key, 2)
                    await other.write(key, 1)  # the value of before, at another index
                return await request(method, path, body)

            register._connection.request = late
            with pytest.raises(Definite, match="changed meanwhile") as caught:
                await register.cas(key, 1, 9)
            assert not isinstance(caught.value.observed, int)
            assert await other.read(key) == 1

    asyncio.run(main())


def test_a_value_that_is_too_large_is_definite(node: LocalNode, key: str) -> None:
    """Consul refuses it before it hands it on."""

    async def main() -> None:
        async with opened(Consul(), node, "register") as (register,):
            with pytest.raises(Definite):
                await register.write(key, "x" * 600_000)
            assert await register.read(key) is None

    asyncio.run(main())


def test_a_lock_is_exclusive_and_its_tokens_grow(node: LocalNode, key: str) -> None:
    """Held by one until it is released, extended while it lives, and each grant has a greater token."""

    async def main() -> None:
        async with opened(Consul(), node, "lock", 2) as (first, second):
            grant = await first.try_acquire(key, 5.0)
            assert await second.is_held(grant)
            with pytest.raises(Definite):
                await second.try_acquire(key, 5.0)
            assert await first.extend(grant, 5.0)
            with pytest.raises(Definite, match="time to live"):
                await first.extend(grant, 6.0)
            waiting = asyncio.create_task(second.acquire(key, 5.0))
            assert await first.release(grant)
            after = await asyncio.wait_for(waiting, 5)
            assert after.token > grant.token
            assert (await first.is_held(grant), await second.is_held(after)) == (False, True)
            assert (await first.release(grant), await first.extend(grant, 5.0)) == (False, False)
            assert await second.release(after)

    asyncio.run(main())


def test_a_grant_whose_reply_is_lost_is_indefinite(node: LocalNode, key: str) -> None:
    """The session is there, the lock was asked for: nobody knows; a session whose reply is lost locks nothing."""

    async def main() -> None:
        for spare, kind in ((0, Definite), (1, Indefinite)):
            async with proxied(node.ip, HTTP_PORT, spare=spare) as proxy:
                lock: Lock = ConsulLock(proxy.address)
                await lock.open()
                proxy.lose(replies=True)
                pending = asyncio.ensure_future(lock.try_acquire(f"{key}-{spare}", 5.0))
                await asyncio.wait_for(proxy.replies.wait(), 5)
                await proxy.cut()
                with pytest.raises(kind):
                    await pending
                await lock.close()

    asyncio.run(main())
