"""Elections: candidates campaign, lead in one of five ways, and observers ask and watch who leads.

While it leads, a client writes to resources outside the system (workloads/guarded.py), with its term as the fence. It
believes that it leads for as long as its own clock allows, counted from before its campaign or its last renewal. One
that *freezes* looks at its clock, falls silent for longer than the time to live, and then writes without another look.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, Final

from checkers.elections import Elections
from checkers.liveness import Liveness
from harness.errors import ContractError, Definite
from harness.facets import Election, Leadership
from harness.generator import Generator, Script, calls, limit, on_keys, once, repeat, script, sleep, then, until_ok
from harness.op import Call
from harness.protocols import Checker, Client
from workloads.guarded import Guarded
from workloads.workload import FacetClient, ttl_option

ELECTIONS: Final = 6
TTL_S: Final = 2.0
WATCH_SHARE: Final = 0.25
"""How long a watch is, in times to live: less than an operation may take."""

STUCK_S: Final = 10.0
STUCK_TTLS: Final = 5.0
"""Nobody is elected, in spite of tries, for so long, and for so many times to live: then it is stuck."""

OBSERVERS: Final = 0.5
"""Share of the turns in which a process looks on, in place of campaigning."""


class ElectionClient(FacetClient):
    """campaign, renew, resign, leader and watch on an Election; freeze, and write to what the leader guards."""

    _facet: Election

    def __init__(self, facet: Election, guarded: Guarded) -> None:
        super().__init__(facet)
        self._guarded = guarded
        self._leadership: Leadership | None = None
        self._ttl_s = 0.0
        self._until_s = 0.0
        self._frozen = False

    async def invoke(self, call: Call) -> Any:
        """Do one call; the completion's value has the leadership, and what was answered."""
        if call.f == "campaign":
            return await self._campaign(call)
        if call.f == "leader":
            found = await self._facet.leader(call.key)
            return None if found is None else {"id": found.id, "term": found.term}
        if call.f == "watch":
            return await self._watch(call.key, call.value["for_s"])
        leadership = self._leadership
        if leadership is None:
            raise Definite("it does not lead")
        value = {"id": leadership.id, "term": leadership.term}
        if call.f == "renew":
            return value | {"held": await self._renew(call.key, leadership)}
        if call.f == "resign":
            self._leadership = None
            return value | {"held": await self._facet.resign(call.key, leadership)}
        if call.f == "freeze":
            self._look()
            self._frozen = True
            return value
        if call.f == "write":
            if not self._frozen:
                self._look()
            self._frozen = False
            await self.alive()  # a client process may freeze between the look and the write
            access = self._guarded.write(call.key, leadership.term)
            return value | {"sequence": access.sequence, "fenced": access.fenced}
        raise ContractError(f"an election has no operation {call.f!r}")

    async def _campaign(self, call: Call) -> Any:
        asked_s, candidate, self._ttl_s = _now_s(), call.value["id"], call.value["ttl_s"]
        self._leadership, self._frozen = None, False
        self._leadership = await self._facet.campaign(call.key, candidate, self._ttl_s)
        self._until_s = asked_s + self._ttl_s
        return {"id": self._leadership.id, "term": self._leadership.term, "ttl_s": self._ttl_s}

    async def _renew(self, election: str, leadership: Leadership) -> bool:
        asked_s = _now_s()
        held = await self._facet.renew(election, leadership)
        if held:
            self._until_s = asked_s + self._ttl_s
        else:
            self._leadership = None
        return held

    async def _watch(self, election: str, for_s: float) -> Any:
        begin_s, seen = _now_s(), []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(for_s):  # cancels the stream in the middle of its wait, which ends it
                async for event in self._facet.watch(election):
                    told: dict[str, Any] = {"ns": int((_now_s() - begin_s) * 1e9), "kind": event.kind}
                    if event.leadership is not None:
                        told |= {"id": event.leadership.id, "term": event.leadership.term}
                    seen.append(told)
        return seen

    def _look(self) -> None:
        if _now_s() >= self._until_s:
            raise Definite("it does not believe that it leads any more")


