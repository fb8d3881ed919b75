"""Workloads: which operations clients do, and which promises are checked. One file each, on its facets."""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import UsageError
from workloads.append import AppendWorkload
from workloads.election import ElectionWorkload
from workloads.lease import LeaseWorkload
from workloads.lock import LockWorkload
from workloads.membership import MembershipWorkload
from workloads.register import RegisterWorkload
from workloads.set import SetWorkload
from workloads.task_claim import TaskClaimWorkload
from workloads.watch import WatchWorkload
from workloads.workload import Workload, WorkloadFactory

WORKLOADS: Mapping[str, WorkloadFactory] = {
    "register": RegisterWorkload,
    "set": SetWorkload,
    "append": AppendWorkload,
    "lock": LockWorkload,
    "election": ElectionWorkload,
    "task-claim": TaskClaimWorkload,
    "watch": WatchWorkload,
    "lease": LeaseWorkload,
    "membership": MembershipWorkload,
}


def find(name: str) -> WorkloadFactory:
    """Return the workload of this name.

    Raises:
        UsageError: there is none.
    """
    try:
        return WORKLOADS[name]
    except KeyError:
        known = ", ".join(WORKLOADS)
        raise UsageError(f"unknown workload {name!r}", f"known workloads: {known}") from None


__all__ = ["WORKLOADS", "Workload", "WorkloadFactory", "find"]
