"""Locks that end by themselves: few of them, many clients, holds under and over the time to live, and frozen holders.

While it believes that it holds, a client writes to resources outside the system (workloads/guarded.py). Its belief is
what a careful program's is: counted by its own clock, from before it asked for the lock or for its last extension. A
client that *freezes* looks at its clock, falls silent for longer than the time to live, and then writes without
another look: no lock can keep it from that, only a fence can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any, Final

from checkers.leases import HonestLocks
from checkers.liveness import Liveness
from checkers.mutual_exclusion import MutualExclusion
from harness.errors import ContractError, Definite
from harness.facets import Grant, Lock
from harness.generator import Generator, Script, on_keys, once, repeat, script, sleep, then, time_limit, until_ok
from harness.op import Call
from harness.protocols import Checker, Client
from workloads.guarded import Guarded
from workloads.workload import FacetClient, ttl_option

KEYS: Final = 6
TTL_S: Final = 3.0
"""The longest time to live; the others are two thirds and one third of it."""

LATE_TTLS: Final = 2.0
"""A lock that is there for so many times the longest TTL after its end is late: room for a new leader's extension."""

STUCK_S: Final = 10.0
"""In the end every lock can be taken within this time, or within that of a late one."""

PAUSE_S: Final = 0.1
"""Mean time between two tries; a client that looks all the time would leave no lock to others' waiting acquires."""


@dataclass(slots=True)
class _Holding:
    """What a client knows of its grant."""

    grant: Grant
    ttl_s: float
    until_s: float
    frozen: bool = False


class LockClient(FacetClient):
    """acquire, try_acquire, extend, is_held, release on a Lock; freeze, and write to what the lock guards."""

    _facet: Lock

    def __init__(self, facet: Lock, guarded: Guarded) -> None:
        super().__init__(facet)
        self._guarded = guarded
        self._holdings: dict[str, _Holding] = {}

    async def invoke(self, call: Call) -> Any:
        """Do one call; the completion's value has the grant's token, and what was answered."""
        if call.f in ("acquire", "try_acquire"):
            return await self._take(call)
        holding = self._holdings.get(call.key)
        if holding is None:
            raise Definite("it has no grant of this lock")
        token = holding.grant.token
        if call.f == "extend":
            return {"token": token, "held": await self._extend(holding)}
        if call.f == "is_held":
            return {"token": token, "held": self._told(holding, await self._facet.is_held(holding.grant))}
        if call.f == "release":
            holding.until_s = 0.0
            held = await self._facet.release(holding.grant)
            del self._holdings[call.key]
            return {"token": token, "held": held}
        if call.f == "freeze":
            self._look(holding)
            holding.frozen = True
            return {"token": token}
        if call.f == "write":
            return await self._write(call.key, holding)
        raise ContractError(f"a lock has no operation {call.f!r}")

    async def _take(self, call: Call) -> Any:
        asked_s, ttl_s = _now_s(), call.value["ttl_s"]
        take = self._facet.acquire if call.f == "acquire" else self._facet.try_acquire
        grant = await take(call.key, ttl_s)
        ttl_s = ttl_s if grant.ttl_s is None else grant.ttl_s
        self._holdings[call.key] = _Holding(grant, ttl_s, asked_s + ttl_s)
        value = {"token": grant.token, "ttl_s": ttl_s, "id": grant.id}
        return value | {"ended": True} if grant.ended else value

    async def _extend(self, holding: _Holding) -> bool:
        asked_s = _now_s()
        held = self._told(holding, await self._facet.extend(holding.grant, holding.ttl_s))
        if held:
            holding.until_s = asked_s + holding.ttl_s
        return held

    @staticmethod
    def _told(holding: _Holding, held: bool) -> bool:
        if not held:
            holding.until_s = 0.0
        return held

    @staticmethod
    def _look(holding: _Holding) -> None:
        if _now_s() >= holding.until_s:
            raise Definite("it does not believe that it holds the lock")

    async def _write(self, key: str, holding: _Holding) -> Any:
        """Look at the clock, unless it froze after its last look, and write; a client process may freeze in between."""
        if not holding.frozen:
            self._look(holding)
        holding.frozen = False
        await self.alive()
        token = holding.grant.token
        access = self._guarded.write(key, token)
        return {"token": token, "sequence": access.sequence, "fenced": access.fenced}


