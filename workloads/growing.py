"""What the workloads set and append share: a register holds a list that grows by a cas of what was just read.

So every system with a register has these workloads. Growing is one operation of two requests: the read has no effect,
and the cas does all of it at one instant, or nothing where another client was faster.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, Final

from checkers import checker_for
from checkers.liveness import Liveness
from harness.errors import ContractError, Definite
from harness.facets import Register
from harness.generator import Generator, calls, limit, mix, on_keys, once, repeat, until_ok
from harness.op import Call
from harness.protocols import Checker, Client
from workloads.workload import FacetClient

CLIENTS_PER_KEY: Final = 5
OPS_PER_KEY: Final = 80
"""So few that the lists stay short: each read has the whole one."""

STUCK_S: Final = 10.0
"""A key that cannot be read for so long, after all was healed, is stuck."""

_READ: Final = Call("read")


class GrowingClient(FacetClient):
    """read, and `grow` under the name that the workload gives it."""

    _facet: Register

    def __init__(self, facet: Register, grow: str) -> None:
        super().__init__(facet)
        self._grow = grow

    async def invoke(self, call: Call) -> Any:
        """Do one call; a read's value is the whole list."""
        if call.f == "read":
            return await self._facet.read(call.key) or []
        if call.f != self._grow:
            raise ContractError(f"the list has no operation {call.f!r}")
        before = await self._facet.read(call.key)
        try:
            await self._facet.cas(call.key, before, [*(before or []), call.value])
        except Definite as reason:
            # What the cas observed is not the outcome of this operation, which is to add one element.
            raise Definite(reason.error) from None
        return call.value


class GrowingWorkload:
    """Elements 1, 2, … are each sent once to a key; keys rotate every OPS_PER_KEY operations.

    How a register is read (`reads`) is an option of the system's.

    Args:
        options: none of its own.
    """

    name: str
    summary: str
    grow: str
    """The name of the operation that makes the list longer."""
    facets: Sequence[str] = ("register",)
    options: Mapping[str, Sequence[str]] = MappingProxyType({})

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._used: list[str] = []

    def client(self, facet: Register) -> Client:
        """Return a client of a register."""
        return GrowingClient(facet, self.grow)

    def generator(self) -> Generator:
        """Return half growing and half reading, without end."""
        return on_keys(self._fresh_keys, CLIENTS_PER_KEY, self._on_key)

    def final(self) -> Generator:
        """Return one successful read of every key that was used."""
        return on_keys(lambda: self._used, 1, lambda _: until_ok(repeat(once(_READ))))

    def checkers(self) -> Sequence[Checker]:
        """Return the linearizability of every key, and that every one can be read in the end."""
        return (checker_for(self.name), Liveness(("read",), STUCK_S))

    def _fresh_keys(self) -> Iterator[str]:
        for number in itertools.count():
            self._used.append(f"{self.name}{number}")
            yield self._used[-1]

    def _on_key(self, _: Any) -> Generator:
        elements = itertools.count(1)

        def grow(_: Random) -> Call:
            return Call(self.grow, None, next(elements))

        return limit(OPS_PER_KEY, mix(calls(grow), calls(lambda _: _READ)))
