"""The nemesis as a client of its own process: it injects and heals the faults that it is told to."""

from __future__ import annotations

from typing import Any

from harness.config import Schedule
from harness.errors import InternalError
from harness.op import Call
from harness.protocols import Cluster, Fault
from nemesis.family import family

INJECT = "inject"
HEAL = "heal"


class Nemesis:
    """Injects and heals; implements protocols.Client. One call at a time.

    Args:
        cluster: what the faults act on.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._on: dict[int, Fault] = {}
        self._kinds: dict[int, str] = {}

    async def open(self) -> None:
        """Nothing to connect."""

    async def invoke(self, call: Call) -> dict[str, Any]:
        """Inject or heal a fault, and measure that it took effect.

        Args:
            call: f "inject" with the fault's number as key and {"kind": …, **params} as value; or f "heal" with the
                same key. Healing a fault that is not on does nothing.

        Returns:
            The call's value, with what was resolved and with the evidence.

        Raises:
            FaultError: it did not take effect. An injected fault counts as on until it is healed all the same.
            UsageError: the parameters are not the family's.
        """
        if call.f == INJECT:
            return await self._inject(call.key, dict(call.value))
        if call.f == HEAL:
            return dict(call.value or {}) | {"evidence": await self._heal(call.key)}
        raise InternalError(f"the nemesis was asked for {call.f!r}")

    async def close(self) -> None:
        """Nothing to disconnect; heal_all is the runner's to call, as its errors matter."""

    def active(self) -> list[Call]:
        """Return the calls that heal what is on now, the latest first."""
        return [Call(HEAL, number, {"kind": self._kinds[number]}) for number in reversed(self._on)]

    async def heal_all(self) -> list[Exception]:
        """Heal whatever is still on, the latest first, and return what went wrong."""
        errors: list[Exception] = []
        for number in reversed(list(self._on)):
            try:
                await self._heal(number)
            except Exception as error:
                errors.append(error)
        return errors

    async def _inject(self, number: int, value: dict[str, Any]) -> dict[str, Any]:
        if number in self._on:
            raise InternalError(f"fault {number} is on already")
        kind = value.pop("kind")
        fault = family(kind).make(self._cluster, value)
        self._on[number], self._kinds[number] = fault, kind
        resolved = await fault.inject()
        return {"kind": kind} | value | resolved | {"evidence": await fault.verify()}

    async def _heal(self, number: int) -> dict[str, Any]:
        if number not in self._on:
            return {}
        evidence = await self._on[number].heal()
        del self._on[number]
        return evidence


def calls(schedule: Schedule) -> list[tuple[float, Call]]:
    """Return when (seconds since the clients' start) the nemesis is asked for what, in order of time."""
    timed = [
        pair
        for step in schedule.steps
        for pair in (
            (step.start_s, Call(INJECT, step.fault, {"kind": step.kind} | step.params)),
            (step.stop_s, Call(HEAL, step.fault, {"kind": step.kind})),
        )
    ]
    return sorted(timed, key=lambda pair: pair[0])
