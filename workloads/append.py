"""Lists by key: unique elements are appended, and the whole list is read, meanwhile and at the end."""

from __future__ import annotations

from workloads.growing import GrowingWorkload


class AppendWorkload(GrowingWorkload):
    """append and read; every read must show the beginning of one order."""

    name = "append"
    summary = "unique elements are appended to lists and the whole is read; each list must be linearizable"
    grow = "append"
