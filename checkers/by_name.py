"""Which checker decides for a model's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from harness.protocols import Checker


def _limited(module: str, name: str) -> Callable[..., Checker]:
    """Return what makes a checker that takes limits of the search; imported late, since a command needs one of them."""
    return lambda **limits: _class(module, name)(**limits)


def _unlimited(module: str, name: str, **arguments: Any) -> Callable[..., Checker]:
    """Return what makes a checker that searches nothing, whatever the limits are."""
    return lambda **_: _class(module, name)(**arguments)


def _class(module: str, name: str) -> Callable[..., Checker]:
    found: Callable[..., Checker] = getattr(import_module(f"checkers.{module}"), name)
    return found


NEAR_LINEAR: Final[Mapping[str, Callable[..., Checker]]] = {
    "mutex": _unlimited("mutex", "Mutex"),
    "owner-mutex": _limited("owner_mutex", "OwnerMutex"),
    "fenced-mutex": _limited("owner_mutex", "FencedMutex"),
    "set": _unlimited("grow_set", "GrowingSet"),
    "append": _limited("append", "Append"),
    "fifo-queue": _limited("fifo_queue", "FifoQueue"),
    "unique-ids": _unlimited("unique_ids", "UniqueIds"),
    "growing-ids": _unlimited("unique_ids", "UniqueIds", growing=True),
    "counter": _limited("counter", "Counter"),
    "counter-bounds": _unlimited("counter", "CounterBounds"),
}
"""Checkers that need no search, or hardly ever; what they are given are limits of the search."""
