"""The nemesis as a client of its own process: it waits for moments, and injects and heals the faults it is told to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from harness.config import When
from harness.errors import Definite, InternalError
from harness.op import AWAIT, HEAL, INJECT, Call
from harness.protocols import Cluster, Fault
from nemesis.family import Family, family
from nemesis.moments import Lookout, Moment
from nemesis.overlap import meet
from nemesis.targets import aim, placed

SECOND_MS: Final = 1000


@dataclass(slots=True)
class _On:
    """A fault that is on, the nodes that it hits, and whether it was measured to be on."""

    family: Family
    fault: Fault
    nodes: tuple[str, ...]
    measured: bool = False


class Nemesis:
    """Waits, injects and heals; implements protocols.Client. Calls about different faults may come at once.

    Args:
        cluster: what the faults act on.
        lookout: where moments are waited for; without it there are none.
    """

    def __init__(self, cluster: Cluster, lookout: Lookout | None = None) -> None:
        self._cluster = cluster
        self._lookout = lookout
        self._on: dict[int, _On] = {}
        self._moments: dict[int, Moment] = {}

    async def open(self) -> None:
        """Nothing to connect."""

    async def invoke(self, call: Call) -> dict[str, Any]:
        """Inject or heal a fault, and measure that it took effect; or wait for the moment that it is aimed at.

        Args:
            call: f "inject" with the fault's number as key and {"kind": …, **params} as value; "heal" with the same
                key; or before an "inject" of that key "await", with {"kind", "within_s", **When} as value. Healing a
                fault that is not on does nothing.

        Returns:
            The call's value, with what was resolved and with the evidence.

        Raises:
            Definite: it did not come: the moment was not seen in time, or another fault is on that holds the same.
            FaultError: it did not take effect. An injected fault counts as on until it is healed all the same.
            UsageError: the parameters are not the family's.
        """
        if call.f == INJECT:
            return await self._inject(call.key, dict(call.value))
        if call.f == HEAL:
            return dict(call.value or {}) | {"evidence": await self._heal(call.key)}
        if call.f == AWAIT:
            return await self._await(call.key, dict(call.value))
        raise InternalError(f"the nemesis was asked for {call.f!r}")

    async def close(self) -> None:
        """Nothing to disconnect; heal_all is the runner's to call, as its errors matter."""

    def active(self) -> list[Call]:
        """Return the calls that heal what is on now, the latest first."""
        return [Call(HEAL, number, {"kind": self._on[number].family.name}) for number in reversed(self._on)]

    def measured(self) -> list[str]:
        """Return the kinds of the faults that are on, and were measured to be."""
        return [on.family.name for on in self._on.values() if on.measured]

    async def heal_all(self) -> list[Exception]:
        """Heal whatever is still on, the latest first, and return what went wrong."""
        errors: list[Exception] = []
        for number in reversed(list(self._on)):
            try:
                await self._heal(number)
            except Exception as error:
                errors.append(error)
        return errors

    async def _await(self, number: int, value: dict[str, Any]) -> dict[str, Any]:
        if self._lookout is None:
            raise InternalError("nobody looks out for moments")
        within_s = value["within_s"]
        when = When(**{name: item for name, item in value.items() if name in When.__struct_fields__})
        try:
            async with asyncio.timeout(within_s):
                moment = await self._lookout.wait(when)
        except TimeoutError:
            raise Definite(
                f"the moment did not come within {within_s:g} s: {when.moment} {when.pattern}".rstrip()
            ) from None
        self._moments[number] = moment
        waited_s = asyncio.get_running_loop().time() - moment.seen_s
        await asyncio.sleep(when.delay_ms / SECOND_MS - waited_s)
        return value | {"node": moment.node, "said": moment.said}

    async def _inject(self, number: int, value: dict[str, Any]) -> dict[str, Any]:
        if number in self._on:
            raise InternalError(f"fault {number} is on already")
        each, params = family(value.pop("kind")), value
        found: dict[str, Any] = {}
        if moment := self._moments.get(number):
            params = placed(params, moment.node)
            found = {"moment": {"node": moment.node} | moment.said}
        aimed = await aim(params, self._cluster)
        params |= {"nodes": aimed["nodes"]} if aimed else {}
        nodes = tuple(params.get("nodes", ()))
        fault = each.make(self._cluster, params)
        for key, other in self._on.items():
            if common := meet(each, nodes, other.family, other.nodes):
                raise Definite(f"fault {key} ({other.family.name}) is on and holds {common}")
        on = self._on[number] = _On(each, fault, nodes)
        resolved = await fault.inject()
        evidence = await fault.verify()
        on.measured = True
        notes = [part["note"] for part in (aimed, resolved) if "note" in part]
        resolved |= {"note": "; ".join(notes)} if notes else {}
        return {"kind": each.name} | params | found | resolved | {"evidence": evidence}

    async def _heal(self, number: int) -> dict[str, Any]:
        if number not in self._on:
            return {}
        evidence = await self._on[number].fault.heal()
        del self._on[number]
        return evidence
