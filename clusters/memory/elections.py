"""Facet "election" of the system `memory`: leaderships with a time to live and a term, kept in the replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Final, NamedTuple

from clusters.memory.facet import MemoryFacet
from clusters.memory.replicas import Replica, Replicas
from harness.facets import ElectionEvent, Leadership

POLL_S: Final = 0.01
"""How often a waiting campaign, or a watch, looks again."""


class Reign(NamedTuple):
    """The last leadership of an election.

    Attributes:
        leadership: which; None before the first.
        until_s: when it ends, by the clock of the event loop; 0 once its leader resigned.
        ttl_s: for how long a renewal lets it live.
    """

    leadership: Leadership | None = None
    until_s: float = 0.0
    ttl_s: float = 0.0

    @property
    def term(self) -> int:
        return 0 if self.leadership is None else self.leadership.term


class Elections:
    """All elections; every method is one step at one instant, on a replica that is in a group.

    Time is the event loop's, so that who brings a loop with a clock of its own brings the service's clock, too.

    Args:
        replicas: that hold the elections.
    """

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas

    def now_s(self) -> float:
        """Return the service's time."""
        return asyncio.get_running_loop().time()

    def last(self, replica: Replica, election: str) -> Reign:
        """Return the last leadership of an election, which may have ended."""
        found: Reign | None = self.replicas.read(replica, ("election", election))
        return found or Reign()

    def keep(self, replica: Replica, election: str, reign: Reign) -> None:
        """Write down the last leadership of an election."""
        self.replicas.write(replica, ("election", election), reign)

    def leader(self, replica: Replica, election: str) -> Leadership | None:
        """Return who leads now."""
        last = self.last(replica, election)
        return last.leadership if self.now_s() < last.until_s else None

    def elect(self, replica: Replica, election: str, candidate: str, ttl_s: float) -> Leadership | None:
        """Let a candidate lead if nobody does, in a new term; else return None."""
        if self.leader(replica, election) is not None:
            return None
        return self.crown(replica, election, Leadership(candidate, self.last(replica, election).term + 1), ttl_s)

    def crown(self, replica: Replica, election: str, leadership: Leadership, ttl_s: float) -> Leadership:
        """Let somebody lead, whoever else does."""
        self.keep(replica, election, Reign(leadership, self.now_s() + ttl_s, ttl_s))
        return leadership

    def renew(self, replica: Replica, election: str, leadership: Leadership) -> bool:
        """Let a leadership that stands live for its whole time again."""
        last = self.last(replica, election)
        if self.leader(replica, election) != leadership:
            return False
        self.keep(replica, election, last._replace(until_s=self.now_s() + last.ttl_s))
        return True

    def resign(self, replica: Replica, election: str, leadership: Leadership) -> bool:
        """End a leadership that stands."""
        last = self.last(replica, election)
        if self.leader(replica, election) != leadership:
            return False
        self.keep(replica, election, last._replace(until_s=0.0))
        return True

    def look(self, replica: Replica, election: str) -> Leadership | None:
        """Return what an observer is told who leads."""
        return self.leader(replica, election)

    def told(self, replica: Replica, election: str, before: Leadership | None) -> Leadership | None:
        """Return whom a watch is told of that was told of `before` last."""
        return self.leader(replica, election)


class MemoryElection(MemoryFacet):
    """Elections, by way of one node.

    Args:
        elections: of the system.
        replica: the node's.
    """

    def __init__(self, elections: Elections, replica: Replica) -> None:
        super().__init__(replica)
        self._elections = elections

    async def campaign(self, election: str, candidate: str, ttl_s: float) -> Leadership:
        while True:
            won = await self._at_once(lambda: self._elections.elect(self._replica, election, candidate, ttl_s))
            if won is not None:
                return won
            await asyncio.sleep(POLL_S)

    async def renew(self, election: str, leadership: Leadership) -> bool:
        return await self._at_once(lambda: self._elections.renew(self._replica, election, leadership))

    async def resign(self, election: str, leadership: Leadership) -> bool:
        return await self._at_once(lambda: self._elections.resign(self._replica, election, leadership))

    async def leader(self, election: str) -> Leadership | None:
        return await self._at_once(lambda: self._elections.look(self._replica, election))

    async def watch(self, election: str) -> AsyncGenerator[ElectionEvent, None]:
        before: Leadership | None = None
        while True:
            now = await self._at_once(partial(self._elections.told, self._replica, election, before))
            if now != before:
                yield ElectionEvent("resigned" if now is None else "changed" if before else "elected", now)
                before = now
            await asyncio.sleep(POLL_S)
