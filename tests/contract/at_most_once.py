"""The contract of every client: one invoke is at most one arrival, and `fail` is said only of what never happens.

Each check takes a Subject: a real server behind the proxy. A new system's client is held to the contract by writing a
Subject for it, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from proxy import Proxy

from harness.errors import Definite, Indefinite
from harness.facets import Register

PATIENCE_S = 20.0
HANG_S = 0.3

Invoke = Callable[[Register, str], Awaitable[None]]


@dataclass
class Subject:
    """A client under test.

    Attributes:
        proxy: running, in front of a real server.
        connect: makes the facet for an address ("ip:port"), not opened yet.
        arrivals: how often a write to this key arrived, by the server's own count.
    """

    proxy: Proxy
    connect: Callable[[str], Register]
    arrivals: Callable[[str], Awaitable[int]]

    async def open(self) -> Register:
        """Return an open facet that has been used, so that its connection is there."""
        register = self.connect(self.proxy.address)
        await register.open()
        await register.read("warm")
        return register

    async def works_again(self, register: Register) -> None:
        """Return once the same client gets replies again: by then it has resent whatever it resends."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await asyncio.wait_for(register.read("warm"), 1.0)
                    return
                except (Definite, Indefinite, TimeoutError):
                    await asyncio.sleep(0.01)

    async def arrivals_by_the_end(self, register: Register, key: str) -> int:
        """Return how often a write to this key has arrived by the time the client gets replies again, and close it."""
        await self.works_again(register)
        await register.close()
        return await self.arrivals(key)


async def reply_lost_then_cut(subject: Subject, invoke: Invoke, key: str) -> None:
    """The request arrives, the connection breaks instead of the reply: it arrived once, and the client cannot know."""
    register, pending = await _arrived(subject, invoke, key)
    subject.proxy.lose()
    await subject.proxy.cut()
    with pytest.raises(Indefinite):
        await asyncio.wait_for(pending, PATIENCE_S)
    assert await subject.arrivals_by_the_end(register, key) == 1


async def reply_lost_then_gone(subject: Subject, invoke: Invoke, key: str) -> None:
    """As before, but nothing listens any more: being refused now must not be taken for never having left."""
    register, pending = await _arrived(subject, invoke, key)
    await subject.proxy.stop()
    with pytest.raises(Indefinite):
        await asyncio.wait_for(pending, PATIENCE_S)
    subject.proxy.lose()
    await subject.proxy.start()
    assert await subject.arrivals_by_the_end(register, key) == 1


async def reply_lost_then_silence(subject: Subject, invoke: Invoke, key: str) -> None:
    """The reply never comes and the connection stays: the worker's time-out cancels, and nothing is sent again."""
    register = await subject.open()
    subject.proxy.lose(replies=True)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(invoke(register, key), HANG_S)
    await _until(lambda: _counted(subject, key))
    subject.proxy.lose()
    await subject.proxy.cut()
    assert await subject.arrivals_by_the_end(register, key) == 1


async def request_lost_then_cut(subject: Subject, invoke: Invoke, key: str) -> None:
    """The request leaves and does not arrive: the client cannot know, and does not make up for it."""
    register = await subject.open()
    subject.proxy.lose(requests=True)
    pending = asyncio.ensure_future(invoke(register, key))
    await asyncio.wait_for(subject.proxy.requests.wait(), PATIENCE_S)
    subject.proxy.lose()
    await subject.proxy.cut()
    with pytest.raises(Indefinite):
        await asyncio.wait_for(pending, PATIENCE_S)
    assert await subject.arrivals_by_the_end(register, key) == 0


async def never_left(subject: Subject, invoke: Invoke, key: str) -> None:
    """Nothing listens when the client is asked: it says so at once, and sends nothing when the node comes back."""
    register = await subject.open()
    await subject.proxy.stop()
    async with asyncio.timeout(PATIENCE_S):
        while True:  # the client may not have noticed yet that its connection is gone: then it cannot know
            try:
                await invoke(register, key)
            except Definite:
                break
            except Indefinite:
                continue
    await subject.proxy.start()
    assert await subject.arrivals_by_the_end(register, key) == 0


CHECKS = (reply_lost_then_cut, reply_lost_then_gone, reply_lost_then_silence, request_lost_then_cut, never_left)


async def _arrived(subject: Subject, invoke: Invoke, key: str) -> tuple[Register, asyncio.Future[None]]:
    """Return a client and its request, which has arrived and whose reply is lost."""
    register = await subject.open()
    subject.proxy.lose(replies=True)
    pending = asyncio.ensure_future(invoke(register, key))
    await _until(lambda: _counted(subject, key))
    return register, pending


async def _counted(subject: Subject, key: str) -> bool:
    return await subject.arrivals(key) > 0


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():
            await asyncio.sleep(0.005)