def _now_s() -> float:
    """Return the client's own monotonic time, which is the event loop's."""
    return asyncio.get_running_loop().time()


class LockWorkload:
    """Clients take one of KEYS locks, mostly for a short TTL, hold it in one of five ways, and go on to the next.

    Args:
        options: ttl_s, the longest time to live in seconds.
    """

    name = "lock"
    summary = "locks with a time to live, held by one client at a time; frozen holders, fencing tokens"
    facets: Sequence[str] = ("lock",)
    options: Mapping[str, Sequence[str]] = MappingProxyType({"ttl_s": ()})

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._ttl_s = ttl_option(options, TTL_S)
        self._late_s = LATE_TTLS * self._ttl_s
        self._keys = [f"l{number}" for number in range(KEYS)]
        self._guarded = Guarded()

    def client(self, facet: Lock) -> Client:
        """Return a client of a lock, and of what all the run's locks guard."""
        return LockClient(facet, self._guarded)

    def generator(self) -> Generator:
        """Return what each process does, without end."""
        return script(self._process)

    def final(self) -> Generator:
        """Return tries until every lock was taken once more, given up when it is far too late."""
        take = Call("try_acquire", None, {"ttl_s": self._ttl_s})
        tries = until_ok(repeat(then(once(take), sleep(PAUSE_S))))
        return time_limit(2 * (self._ttl_s + self._late_s), on_keys(lambda: self._keys, 1, lambda _: tries))

    def checkers(self) -> Sequence[Checker]:
        """Return mutual exclusion with its fences, the honesty of the leases below, and that no lock is stuck."""
        free = Liveness(("try_acquire",), max(STUCK_S, self._ttl_s + self._late_s), exclusive=True)
        return (MutualExclusion(), HonestLocks(late_s=self._late_s), free)

    def _process(self, random: Random) -> Script:
        ways = (self._short,) * 4 + (self._extended, self._outlived, self._left) + (self._frozen,) * 2
        while True:
            key = random.choice(self._keys)
            ttl_s = round(self._ttl_s * random.choice((1, 1, 2, 3)) / 3, 3)
            f = "try_acquire" if random.random() < 0.7 else "acquire"
            if (yield Call(f, key, {"ttl_s": ttl_s})) == "ok":
                yield from random.choice(ways)(random, key, ttl_s)
            yield random.uniform(0, 2 * PAUSE_S)

    @staticmethod
    def _short(random: Random, key: str, ttl_s: float) -> Script:
        """Hold for less than the TTL."""
        for _ in range(random.randint(1, 4)):
            yield Call("write", key)
            yield random.uniform(0, ttl_s / 8)
            yield Call(random.choice(("is_held", "extend", "write")), key)
        yield Call("release", key)

    @staticmethod
    def _extended(random: Random, key: str, ttl_s: float) -> Script:
        """Hold for longer than the TTL, and extend in time."""
        for _ in range(random.randint(3, 8)):
            yield random.uniform(0.2, 0.6) * ttl_s
            if (yield Call("extend", key)) != "ok" or (yield Call("write", key)) != "ok":
                break
        yield Call("release", key)

    @staticmethod
    def _outlived(random: Random, key: str, ttl_s: float) -> Script:
        """Do nothing until the TTL is over or nearly so, then ask, extend or give back what may be another's now."""
        yield Call("write", key)
        yield random.uniform(0.7, 2) * ttl_s
        for f in random.sample(("is_held", "extend", "release"), 3):
            yield Call(f, key)

    def _frozen(self, random: Random, key: str, ttl_s: float) -> Script:
        """Freeze for longer than the TTL, and sometimes for so long that nothing of the lock may be left."""
        yield Call("write", key)
        yield random.uniform(0, ttl_s / 2)
        if (yield Call("freeze", key)) == "ok":
            longest_s = self._late_s + 2 * ttl_s if random.random() < 0.2 else 2 * ttl_s
            yield random.uniform(1.05 * ttl_s, longest_s)
            yield Call("write", key)
        yield Call(random.choice(("is_held", "extend")), key)
        yield Call("release", key)

    @staticmethod
    def _left(random: Random, key: str, ttl_s: float) -> Script:
        """Write, and go away without a word."""
        yield Call("write", key)
