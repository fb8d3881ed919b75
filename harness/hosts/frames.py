"""What harness and client process say to each other: frames of four bytes of length and a pickle.

Both ends are this program, on one machine, on pipes that nobody else holds.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from typing import Any, Final, NamedTuple

ALIVE: Final = 0
"""The number of a facet that every process has: its only method, `alive`, does nothing."""

_LENGTH: Final = struct.Struct("!I")


class Make(NamedTuple):
    """Make a facet of a node; no answer."""

    facet: int
    name: str
    node: str


class Ask(NamedTuple):
    """Call a facet's method."""

    number: int
    facet: int
    method: str
    args: tuple[Any, ...]


class Cancel(NamedTuple):
    """Give up a call; it still gets its answer."""

    number: int


class Forget(NamedTuple):
    """Close and drop a facet; no answer."""

    facet: int


class Answer(NamedTuple):
    """What became of a call: a value, one of many (`last` is False), or an error."""

    number: int
    value: Any = None
    error: Exception | None = None
    last: bool = True


def encode(message: Any) -> bytes:
    """Return a message as a frame."""
    data = pickle.dumps(message)
    return _LENGTH.pack(len(data)) + data


async def decode(stream: asyncio.StreamReader) -> Any:
    """Return the next message.

    Raises:
        asyncio.IncompleteReadError: the other end is gone.
    """
    (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
    return pickle.loads(await stream.readexactly(length))  # noqa: S301 - our own process wrote it
