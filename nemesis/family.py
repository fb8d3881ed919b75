"""A family of faults as a value, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from harness.errors import UsageError
from harness.protocols import Cluster, Fault, HasMembership, System
from nemesis import clock, freeze, kill, membership, packets, partition, pause, process
from nemesis.targets import Params


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of fault, such as partition.

    Attributes:
        name: what --nemesis calls it, and the `kind` of its steps in a schedule.
        summary: one line for people.
        nodes_min: the smallest cluster on which it means anything.
        params: the strict shape of a step's `params`.
        choose: picks parameters; pure, every choice from the random source.
        build: makes the fault on a running cluster.
        needs: the capability that the system must have; None where every system will do.
    """

    name: str
    summary: str
    nodes_min: int
    params: type[Params]
    choose: Callable[[Random, Sequence[str]], Params]
    build: Callable[[Cluster, Any], Fault]
    needs: type | None = None

    def fits(self, system: System) -> bool:
        """Say whether the system has what it needs."""
        return self.needs is None or isinstance(system, self.needs)

    def plan(self, random: Random, nodes: Sequence[str]) -> dict[str, Any]:
        """Return a step's parameters as plain data.

        Raises:
            UsageError: there are too few nodes for it.
        """
        self._check_count(len(nodes))
        return msgspec.json.decode(msgspec.json.encode(self.choose(random, nodes)), type=dict[str, Any])

    def check(self, params: Mapping[str, Any], nodes: Collection[str]) -> Params:
        """Return `params` decoded.

        Raises:
            UsageError: they are not this family's, or name a node that is not one of `nodes`, or these are too few.
        """
        self._check_count(len(nodes))
        try:
            decoded = msgspec.convert(params, self.params)
        except msgspec.ValidationError as error:
            fields = ", ".join(self.params.__struct_fields__)
            raise UsageError(f"parameters of a {self.name}: {error}", f"its parameters: {fields}") from error
        if strange := decoded.named().difference(nodes):
            names = ", ".join(sorted(strange))
            raise UsageError(f"a {self.name} of {names}, which the cluster does not have", f"it has {', '.join(nodes)}")
        return decoded

    def make(self, cluster: Cluster, params: Mapping[str, Any]) -> Fault:
        """Return the fault that `params` describe; nothing has happened yet.

        Raises:
            UsageError: they are not this family's, or name a node that the cluster does not have.
        """
        return self.build(cluster, self.check(params, cluster.nodes))

    def _check_count(self, count: int) -> None:
        if count < self.nodes_min:
            raise UsageError(
                f"{self.name} needs {self.nodes_min} nodes, and there are {count}",
                f"use more nodes, or leave {self.name} out of --nemesis",
            )


FAMILIES: dict[str, Family] = {
    each.name: each
    for each in (
        Family(
            "partition",
            "cuts links between nodes: halves, one, majority, majorities-ring, bridge, isolate-leader, one-way",
            2,
            partition.PartitionParams,
            partition.choose,
            partition.Partition,
        ),
        Family(
            "pause",
            "stops servers with SIGSTOP and lets them go on: one, minority, majority, all, leader",
            1,
            pause.PauseParams,
            pause.choose,
            pause.Pause,
        ),
        Family(
            "kill",
            "kills servers with SIGKILL and restarts them: one, minority, majority, all, leader",
            1,
            kill.KillParams,
            kill.choose,
            kill.Kill,
        ),
        Family(
            "clock",
            "skews the time that servers see: offset, strobe, drift, walk; one, minority, majority, all, leader",
            1,
            clock.ClockParams,
            clock.choose,
            clock.Skew,
        ),
        Family(
            "freeze",
            "stops client processes with SIGSTOP and lets them go on: one, half, all",
            1,
            freeze.FreezeParams,
            freeze.choose,
            freeze.Freeze,
        ),
        Family(
            "membership",
            "takes a node out of the cluster and adds it again with an empty disk: one, leader",
            3,
            membership.MembershipParams,
            membership.choose,
            membership.Membership,
            needs=HasMembership,
        ),
        Family(
            "packets",
            "shapes links between nodes: delay, loss, duplicate, reorder, corrupt, rate; shapes as partition",
            2,
            packets.PacketsParams,
            packets.choose,
            packets.Packets,
        ),
        Family(
            "process",
            "hits servers: stop, signal, burst, slow, restarts; one, minority, majority, all, leader",
            1,
            process.ProcessParams,
            process.choose,
            process.Process,
        ),
    )
}


def family(name: str) -> Family:
    """Return the family of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return FAMILIES[name]
    except KeyError:
        raise UsageError(f"there is no nemesis {name!r}", f"choose from {', '.join(FAMILIES)}") from None
