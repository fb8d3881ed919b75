"""Requests that kazoo does not have: to watch all below a node until further notice, and to stop that."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from kazoo.protocol.serialization import write_string

CREATED: Final = 1
DELETED: Final = 2
CHANGED: Final = 3
"""Kinds of events that are changes of a node."""

_NUMBER: Final = struct.Struct("!i")
_PERSISTENT_RECURSIVE: Final = 1
_ANY_WATCH: Final = 3


class Event(NamedTuple):
    """What a watch told.

    Attributes:
        kind: CREATED, DELETED, CHANGED, or another one of ZooKeeper's.
        path: of the node.
        zxid: of the transaction that did it; -1 before ZooKeeper 3.9 (ZOOKEEPER-4655).
    """

    kind: int
    path: str
    zxid: int


@dataclass(frozen=True)
class AddWatch:
    """Tell every change of a node and of all below it, until the connection is lost or the watch is removed."""

    path: str
    type: ClassVar[int] = 106

    def serialize(self) -> bytes:
        """Return the request's body."""
        return bytes(write_string(self.path)) + _NUMBER.pack(_PERSISTENT_RECURSIVE)


@dataclass(frozen=True)
class RemoveWatches:
    """Stop all that this connection watches at a node."""

    path: str
    type: ClassVar[int] = 18

    def serialize(self) -> bytes:
        """Return the request's body."""
        return bytes(write_string(self.path)) + _NUMBER.pack(_ANY_WATCH)
