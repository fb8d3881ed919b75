"""Leases that are kept alive through any node: each has a key that must be there as long as it stands, and no longer.

A lease is granted by one client and belongs to all: whoever comes by keeps it alive or reads its key, through its own
node. After a while it is revoked, or nobody keeps it alive any more; its key is read on, until it must be gone.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, Final

from checkers.lease_keys import LeasedKeys
from checkers.liveness import Liveness
from harness.errors import ContractError, Definite
from harness.facets import Leases
from harness.generator import Generator, Script, on_keys, once, repeat, script, until_ok
from harness.op import Call
from harness.protocols import Checker, Client
from workloads.workload import FacetClient

TTL_S: Final = 2.0
LATE_S: Final = 4.0
"""A key that is there for so long after its lease's end is late: room for a new leader's extension."""

ALIVE: Final = 8
"""Leases that are kept alive at a time."""
RENEWALS_MAX: Final = 20
"""After a few renewals, this many at most, nobody keeps a lease alive any more."""
ENDED: Final = 40
"""As many leases that nobody keeps alive are still looked at: for some ten seconds."""
REVOKED: Final = 0.3
TOO_LATE: Final = 0.03
"""How often somebody comes by who keeps a lease alive that may have ended long ago."""
PAUSE_S: Final = 0.15
"""Mean time between two operations of one client."""
STUCK_S: Final = 10.0
"""A key that cannot be read for so long, after all was healed, is stuck."""


class LeaseClient(FacetClient):
    """grant, attach, keep_alive, revoke and read; a lease is known by the name that the workload gave it.

    Args:
        facet: unopened.
        ids: by name, the service's ids of all clients' leases.
    """

    _facet: Leases

    def __init__(self, facet: Leases, ids: dict[str, Any]) -> None:
        super().__init__(facet)
        self._ids = ids

    async def invoke(self, call: Call) -> Any:
        """Do one call.

        Returns:
            grant: {"id", "ttl_s"}; keep_alive, revoke: {"held"}, whether it had not ended; attach: the value; read: the
            key's value.
        """
        if call.f == "read":
            return await self._facet.read(_key(call.key))
        if call.f == "grant":
            granted = await self._facet.grant(call.value["ttl_s"])
            self._ids[call.key] = granted.id
            return {"id": granted.id, "ttl_s": granted.ttl_s}
        lease = self._ids.get(call.key)
        if lease is None:
            raise Definite("there is no lease of this name")
        if call.f == "attach":
            await self._facet.attach(_key(call.key), call.value, lease)
            return call.value
        if call.f == "keep_alive":
            return {"held": await self._facet.keep_alive(lease)}
        if call.f == "revoke":
            return {"held": await self._facet.revoke(lease)}
        raise ContractError(f"a lease has no operation {call.f!r}")


def _key(name: str) -> str:
    return f"leased {name}"


class LeaseWorkload:
    """A few leases at a time, each kept alive by all clients for a while.

    Args:
        options: none.
    """

    name = "lease"
    summary = "keys tied to leases that are kept alive through any node, revoked or left: there as long, and no longer"
    facets: Sequence[str] = ("leases",)
    options: Mapping[str, Sequence[str]] = MappingProxyType({})

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._ids: dict[str, Any] = {}
        self._numbers = itertools.count(1)
        self._alive: dict[str, int] = {}
        self._ended: deque[str] = deque(maxlen=ENDED)

    def client(self, facet: Leases) -> Client:
        """Return a client of leases."""
        return LeaseClient(facet, self._ids)

    def generator(self) -> Generator:
        """Return what each process does, without end."""
        return script(self._process)

    def final(self) -> Generator:
        """Return one successful read of the key of every lease of late."""
        tries = until_ok(repeat(once(Call("read"))))
        return on_keys(lambda: [*self._alive, *self._ended], 1, lambda _: tries)

    def checkers(self) -> Sequence[Checker]:
        """Return the honesty of the leases, by their keys, and that these can be read in the end."""
        return (LeasedKeys(late_s=LATE_S), Liveness(("read",), STUCK_S))

    def _process(self, random: Random) -> Script:
        while True:
            yield random.uniform(0, 2 * PAUSE_S)
            if len(self._alive) < ALIVE and random.random() < 0.5:
                yield from self._begin(random)
            elif self._alive and random.random() < 0.3:
                yield self._renew(random)
            elif self._ended and random.random() < TOO_LATE:
                yield Call("keep_alive", random.choice(self._ended))
            elif self._alive or self._ended:
                yield Call("read", random.choice([*self._alive, *self._ended]))

    def _begin(self, random: Random) -> Script:
        number = next(self._numbers)
        name = f"s{number}"
        if (yield Call("grant", name, {"ttl_s": TTL_S})) == "ok" and (yield Call("attach", name, number)) == "ok":
            self._alive[name] = random.randint(1, RENEWALS_MAX)

    def _renew(self, random: Random) -> Call:
        """Keep a lease alive; the last time that may be by a revoke instead."""
        name = random.choice(list(self._alive))
        self._alive[name] -= 1
        if self._alive[name]:
            return Call("keep_alive", name)
        del self._alive[name]
        self._ended.append(name)
        return Call("revoke" if random.random() < REVOKED else "keep_alive", name)
