"""Registers: many keys, a few clients on each at a time, all reads and writes must be linearizable.

Written values are unique on their key and a failed cas records what it saw, because that is what lets the checker
decide long histories: every read then names the one write that it saw.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, Final

from checkers import linearizable
from checkers.liveness import Liveness
from harness.errors import ContractError
from harness.facets import Register
from harness.generator import Generator, calls, limit, mix, on_keys, once, repeat, until_ok
from harness.op import Call
from harness.protocols import Checker, Client
from workloads.workload import FacetClient

CLIENTS_PER_KEY: Final = 5
OPS_PER_KEY: Final = 200
RECENT: Final = 2
"""A cas expects one of the last RECENT values that were sent: likely enough to succeed, and to fail."""

STUCK_S: Final = 10.0
"""A key that cannot be read for so long, after all was healed, is stuck."""


class RegisterClient(FacetClient):
    """read, write and cas on a Register."""

    _facet: Register

    async def invoke(self, call: Call) -> Any:
        """Do one call; a read's value is what was read."""
        if call.f == "read":
            return await self._facet.read(call.key)
        if call.f == "write":
            await self._facet.write(call.key, call.value)
        elif call.f == "cas":
            old, new = call.value
            await self._facet.cas(call.key, old, new)
        else:
            raise ContractError(f"a register has no operation {call.f!r}")
        return call.value


class _Key:
    """What is asked of one key: the values 1, 2, … are each sent once."""

    def __init__(self) -> None:
        self._values = itertools.count(1)
        self._recent: list[int | None] = [None]

    def _new(self) -> int:
        value = next(self._values)
        self._recent = [*self._recent[1 - RECENT :], value]
        return value

    def write(self, random: Random) -> Call:
        return Call("write", None, self._new())

    def cas(self, random: Random) -> Call:
        old = self._recent[int(random.random() * len(self._recent))]
        return Call("cas", None, [old, self._new()])


_READ: Final = Call("read")


class RegisterWorkload:
    """Half reads, a quarter writes, a quarter cas, on keys that rotate every OPS_PER_KEY operations.

    How a register is read (`reads`) is an option of the system's.

    Args:
        options: none of its own.
    """

    name = "register"
    summary = "read, write and compare-and-set on many keys; each key must be linearizable"
    facets: Sequence[str] = ("register",)
    options: Mapping[str, Sequence[str]] = MappingProxyType({})

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._used: list[str] = []

    def client(self, facet: Register) -> Client:
        """Return a client of a register."""
        return RegisterClient(facet)

    def generator(self) -> Generator:
        """Return the rotating mix, without end."""
        return on_keys(self._fresh_keys, CLIENTS_PER_KEY, self._on_key)

    def final(self) -> Generator:
        """Return one successful read of every key that was used."""
        return on_keys(lambda: self._used, 1, lambda _: until_ok(repeat(once(_READ))))

    def checkers(self) -> Sequence[Checker]:
        """Return the linearizability of every key, and that every one can be read in the end."""
        return (linearizable("cas-register"), Liveness(("read",), STUCK_S))

    def _fresh_keys(self) -> Iterator[str]:
        for number in itertools.count():
            self._used.append(f"k{number}")
            yield self._used[-1]

    @staticmethod
    def _on_key(_: Any) -> Generator:
        key = _Key()
        read = calls(lambda _: _READ)
        return limit(OPS_PER_KEY, mix(read, read, calls(key.write), calls(key.cas)))
