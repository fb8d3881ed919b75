"""Wait for conditions, never for time to pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], Awaitable[bool]], what: str, timeout_s: float = 5.0) -> None:
    """Return as soon as `condition` holds; fail with `what` after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while not await condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        await asyncio.sleep(0.005)


def until_now(condition: Callable[[], bool], what: str, timeout_s: float = 5.0) -> float:
    """Return the seconds that `condition` took to hold; fail with `what` after `timeout_s` seconds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.005)
    return time.monotonic() - started
