"""Sets: unique elements are added, and all are read, meanwhile and at the end."""

from __future__ import annotations

from workloads.growing import GrowingWorkload


class SetWorkload(GrowingWorkload):
    """add and read; the order of the elements does not matter."""

    name = "set"
    summary = "unique elements are added and all are read; each set must be linearizable: none lost, none from nowhere"
    grow = "add"
