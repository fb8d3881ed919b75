"""Workloads: which operations clients do, and which promises are checked. One file each, on one facet."""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import UsageError
from workloads.election import ElectionWorkload
from workloads.lock import LockWorkload
from workloads.register import RegisterWorkload
from workloads.task_claim import TaskClaimWorkload
from workloads.workload import Workload, WorkloadFactory

WORKLOADS: Mapping[str, WorkloadFactory] = {
    "register": RegisterWorkload,
    "lock": LockWorkload,
    "election": ElectionWorkload,
    "task-claim": TaskClaimWorkload,
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


__all__ = [
    "WORKLOADS",
    "ElectionWorkload",
    "LockWorkload",
    "RegisterWorkload",
    "TaskClaimWorkload",
    "Workload",
    "WorkloadFactory",
    "find",
]
