"""What both kinds of locks on Redis share: names, times, and waiting for one that is held."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from harness.errors import Definite
from harness.facets import Grant

RETRY_S: Final = 0.05

RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
EXTEND: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
)


class Held(Definite):
    """Another one holds the lock."""


def name_of(key: str) -> str:
    """Return the name of a lock's key."""
    return f"lock:{key}"


def milliseconds(seconds: float) -> int:
    """Return a time to live as Redis takes it."""
    return max(1, round(seconds * 1000))


async def insist(try_acquire: Callable[[str, float], Awaitable[Grant]], key: str, ttl_s: float) -> Grant:
    """Try until the lock is granted; each try is a request of its own that certainly took nothing."""
    while True:
        try:
            return await try_acquire(key, ttl_s)
        except Held:
            await asyncio.sleep(RETRY_S)
