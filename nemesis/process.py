"""Process: servers are asked to stop, get signals, crash in loops, or run only for a part of the time."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any, Final, Literal

from harness.errors import FaultError
from harness.protocols import Cluster
from nemesis.measure import every, states, until, wait_states
from nemesis.targets import TargetParams, pick

Action = Literal["stop", "signal", "burst", "slow", "restarts", "memory"]
ACTIONS: Final[tuple[Action, ...]] = ("stop", "signal", "burst", "slow", "restarts", "memory")

NEEDS: Final[Mapping[Action, tuple[str, ...]]] = {
    "stop": (),
    "signal": ("signal",),
    "burst": ("period_s", "share"),
    "slow": ("period_s", "share"),
    "restarts": ("period_s",),
    "memory": (),
}
CHOSEN_SIGNALS: Final = ("SIGINT", "SIGHUP", "SIGQUIT")
OWN_SIGNALS: Final = ("SIGSTOP", "SIGCONT", "SIGKILL", "SIGTRAP")
"""Signals of pause, kill and of the agent itself."""

SLACK_BYTES: Final = 64 << 20
"""A server may give back memory after its limit was set: then it may take as much again."""

STOP_LOOKS: Final = 1000
"""A graceful stop takes its time, 20 s at most: a master of Redis waits 10 s for its replicas."""

STOP_REQUESTS: Final = 5
"""So often it is asked for, for a server may refuse: Redis does while it writes the first file after a resync."""


class ProcessParams(TargetParams, frozen=True, kw_only=True):
    """Parameters of a fault of processes.

    Attributes:
        action: stop, by SIGTERM; signal, any other; burst and slow, stopped for `share` of each `period_s`, and burst
            is long enough to lose a leader; restarts, a crash and a start in each `period_s`; memory, no more of it
            than the server has.
        signal: its name, such as SIGHUP.
        period_s: see action.
        share: see action; more than 0 and at most 0.95.
    """

    action: Action
    signal: str = ""
    period_s: float = 0.0
    share: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        needs = NEEDS[self.action]
        if {name for name in ("signal", "period_s", "share") if getattr(self, name)} != set(needs):
            raise ValueError(f"action {self.action} takes {' and '.join(needs) or 'nothing'}, not 0, and nothing else")
        if self.signal and (self.signal in OWN_SIGNALS or self.signal not in signal.Signals.__members__):
            raise ValueError(f"{self.signal} is no signal, or one of {', '.join(OWN_SIGNALS)}, which other faults send")
        if self.period_s and not 0.02 <= self.period_s <= 1.5:
            raise ValueError("period_s is 0.02 to 1.5")
        if self.share and not 0 < self.share <= 0.95:
            raise ValueError("share is more than 0 and at most 0.95")


def choose(random: Random, nodes: Sequence[str]) -> ProcessParams:
    """Choose whom to hit, and how."""
    target, hit, otherwise = pick(random, nodes)
    action: Action = random.choice(ACTIONS)
    values: dict[str, Any] = {}
    if action == "signal":
        values["signal"] = random.choice(CHOSEN_SIGNALS)
    if action in ("burst", "slow"):
        values["share"] = round(random.uniform(0.3, 0.8), 2)
    if action in ("burst", "restarts"):
        values["period_s"] = round(random.uniform(0.4, 1.5), 2)
    if action == "slow":
        values["period_s"] = round(random.uniform(0.02, 0.1), 3)
    return ProcessParams(target, hit, otherwise, action=action, **values)


class Process:
    """Servers whose processes have a hard time; one that does not run cannot be hit, and the fault fails."""

    def __init__(self, cluster: Cluster, params: ProcessParams) -> None:
        self._cluster = cluster
        self._nodes = cluster.nodes
        self._params = params
        self._hit: tuple[str, ...] = ()
        self._rounds: dict[str, int] = {}
        self._loops: list[asyncio.Task[None]] = []

    async def inject(self) -> dict[str, Any]:
        """Do it.

        Raises:
            FaultError: a server does not run in the first place, or a node refuses.
        """
        params = self._params
        self._hit = params.nodes
        before = await states(self._nodes, self._hit)
        if idle := [f"the server of {name} is {state}" for name, state in before.items() if state != "running"]:
            raise FaultError(
                f"nothing to hit: {'; '.join(idle)} before the fault",
                "did it crash? look at its log in the run's folder",
            )
        if params.action == "restarts":
            self._rounds = dict.fromkeys(self._hit, 0)
            self._loops = [asyncio.create_task(self._crash_and_start(name)) for name in self._hit]
        elif params.action == "memory":
            await every((self._nodes[name].limit_memory() for name in self._hit), "limit of memory")
        elif params.period_s:
            await every((self._nodes[name].duty(params.period_s, params.share) for name in self._hit), params.action)
        else:
            number = signal.Signals[params.signal or "SIGTERM"]
            await every((self._nodes[name].signal(number) for name in self._hit), number.name)
        return {"nodes": list(self._hit)}

    async def verify(self) -> dict[str, Any]:
        """Measure it: a stopped server is dead, a signal has arrived, rounds of a cycle are complete and counted.

        A limit of memory is read back. Whether a server dies of it, and when, is up to the server.
        """
        params = self._params
        if params.action == "stop":
            return {"states": await self._ended()}
        if params.action == "signal":
            return await self._wait(self._undelivered, "the signal did not arrive") | {
                "states": await states(self._nodes, self._hit)
            }
        if params.action == "memory":
            return await self._wait(self._unlimited, "memory is not limited") | {
                "states": await states(self._nodes, self._hit)
            }
        look = self._no_round if params.action == "restarts" else self._no_stop
        return await self._wait(look, f"no round of {params.action} was seen") | {"rounds": await self._counts()}

    async def heal(self) -> dict[str, Any]:
        """End loops and cycles, and start again whoever is dead.

        A signal may still be at work: a server that ends gracefully takes seconds. So those that got one are killed
        first, or they would end after the heal.
        """
        for loop in self._loops:
            loop.cancel()
        failed = [
            end for end in await asyncio.gather(*self._loops, return_exceptions=True) if isinstance(end, Exception)
        ]
        self._loops = []
        rounds = await self._counts()
        if self._params.share:
            await every((self._nodes[name].duty(0, 0) for name in self._hit), "heal of the duty cycle")
        if self._params.action in ("stop", "signal"):
            await every((self._nodes[name].signal(signal.SIGKILL) for name in self._hit), "SIGKILL")
            await wait_states(self._nodes, self._hit, {"dead"}, "not dead")
        if self._params.action == "memory":
            await every((self._nodes[name].free_memory() for name in self._hit), "heal of memory")
        found = await states(self._nodes, self._hit)
        await every((self._cluster.restart(name) for name, state in found.items() if state == "dead"), "restart")
        evidence = await wait_states(self._nodes, self._hit, {"running"}, "not running after the heal")
        if failed:
            raise FaultError(f"the restarts ended early: {failed[0]}", "look at these nodes' logs") from failed[0]
        became = {"became": found} if self._params.action == "memory" else {}
        return {"states": evidence} | became | ({"rounds": rounds} if rounds else {})

    async def _wait(self, look: Callable[[], Awaitable[list[str]]], what: str) -> dict[str, Any]:
        looks = await until(
            look, what, "the machine may be overloaded; look at these nodes' logs", looks_max=STOP_LOOKS
        )
        return {"looks": looks}

    async def _undelivered(self) -> list[str]:
        number = signal.Signals[self._params.signal]
        waiting = await asyncio.gather(*(self._nodes[name].pending(number) for name in self._hit))
        return [f"{number.name} still waits on {name}" for name, waits in zip(self._hit, waiting, strict=True) if waits]

    async def _unlimited(self) -> list[str]:
        """Name the servers that could grow: a limit that is above what they have by more than SLACK_BYTES."""
        found = await asyncio.gather(*(self._nodes[name].memory() for name in self._hit))
        return [
            f"a process of {name} has {used} bytes and may have {'any number' if limit is None else limit}"
            for name, processes in zip(self._hit, found, strict=True)
            for used, limit in processes
            if limit is None or limit > used + SLACK_BYTES
        ]

    async def _ended(self) -> dict[str, str]:
        for _ in range(STOP_REQUESTS - 1):
            with contextlib.suppress(FaultError):
                return await self._wait_dead()
            await every((self._nodes[name].signal(signal.SIGTERM) for name in self._hit), "SIGTERM")
        return await self._wait_dead()

    async def _wait_dead(self) -> dict[str, str]:
        looks = STOP_LOOKS // STOP_REQUESTS
        return await wait_states(self._nodes, self._hit, {"dead"}, "not stopped", looks_max=looks)

    async def _no_round(self) -> list[str]:
        for loop in self._loops:
            if loop.done():
                loop.result()
        return [f"{name} has not been restarted yet" for name, rounds in self._rounds.items() if not rounds]

    async def _no_stop(self) -> list[str]:
        return [f"{name} was not stopped yet" for name, stops in (await self._counts()).items() if not stops]

    async def _counts(self) -> dict[str, int]:
        """Return how many rounds are certain, by node."""
        if self._params.share:
            counts = await asyncio.gather(*(self._nodes[name].duty_stops() for name in self._hit))
            return dict(zip(self._hit, counts, strict=True))
        return dict(self._rounds)

    async def _crash_and_start(self, name: str) -> None:
        """Kill a server and start it again, in each period; a round counts when it was dead and has run again."""
        node, half_s = self._nodes[name], self._params.period_s / 2
        while True:
            await node.signal(signal.SIGKILL)
            await wait_states(self._nodes, [name], {"dead"}, "not dead")
            await asyncio.sleep(half_s)
            # once begun, a start is seen to its end: a heal in the middle of it would start a second server
            start = asyncio.ensure_future(self._cluster.restart(name))
            try:
                await asyncio.shield(start)
            except asyncio.CancelledError:
                with contextlib.suppress(Exception):
                    await start
                raise
            self._rounds[name] += 1
            await asyncio.sleep(half_s)
