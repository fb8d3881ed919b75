"""etcd's client against a real etcd: it never resends, stays on its node, and means what it says."""

from __future__ import annotations

import asyncio

import at_most_once
import pytest
from local_node import LocalNode, opened
from registers import REGISTERS, behind_proxy

from clusters.etcd import Etcd
from harness.errors import Definite


@pytest.fixture
def node(etcd: LocalNode) -> LocalNode:
    """A real etcd."""
    return etcd


def test_a_sent_request_is_never_taken_for_one_that_did_not_leave(node: LocalNode, key: str) -> None:
    """The race between a broken connection and a refused one, many times over: always indefinite."""

    async def main() -> None:
        async with behind_proxy(REGISTERS["etcd"], node, key) as subject:
            for turn in range(20):
                await at_most_once.reply_lost_then_gone(
                    subject, lambda register, key: register.write(key, 1), f"{key}-{turn}"
                )

    asyncio.run(main())


def test_a_request_that_is_too_large_is_definite(node: LocalNode, key: str) -> None:
    """etcd refuses it before it proposes it, and the value stays."""

    async def main() -> None:
        async with opened(Etcd(), node, "register") as (register,):
            await register.write(key, 1)
            with pytest.raises(Definite, match="too large"):
                await register.write(key, "x" * 1_900_000)
            assert await register.read(key) == 1

    asyncio.run(main())


def test_an_error_of_a_read_is_definite(node: LocalNode, key: str) -> None:
    """A read changes nothing, so where the node is gone it certainly did not happen."""

    async def main() -> None:
        async with behind_proxy(REGISTERS["etcd"], node, key) as subject:
            register = await subject.open()
            await subject.proxy.stop()
            with pytest.raises(Definite):
                await register.read(key)
            await register.close()

    asyncio.run(main())
