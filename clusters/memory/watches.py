"""Facet "watch" of the system `memory`: a log of changes in the replicas, which watchers read on their own node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from clusters.memory.facet import MemoryFacet
from clusters.memory.replicas import Replica, Replicas
from harness.errors import Definite
from harness.facets import Change

POLL_S: Final = 0.005
"""How often a watch looks for what is new on its node."""

_REVISION: Final = ("watch", "revision")
_COMPACTED: Final = ("watch", "compacted")


class Watches:
    """The log: the changes by revision, the newest one, and the first that is kept.

    Args:
        replicas: that hold all of it.
    """

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas

    @property
    def replicas(self) -> Replicas:
        """Return what holds the log."""
        return self._replicas

    def revision(self, replica: Replica) -> int:
        """Return the newest revision of a node's copy."""
        return int(replica.data.get(_REVISION, 0))

    def compacted(self, replica: Replica) -> int:
        """Return the first revision that is kept in a node's copy."""
        return int(replica.data.get(_COMPACTED, 0))

    def put(self, replica: Replica, key: str, value: Any) -> int:
        """Append a change; return its revision."""
        revision = self.revision(replica) + 1
        self._replicas.write(replica, ("watch", revision), Change(key, revision, value))
        self._replicas.write(replica, ("watch", "key", key), value is not None)
        self._replicas.write(replica, _REVISION, revision)
        return revision

    def delete(self, replica: Replica, key: str) -> int | None:
        """Append a deletion; return its revision, None where the key is not there."""
        return self.put(replica, key, None) if replica.data.get(("watch", "key", key)) else None

    def compact(self, replica: Replica, revision: int) -> None:
        """Refuse watches from before `revision` from now on."""
        if not self.compacted(replica) < revision <= self.revision(replica):
            raise Definite("it is compacted already, or there is no such revision yet")
        self._replicas.write(replica, _COMPACTED, revision)

    def begin(self, replica: Replica, start: int | None) -> int:
        """Return the first revision that a new watch delivers."""
        return self.revision(replica) + 1 if start is None else start

    def changes(self, replica: Replica, start: int) -> Sequence[Change]:
        """Return the changes of a node's copy from `start` to the newest.

        Raises:
            Definite: they are kept no more.
        """
        compacted = self.compacted(replica)
        if start < compacted:
            raise Definite(f"compacted: revisions before {compacted} are kept no more", observed=compacted)
        return [replica.data[("watch", revision)] for revision in range(start, self.revision(replica) + 1)]

    def after_cancel(self, replica: Replica, start: int) -> Sequence[Change]:
        """Return what is sent for a watch that was cancelled before it came to `start`: nothing."""
        return ()


class MemoryWatch(MemoryFacet):
    """A client of the log on one node."""

    def __init__(self, watches: Watches, replica: Replica) -> None:
        super().__init__(replica)
        self._watches = watches
        self._begun: tuple[str, int] | None = None

    async def put(self, key: str, value: Any) -> int:
        return await self._at_once(lambda: self._watches.put(self._replica, key, value))

    async def delete(self, key: str) -> int | None:
        return await self._at_once(lambda: self._watches.delete(self._replica, key))

    async def revision(self) -> int:
        return await self._at_once(lambda: self._watches.revision(self._replica))

    async def compact(self, revision: int) -> None:
        await self._at_once(lambda: self._watches.compact(self._replica, revision))

    async def watch(self, prefix: str, start: int | None = None) -> AsyncIterator[Change]:
        """Follow the node's copy, also while that is in no group."""
        self._begun = (prefix, start or 0)
        while True:
            if self._node.dead():
                raise Definite(f"connection lost: the server of {self._node.name} died")
            if self._node.running:
                start = self._watches.begin(self._replica, start)
                for change in self._watches.changes(self._replica, start):
                    start = max(start, change.revision + 1)
                    self._begun = (prefix, start)
                    if change.key.startswith(prefix):
                        yield change
            await asyncio.sleep(POLL_S)

    async def cancel(self) -> Sequence[Change]:
        if self._begun is None:
            return []
        (prefix, start), self._begun = self._begun, None
        late = self._watches.after_cancel(self._replica, start)
        return [change for change in late if change.key.startswith(prefix)]