def _now_s() -> float:
    """Return the client's own monotonic time, which is the event loop's."""
    return asyncio.get_running_loop().time()


class ElectionWorkload:
    """ELECTIONS elections; each process, again and again, looks on for a while or campaigns and then leads in some way.

    Args:
        options: ttl_s, the time to live of a leadership in seconds.
    """

    name = "election"
    summary = "candidates lead one at a time, in terms that grow; frozen and silent leaders, observers, fenced writes"
    facets: Sequence[str] = ("election",)
    options: Mapping[str, Sequence[str]] = MappingProxyType({"ttl_s": ()})

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._ttl_s = ttl_option(options, TTL_S)
        self._keys = [f"e{number}" for number in range(ELECTIONS)]
        self._candidates = itertools.count(1)
        self._guarded = Guarded()

    def client(self, facet: Election) -> Client:
        """Return a client of an election, and of what all the run's leaders guard."""
        return ElectionClient(facet, self._guarded)

    def generator(self) -> Generator:
        """Return what each process does, without end."""
        return script(self._process)

    def final(self) -> Generator:
        """Return campaigns until one was won in each election; what a cut off one left behind gets time to end."""
        campaign = limit(1, calls(lambda _: self._campaign()))
        tries = until_ok(repeat(then(campaign, sleep(1.5 * self._ttl_s))))
        looks = until_ok(repeat(once(Call("leader"))))
        return on_keys(lambda: self._keys, 1, lambda _: then(tries, looks))

    def checkers(self) -> Sequence[Checker]:
        """Return the promises of an election, and that somebody is elected in the end."""
        return (Elections(), Liveness(("campaign", "leader"), max(STUCK_S, STUCK_TTLS * self._ttl_s)))

    def _campaign(self, key: str | None = None) -> Call:
        return Call("campaign", key, {"id": f"c{next(self._candidates)}", "ttl_s": self._ttl_s})

    def _process(self, random: Random) -> Script:
        ways = (self._brief, self._brief, self._renewing, self._outlived, self._frozen, self._silent)
        while True:
            key = random.choice(self._keys)
            if random.random() < OBSERVERS:
                yield from self._observe(random, key)
            elif (yield self._campaign(key)) == "ok":
                yield from random.choice(ways)(random, key)
            yield random.uniform(0, 0.1) * self._ttl_s

    def _observe(self, random: Random, key: str) -> Script:
        """Ask who leads a few times, and watch for a while."""
        for _ in range(random.randint(1, 6)):
            yield Call("leader", key)
            yield random.uniform(0, 0.1) * self._ttl_s
        yield Call("watch", key, {"for_s": round(WATCH_SHARE * self._ttl_s, 3)})

    def _brief(self, random: Random, key: str) -> Script:
        """Write a few times, and resign."""
        for _ in range(random.randint(1, 3)):
            yield Call("write", key)
            yield random.uniform(0, 0.1) * self._ttl_s
        yield Call("resign", key)

    def _renewing(self, random: Random, key: str) -> Script:
        """Lead for longer than the time to live, renewing in time, and resign."""
        for _ in range(random.randint(2, 6)):
            yield random.uniform(0.2, 0.5) * self._ttl_s
            if (yield Call("renew", key)) != "ok" or (yield Call("write", key)) != "ok":
                break
        yield Call("resign", key)

    def _outlived(self, random: Random, key: str) -> Script:
        """Do nothing until the time is over or nearly so, then renew or resign what may be another's now."""
        yield random.uniform(0.7, 1.5) * self._ttl_s
        yield Call(random.choice(("renew", "resign")), key)
        yield Call("write", key)
        yield Call("resign", key)

    def _frozen(self, random: Random, key: str) -> Script:
        """Look at the clock, freeze for longer than the time to live, and write without another look."""
        yield Call("write", key)
        if (yield Call("freeze", key)) == "ok":
            yield random.uniform(1.05, 2) * self._ttl_s
            yield Call("write", key)
        yield Call("renew", key)
        yield Call("resign", key)

    def _silent(self, random: Random, key: str) -> Script:
        """Write, and go away without a word."""
        yield Call("write", key)
