"""Our key-value server keeps its promises: pytest --cluster=3"""

import pytest

from kingslayer import AnomalyFound


def test_promises(run_workload, each_workload, each_nemesis):
    """Every workload holds under every family of faults, and without any."""
    run_workload(each_workload, nemesis=each_nemesis)


def test_caches_are_found(run_workload):
    """With caches on, reads are stale: were that not found, the other tests would mean nothing."""
    with pytest.raises(AnomalyFound, match="INVALID"):
        run_workload("register", options={"bug": "cache"})
