"""Measuring that a fault took effect: looking again and again, within a bound, and asking all nodes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Set
from typing import Final

from harness.errors import FaultError
from harness.protocols import Node

LOOKS_MAX: Final = 100
PAUSE_S: Final = 0.02
"""At most 2 s: what has not taken effect by then has failed."""


async def until(look: Callable[[], Awaitable[list[str]]], what: str, hint: str, *, looks_max: int = LOOKS_MAX) -> int:
    """Look until there is nothing to object to.

    Args:
        look: measures, and returns objections.
        what: what did not happen, for the error.
        hint: what to do then.
        looks_max: how often to look, every PAUSE_S.

    Returns:
        How many looks it took.

    Raises:
        FaultError: there still are objections after `looks_max` looks.
    """
    objections: list[str] = []
    for count in range(1, looks_max + 1):
        objections = await look()
        if not objections:
            return count
        await asyncio.sleep(PAUSE_S)
    raise FaultError(f"{what}: {'; '.join(objections)}", hint)


async def states(nodes: Mapping[str, Node], names: Collection[str]) -> dict[str, str]:
    """Return the state of the server on each of these nodes."""
    return dict(zip(names, await asyncio.gather(*(nodes[name].state() for name in names)), strict=True))


async def wait_states(
    nodes: Mapping[str, Node], names: Collection[str], wanted: Set[str], what: str, *, looks_max: int = LOOKS_MAX
) -> dict[str, str]:
    """Wait until every server's state is one of `wanted`, and return the states as evidence.

    Raises:
        FaultError: one is not.
    """
    found: dict[str, str] = {}

    async def look() -> list[str]:
        found.update(await states(nodes, names))
        return [f"the server of {name} is {state}" for name, state in found.items() if state not in wanted]

    await until(look, what, "look at these nodes' logs in the run's folder", looks_max=looks_max)
    return found


async def every(actions: Iterable[Awaitable[object]], what: str) -> None:
    """Do all of it at once and to the end, even where some of it fails.

    Raises:
        FaultError: something failed; names all of it.
    """
    results = await asyncio.gather(*actions, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        reasons = "; ".join(dict.fromkeys(str(error) or type(error).__name__ for error in errors))
        raise FaultError(f"{what}: {reasons}", "look at these nodes' logs in the run's folder") from errors[0]
