"""Every system's register against a real server: it never resends, stays on its node, and means what it says."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import at_most_once
import pytest
from local_node import LocalNode, opened
from registers import REGISTERS, Contract, behind_proxy

from harness.errors import Definite, Indefinite
from harness.facets import Register

VALUES = (0, -1, 2**53, 1.5, True, "", "ü", [], [1, [2]], {"b": 1, "a": None}, "x" * 100_000)


async def write(register: Register, key: str) -> None:
    """Write 1."""
    await register.write(key, 1)


async def cas(register: Register, key: str) -> None:
    """Make 1 of nothing."""
    await register.cas(key, None, 1)


INVOKES = [
    pytest.param(name, invoke, id=f"{name}-{invoke.__name__}")
    for name, contract in REGISTERS.items()
    for invoke in ((write,) if contract.spare_of_cas is None else (write, cas))
]
READS = [
    pytest.param(name, reads, id=f"{name}-{reads}")
    for name, contract in REGISTERS.items()
    for reads in contract.reads or ("",)
]


@pytest.fixture(params=REGISTERS)
def name(request: pytest.FixtureRequest) -> str:
    """A system's name."""
    return str(request.param)


@pytest.fixture
def contract(name: str) -> Contract:
    """What is particular to the system's register."""
    return REGISTERS[name]


@pytest.fixture
def node(name: str, request: pytest.FixtureRequest) -> LocalNode:
    """Its real server."""
    node: LocalNode = request.getfixturevalue(name)
    return node


@pytest.mark.parametrize(("name", "invoke"), INVOKES, indirect=["name"])
@pytest.mark.parametrize("check", at_most_once.CHECKS, ids=lambda check: check.__name__)
def test_one_invoke_is_at_most_one_arrival(
    node: LocalNode,
    contract: Contract,
    key: str,
    check: Callable[..., Awaitable[None]],
    invoke: at_most_once.Invoke,
) -> None:
    """Whatever is lost, a change arrives at most once and never later, and its outcome is not overstated."""

    async def main() -> None:
        spare = (contract.spare_of_cas or 0) if invoke is cas else 0
        async with behind_proxy(contract, node, key, spare=spare) as subject:
            await check(subject, invoke, key)

    asyncio.run(main())


def test_the_contract_finds_a_client_that_resends(node: LocalNode, contract: Contract, key: str) -> None:
    """The positive control: a client that tries again arrives twice, and the check sees it."""

    async def main() -> None:
        async with behind_proxy(contract, node, key, resend=True) as subject:
            with pytest.raises(AssertionError):
                await at_most_once.reply_lost_then_cut(subject, write, key)

    asyncio.run(main())


@pytest.mark.parametrize(("name", "reads"), READS, indirect=["name"])
@pytest.mark.parametrize("value", VALUES)
def test_any_json_is_read_back_as_it_was_written(
    node: LocalNode, contract: Contract, key: str, value: Any, reads: str
) -> None:
    """Values keep their type, and a key's JSON names it."""

    async def main() -> None:
        options = {"reads": reads} if reads else {}
        async with opened(contract.system(), node, "register", **options) as (register,):
            for name in (key, [key, 1], {"k": key}, f"{key}.*.>/../é?a=%20b "):
                assert await register.read(name) is None
                await register.write(name, value)
                seen = await register.read(name)
                assert (seen, type(seen)) == (value, type(value))

    asyncio.run(main())


@pytest.mark.parametrize(("name", "reads"), READS, indirect=["name"])
def test_a_cas_sets_where_the_value_is_the_old_one(node: LocalNode, contract: Contract, key: str, reads: str) -> None:
    """From nothing, from a value, to None and from it, with equality of JSON and not of text."""

    async def main() -> None:
        options = {"reads": reads} if reads else {}
        async with opened(contract.system(), node, "register", **options) as (register,):
            await register.cas(key, None, {"a": 1, "b": 2})
            await register.cas(key, {"b": 2, "a": 1}, 7)
            assert await register.read(key) == 7
            await register.cas(key, 7, None)
            assert await register.read(key) is None
            await register.cas(key, None, 8)
            assert await register.read(key) == 8

    asyncio.run(main())


@pytest.mark.parametrize(("before", "old"), [(3, 4), (3, None), (None, 4), (1, True), ("1", 1)])
def test_a_failed_cas_is_definite_and_tells_what_it_surely_saw(
    node: LocalNode, contract: Contract, key: str, before: Any, old: Any
) -> None:
    """The observed value was there at one moment of the call, or none is told; the value stays."""

    async def main() -> None:
        async with opened(contract.system(), node, "register") as (register,):
            await register.write(key, before)
            with pytest.raises(Definite) as caught:
                await register.cas(key, old, 9)
            if contract.observes:
                assert (caught.value.observed, type(caught.value.observed)) == (before, type(before))
            else:
                assert not isinstance(caught.value.observed, int | str | None)
            assert await register.read(key) == before

    asyncio.run(main())


def test_opening_on_a_dead_node_fails_in_bounded_time_and_can_be_closed(contract: Contract) -> None:
    """No connection is an error within the bound, and close after it is fine, twice too."""

    async def main() -> None:
        register = contract.unreachable()
        with pytest.raises(OSError):  # noqa: PT011 - the message is the system's
            await asyncio.wait_for(register.open(), 5)
        await register.close()
        await register.close()

    asyncio.run(main())


def test_a_paused_server_costs_bounded_time(node: LocalNode, contract: Contract, key: str) -> None:
    """A read hangs until it is cancelled; after the server goes on, its late reply is not taken for another's."""

    async def main() -> None:
        async with opened(contract.system(), node, "register") as (register,):
            await register.write(key, 1)
            await node.signal(signal.SIGSTOP)
            try:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(register.read(key), 0.2)
            finally:
                await node.signal(signal.SIGCONT)
            assert await register.read(f"{key}-never-written") is None
            assert await register.read(key) == 1

    asyncio.run(main())


def test_close_in_the_middle_of_an_invoke_ends_it(node: LocalNode, contract: Contract, key: str) -> None:
    """A client that is closed while it waits does not keep its invoke hanging."""

    async def main() -> None:
        async with behind_proxy(contract, node, key) as subject:
            register = await subject.open()
            subject.proxy.lose(replies=True)
            pending = asyncio.ensure_future(register.write(key, 1))
            await asyncio.wait_for(subject.proxy.requests.wait(), 5)
            await register.close()
            done, _ = await asyncio.wait([pending], timeout=5)
            assert done
            with pytest.raises((Indefinite, asyncio.CancelledError)):
                pending.result()

    asyncio.run(main())
