"""Facet "election" on Consul: the leader's session holds an entry, whose value is the candidate's name.

The term is the entry's LockIndex. Sessions live from once to twice their time to live, as those of locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

from clusters.consul.calls import Entry, encode, get_entry, path_of
from clusters.consul.holding import Held, Holding
from clusters.observing import change
from harness.errors import Definite, Indefinite
from harness.facets import ElectionEvent, Leadership

RENEWALS_PER_TTL: Final = 3
WATCH_S: Final = 1.0
POLL_S: Final = 0.05
_SPACE: Final = "election"


class ConsulElection(Holding):
    """Elections by way of one Consul server; a leadership is renewed and resigned by the client that won it."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._sessions: dict[tuple[str, int], str] = {}

    async def campaign(self, election: str, candidate: str, ttl_s: float) -> Leadership:
        """Lock the entry as soon as it is free; the session that waits is kept alive: the call is under way."""
        session, entry = await self.begin(ttl_s), None
        try:
            while True:
                try:
                    won = await self.take(_SPACE, election, encode(candidate), session)
                    break
                except Held:
                    entry = await self._look(election, entry, ttl_s / RENEWALS_PER_TTL)
                    if not await self._prolong_idle(session):
                        session = await self.begin(ttl_s)
        except Definite:
            await self.end(session)
            raise
        self._sessions[election, won.lock_index] = session
        return Leadership(candidate, won.lock_index)

    async def renew(self, election: str, leadership: Leadership) -> bool:
        """Renew the session."""
        return await self.prolong(self._session(election, leadership))

    async def resign(self, election: str, leadership: Leadership) -> bool:
        """Unlock the entry, and end the session."""
        return await self.give_back(_SPACE, election, self._session(election, leadership))

    async def leader(self, election: str) -> Leadership | None:
        """Return whose session holds the entry, by a consistent read."""
        return _leadership(await get_entry(self._connection, path_of(_SPACE, election), "consistent"))

    async def watch(self, election: str) -> AsyncGenerator[ElectionEvent, None]:
        """Yield who leads now, and every change that a blocking query returns with."""
        entry: Entry | None = None
        last: Any = ()
        while True:
            entry = await self._look(election, entry, WATCH_S)
            leadership = _leadership(entry)
            if leadership != last:
                yield change(last, leadership)
                last = leadership

    async def _look(self, election: str, before: Entry | None, wait_s: float) -> Entry | None:
        """Return the entry, by a consistent read that waits while it is still the one of before."""
        mode = "consistent"
        if before is not None:
            mode = f"consistent&index={before.modify_index}&wait={round(wait_s * 1000)}ms"
        entry = await get_entry(self._connection, path_of(_SPACE, election), mode)
        if entry is None:  # nobody has led yet; there is nothing to wait for
            await asyncio.sleep(POLL_S)
        return entry

    async def _prolong_idle(self, session: str) -> bool:
        """Renew a session that holds nothing, so that whatever goes wrong is definite."""
        try:
            return await self.prolong(session)
        except Indefinite as error:
            raise Definite(f"lost while it waited: {error.error}") from None

    def _session(self, election: str, leadership: Leadership) -> str:
        try:
            return self._sessions[election, leadership.term]
        except KeyError:
            raise Definite("this leadership was won by another client") from None


def _leadership(entry: Entry | None) -> Leadership | None:
    return Leadership(entry.value, entry.lock_index) if entry is not None and entry.session else None
