"""Watches by prefix, beside writers: from now, from an old revision, from the next one, from one to come.

Each watch is one operation on a stream of its own: it collects changes for a while, cancels, and is done. Where it
begins is chosen when it is asked for, from what the clients were told so far; so a watch goes on at any node where
another one ended, and a compaction now and then makes the oldest starts impossible.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, Final

from msgspec import UNSET

from checkers.liveness import Liveness
from checkers.watch import WatchChecker
from harness.errors import ContractError, Definite, OpError
from harness.facets import FROM_NOW, Change, Watch
from harness.generator import Generator, calls, mix, on_keys, until_ok
from harness.op import Call
from harness.protocols import Checker, Client
from workloads.workload import FacetClient

PREFIXES: Final = ("a/", "b/", "c/")
KEYS_PER_PREFIX: Final = 4
WATCH_S_MAX: Final = 0.15
"""How long a watch collects, at most: a small part of what an operation may take."""
FINAL_WATCH_S: Final = 0.5
STUCK_S: Final = 10.0
"""A prefix whose newest change no watch delivers for so long, after all was healed, is stuck."""
CANCEL_S: Final = 0.1
"""How long a watch waits to hear that its cancellation arrived; what it saw counts without that too."""
BACK_MAX: Final = 80
AHEAD_MAX: Final = 10
KEPT: Final = 40
"""A compaction leaves so many revisions, fewer than a watch may go back."""


class _Known:
    """What the clients of a run were told.

    Attributes:
        newest: revision.
        compacted: the first revision that may be asked for, as far as that is known.
        next: of each prefix, the revision after the last one that a watch delivered.
        written: of each prefix, the newest revision that an acknowledged write has.
        from_now: the service keeps no changes, so that a watch can only begin now.
    """

    def __init__(self) -> None:
        self.newest = 0
        self.compacted = 1
        self.next: dict[str, int] = {}
        self.written: dict[str, int] = {}
        self.from_now = False

    def wrote(self, key: str, revision: int) -> None:
        """Learn of an acknowledged write."""
        self.newest = max(self.newest, revision)
        prefix = key.partition("/")[0] + "/"
        self.written[prefix] = max(self.written.get(prefix, 0), revision)

    def delivered(self, prefix: str, revision: int) -> None:
        """Learn of the last change that a watch delivered."""
        self.newest = max(self.newest, revision)
        self.next[prefix] = max(self.next.get(prefix, 0), revision + 1)


class WatchClient(FacetClient):
    """put, delete, revision, compact, and watch for a while."""

    _facet: Watch

    def __init__(self, facet: Watch, known: _Known) -> None:
        super().__init__(facet)
        self._known = known

    async def invoke(self, call: Call) -> Any:
        """Do one call.

        Returns:
            put: {"value", "revision"}; delete: {"revision"}; revision: a number; compact: what was asked;
            watch: {"changes": [[revision, key, value], …]}, without the value where that is not told, with "late", the
            changes after the cancel, and "ended", why it broke off, where there are any.
        """
        if call.f == "watch":
            return await self._watch(call.key, **call.value)
        if call.f == "put":
            revision = await self._facet.put(call.key, call.value)
            self._known.wrote(call.key, revision)
            return {"value": call.value, "revision": revision}
        if call.f == "delete":
            deleted = await self._facet.delete(call.key)
            if deleted is not None:
                self._known.wrote(call.key, deleted)
            return {"revision": deleted}
        if call.f == "revision":
            newest = await self._facet.revision()
            self._known.newest = max(self._known.newest, newest)
            return newest
        if call.f == "compact":
            await self._facet.compact(call.value)
            self._known.compacted = max(self._known.compacted, call.value)
            return call.value
        raise ContractError(f"a watch has no operation {call.f!r}")

    async def _watch(self, prefix: str, start: int | None, seconds: float, until: int | None = None) -> Any:
        """Collect changes for `seconds`, or up to revision `until`, which then must come."""
        found: dict[str, Any] = {"changes": []}
        changes = found["changes"]
        try:
            async with asyncio.timeout(seconds):
                async for change in self._facet.watch(prefix, start):
                    changes.append(_recorded(change))
                    if until is not None and change.revision >= until:
                        break
        except TimeoutError:
            pass
        except OpError as reason:
            self._known.from_now |= reason.observed == FROM_NOW
            if type(reason.observed) is int:
                self._known.compacted = max(self._known.compacted, reason.observed)
            if not changes:
                raise
            found["ended"] = reason.error
        if "ended" not in found:
            with contextlib.suppress(OpError, TimeoutError):
                async with asyncio.timeout(CANCEL_S):
                    late = await self._facet.cancel()
                    if late:
                        found["late"] = [_recorded(change) for change in late]
        if changes:
            self._known.delivered(prefix, max(change[0] for change in changes))
        if until is not None and (not changes or changes[-1][0] < until):
            raise Definite(f"the changes up to revision {until} did not come within {seconds:g} s")
        return found


def _recorded(change: Change) -> list[Any]:
    """Return a change as the history has it: without a value where the service does not tell it."""
    told = [] if change.value is UNSET else [change.value]
    return [change.revision, change.key, *told]


class WatchWorkload:
    """Writers and watchers in equal parts; values are unique.

    Args:
        options: none.
    """

    name = "watch"
    summary = "watches by prefix beside writers: every change once, in order, without a gap, from its start on"
    facets: Sequence[str] = ("watch",)
    options: Mapping[str, Sequence[str]] = MappingProxyType({})

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._known = _Known()
        self._values = itertools.count(1)

    def client(self, facet: Watch) -> Client:
        """Return a client of a watch."""
        return WatchClient(facet, self._known)

    def generator(self) -> Generator:
        """Return the mix, without end."""
        return mix(*[calls(self._write)] * 10, *[calls(self._watch)] * 9, calls(self._look))

    def final(self) -> Generator:
        """Return a watch of each prefix from the first revision that is kept to the newest."""

        def of(prefix: str) -> Generator:
            return until_ok(calls(lambda _: self._last(prefix)))

        return on_keys(lambda: PREFIXES, 1, of)

    def checkers(self) -> Sequence[Checker]:
        """Return the promises of watches, and that they come to the newest change in the end."""
        return (WatchChecker(), Liveness(("watch",), STUCK_S))

    def _write(self, random: Random) -> Call:
        key = f"{random.choice(PREFIXES)}{random.randrange(KEYS_PER_PREFIX)}"
        return Call("delete", key) if random.random() < 0.2 else Call("put", key, next(self._values))

    def _watch(self, random: Random) -> Call:
        known, prefix = self._known, random.choice(PREFIXES)
        seconds = round(random.uniform(0.01, WATCH_S_MAX), 3)
        starts = (
            None,
            max(1, known.newest - random.randrange(BACK_MAX)),
            known.next.get(prefix),
            known.next.get(prefix),
            known.compacted,
            known.newest + random.randrange(1, AHEAD_MAX),
        )
        start = None if known.from_now else random.choice(starts)
        return Call("watch", prefix, {"start": start, "seconds": seconds})

    def _look(self, random: Random) -> Call:
        revision = self._known.newest - KEPT
        if revision > self._known.compacted and not self._known.from_now and random.random() < 0.3:
            return Call("compact", None, revision)
        return Call("revision")

    def _last(self, prefix: str) -> Call:
        if self._known.from_now:
            return Call("watch", prefix, {"start": None, "seconds": WATCH_S_MAX})
        start, until = self._known.compacted, self._known.written.get(prefix, 0)
        asked: dict[str, Any] = {"start": start, "seconds": FINAL_WATCH_S}
        return Call("watch", prefix, asked | {"until": until} if until >= start else asked)
