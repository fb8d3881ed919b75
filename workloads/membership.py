"""Membership: members come and go while registers are written, and everybody asks who is a member, and how they are.

Clients add *spares*, one at a time, and remove them again: members at an address where there is no server, so that
each change is a change of the cluster and of nothing else. A spare only listens: were it to vote, the cluster would
lose its quorum with it as soon as a fault takes a node, which `spares=voting` asks for. Nodes themselves leave and join
by the fault `membership`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, Final

import msgspec

from checkers import linearizable
from checkers.liveness import Liveness
from checkers.views import MemberViews
from harness.errors import ContractError, Definite
from harness.facets import Membership, Register
from harness.generator import Generator, Script, calls, every, mix, on_keys, once, phases, repeat, script, until_ok
from harness.history import History
from harness.op import Call
from harness.protocols import Checker, Client
from harness.verdict import Verdict
from workloads.register import RegisterClient, RegisterWorkload

CHANGE_S: Final = 0.4
"""Mean time from one change that is asked for to the next."""

FINAL_TRIES: Final = 25
"""How often a change is tried in the end: a cluster that was just disturbed may refuse it for seconds."""

STUCK_S: Final = 10.0
"""If nobody is told who the members are for so long, after all was healed, that is stuck."""

VOTING: Final = ("no", "yes")

_LOOKS: Final = (Call("members"), Call("members"), Call("health"), Call("leader"))
_REGISTER: Final = ("read", "write", "cas")


class _Spares:
    """What the clients know of the spares; their names are their addresses: of each node itself, without a server."""

    def __init__(self) -> None:
        self._addresses = (f"127.1.{high}.{low}" for high, low in itertools.product(range(256), range(1, 255)))
        self._asked: set[str] = set()
        self._present: dict[str, None] = {}

    def new(self) -> str:
        """Return the name of a spare that never was."""
        name = next(self._addresses)
        self._asked.add(name)
        return name

    def oldest(self) -> str | None:
        """Return a spare that is a member, as far as is known."""
        return next(iter(self._present), None)

    def came(self, name: str) -> None:
        """Learn that a spare is a member, or may be one."""
        self._present[name] = None

    def went(self, name: str) -> None:
        """Learn that it is none."""
        self._present.pop(name, None)

    def seen(self, names: set[str]) -> None:
        """Learn who the members are."""
        for name in self._asked & names:
            self.came(name)


class MembershipClient:
    """read, write and cas of a register; join, leave, members, health and leader.

    Args:
        membership, register: unopened.
        spares: of the run.
        voting: whether the spares vote.
    """

    def __init__(self, membership: Membership, register: Register, spares: _Spares, *, voting: bool) -> None:
        self._membership = membership
        self._register = RegisterClient(register)
        self._spares = spares
        self._voting = voting

    async def open(self) -> None:
        """Open both facets."""
        await self._membership.open()
        await self._register.open()

    async def close(self) -> None:
        """Close both facets."""
        try:
            await self._membership.close()
        finally:
            await self._register.close()

    async def invoke(self, call: Call) -> Any:
        """Do one call.

        Returns:
            join, leave: {"id"}; members: [[id, name], …]; health: the members as this node has them, each as in
            harness.facets.Member; leader: a name or None; of a register: as the workload register.
        """
        if call.f in _REGISTER:
            return await self._register.invoke(call)
        if call.f == "members":
            members = await self._membership.members()
            self._spares.seen({member.name for member in members})
            return [[member.id, member.name] for member in members]
        if call.f == "health":
            return msgspec.to_builtins(await self._membership.health())
        if call.f == "leader":
            return await self._membership.leader()
        if call.f == "join":
            return await self._join(call.key)
        if call.f == "leave":
            return await self._leave(call.key)
        raise ContractError(f"members have no operation {call.f!r}")

    async def _join(self, name: str) -> Any:
        self._spares.came(name)
        try:
            return {"id": (await self._membership.join(name, name, self._voting)).id}
        except Definite:
            self._spares.went(name)
            raise

    async def _leave(self, name: str) -> Any:
        try:
            left = await self._membership.leave(name)
        finally:
            self._spares.went(name)  # whoever is still there is seen again
        return {"id": left}


class _OfRegisters:
    """The linearizability of the registers, in a history that has other operations, too."""

    name = "linearizable"

    def check(self, history: History) -> Verdict:
        """Decide on the registers alone."""
        return linearizable("cas-register").check(history.only(_REGISTER))


class MembershipWorkload:
    """Half of the operations are those of the workload register; the others ask for the members and their health.

    Args:
        options: voting: "yes" lets the spares vote.
    """

    name = "membership"
    summary = "members come and go while registers are written; every list of them must have been true"
    facets: Sequence[str] = ("membership", "register")
    options: Mapping[str, Sequence[str]] = MappingProxyType({"voting": VOTING})

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._voting = options.get("voting", VOTING[0]) == "yes"
        self._registers = RegisterWorkload({})
        self._spares = _Spares()
        self._changed_last = False

    def client(self, membership: Membership, register: Register) -> Client:
        """Return a client of both."""
        return MembershipClient(membership, register, self._spares, voting=self._voting)

    def generator(self) -> Generator:
        """Return the mix, with a change now and then, without end."""
        looks = calls(lambda random: random.choice(_LOOKS))
        return every(CHANGE_S, calls(self._change), mix(self._registers.generator(), looks))

    def final(self) -> Generator:
        """Return one good read of every register and of the members, and one more change, if it is to be had."""
        members = on_keys(self._no_key, 1, lambda _: until_ok(repeat(once(Call("members")))))
        return phases(self._registers.final(), members, script(self._last_change))

    def checkers(self) -> Sequence[Checker]:
        """Return the linearizability of the registers, the truth of the lists, and that all can be read in the end."""
        return (_OfRegisters(), MemberViews(), Liveness(("read", "members"), STUCK_S))

    def _change(self, random: Random) -> Call:
        """Remove the spare that there is, or add one."""
        present = self._spares.oldest()
        return Call("leave", present) if present else Call("join", self._spares.new())

    def _last_change(self, random: Random) -> Script:
        """Let one process try for a while."""
        if self._changed_last:
            return
        self._changed_last = True
        for _ in range(FINAL_TRIES):
            if (yield self._change(random)) == "ok":
                return
            yield CHANGE_S

    @staticmethod
    def _no_key() -> Iterator[None]:
        yield None
