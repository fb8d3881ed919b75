"""A family of faults as a value, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import msgspec

from harness.errors import UsageError
from harness.protocols import CanBeDamaged, Cluster, Fault, HasMembership, Right, System
from nemesis import access, clock, damage, disk, freeze, kill, membership, packets, partition, pause, power, process
from nemesis.targets import Params

Hold = Literal["links", "access", "servers", "clocks", "clients"]


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of fault, such as partition. No two faults that take hold of the same are on at a time.

    Attributes:
        name: what --nemesis calls it, and the `kind` of its steps in a schedule.
        summary: one line for people.
        nodes_min: the smallest cluster on which it means anything.
        params: the strict shape of a step's `params`.
        choose: picks parameters; pure, every choice from the random source.
        build: makes the fault on a running cluster.
        holds: what its faults take hold of.
        whole: they take hold of it on all nodes at once; otherwise on the nodes that they hit.
        needs: the capability that the system must have; None where every system will do.
        apart: why it is no part of "all", where it is none.
        rights: what the machines must be able to do.
    """

    name: str
    summary: str
    nodes_min: int
    params: type[Params]
    choose: Callable[[Random, Sequence[str]], Params]
    build: Callable[[Cluster, Any], Fault]
    holds: tuple[Hold, ...]
    whole: bool = False
    needs: type | None = None
    apart: str = ""
    rights: frozenset[Right] = frozenset()

    def fits(self, system: System) -> bool:
        """Say whether the system has what it needs."""
        return self.needs is None or isinstance(system, self.needs)

    def plan(self, random: Random, nodes: Sequence[str]) -> dict[str, Any]:
        """Return a step's parameters as plain data.

        Raises:
            UsageError: there are too few nodes for it.
        """
        self.check_count(len(nodes))
        return msgspec.json.decode(msgspec.json.encode(self.choose(random, nodes)), type=dict[str, Any])

    def check(self, params: Mapping[str, Any], nodes: Collection[str]) -> Params:
        """Return `params` decoded.

        Raises:
            UsageError: they are not this family's, or name a node that is not one of `nodes`, or these are too few.
        """
        self.check_count(len(nodes))
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

    def check_count(self, count: int) -> None:
        """Raise UsageError where there are too few nodes for it."""
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
            holds=("links",),
            whole=True,
            rights=frozenset({Right.FILTER}),
        ),
        Family(
            "pause",
            "stops servers with SIGSTOP and lets them go on: one, minority, majority, all, leader, all-but-leader",
            1,
            pause.PauseParams,
            pause.choose,
            pause.Pause,
            holds=("servers",),
        ),
        Family(
            "kill",
            "kills servers with SIGKILL and restarts them: one, minority, majority, all, leader, all-but-leader",
            1,
            kill.KillParams,
            kill.choose,
            kill.Kill,
            holds=("servers",),
        ),
        Family(
            "clock",
            "skews the time that servers see: offset, strobe, drift, walk; targets as pause",
            1,
            clock.ClockParams,
            clock.choose,
            clock.Skew,
            holds=("clocks",),
            rights=frozenset({Right.TRACE}),
        ),
        Family(
            "freeze",
            "stops client processes with SIGSTOP and lets them go on: one, half, all",
            1,
            freeze.FreezeParams,
            freeze.choose,
            freeze.Freeze,
            holds=("clients",),
            whole=True,
        ),
        Family(
            "membership",
            "takes a node out of the cluster and adds it again with an empty disk: one, leader",
            3,
            membership.MembershipParams,
            membership.choose,
            membership.Membership,
            holds=("servers", "links", "access"),  # the others must be up, and hear one another and who asks for it
            whole=True,
            needs=HasMembership,
        ),
        Family(
            "packets",
            "shapes links between nodes: delay, loss, duplicate, reorder, corrupt, rate; shapes as partition",
            2,
            packets.PacketsParams,
            packets.choose,
            packets.Packets,
            holds=("links",),
            whole=True,
            rights=frozenset({Right.FILTER}),
        ),
        Family(
            "access",
            "cuts or shapes links of clients: cut, or as packets; one, minority, majority, all, leader",
            1,
            access.AccessParams,
            access.choose,
            access.Access,
            holds=("access",),
            rights=frozenset({Right.FILTER}),
        ),
        Family(
            "process",
            "hits servers: stop, signal, burst, slow, restarts; targets as pause",
            1,
            process.ProcessParams,
            process.choose,
            process.Process,
            holds=("servers",),
        ),
        Family(
            "power",
            "cuts power: what servers did not flush is lost; one, minority, majority, all, leader",
            1,
            power.PowerParams,
            power.choose,
            power.Power,
            holds=("servers",),
            rights=frozenset({Right.VOLUME}),
        ),
        Family(
            "disk",
            "spoils disks: full, read-only, slow; one, minority, majority, all, leader",
            1,
            disk.DiskParams,
            disk.choose,
            disk.Disk,
            holds=("servers",),  # they may die of it
            rights=frozenset({Right.VOLUME, Right.HOLD}),
        ),
        Family(
            "damage",
            "damages a dead server's files, and replaces the node later: flip, truncate, old; one, leader",
            3,
            damage.DamageParams,
            damage.choose,
            damage.Damage,
            holds=("servers", "links"),  # the heal changes members
            whole=True,
            needs=CanBeDamaged,
            apart="no system promises to survive damage to its files; ask for it by name",
        ),
    )
}


def rights(names: Iterable[str]) -> frozenset[Right]:
    """Return what machines must be able to do for these families."""
    return frozenset().union(*(family(name).rights for name in names))


def family(name: str) -> Family:
    """Return the family of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return FAMILIES[name]
    except KeyError:
        raise UsageError(f"there is no nemesis {name!r}", f"choose from {', '.join(FAMILIES)}") from None
