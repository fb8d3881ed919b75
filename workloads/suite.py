"""The shipped regression suite: each workload that the system has the facets for, under each family of faults and none.

pytest --pyargs workloads.suite --cluster=5 --cluster-system=etcd
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_workload(run_workload: Callable[..., Any], each_workload: str, each_nemesis: str) -> None:
    """The system keeps its promises under this family of faults."""
    run_workload(each_workload, nemesis=each_nemesis)
