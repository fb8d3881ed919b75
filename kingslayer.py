"""The public face of kingslayer: all that code outside this project imports.

    from kingslayer import Definite, Indefinite      # to test a system of your own
    from kingslayer import History, linearizable     # to check a history by yourself

Importing it is cheap: what a name needs is loaded when the name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checkers import linearizable
    from harness.check import check
    from harness.config import RunConfig, Schedule, Step
    from harness.errors import (
        AnomalyFound,
        ClusterError,
        ContractError,
        Definite,
        FaultError,
        HarnessError,
        HistoryError,
        Inconclusive,
        Indefinite,
        InternalError,
        OpError,
        UsageError,
    )
    from harness.facets import (
        Change,
        Claim,
        Election,
        ElectionEvent,
        Facet,
        Grant,
        Leadership,
        Leases,
        Lock,
        Member,
        Membership,
        Register,
        Task,
        Tasks,
        TaskStatus,
        Watch,
    )
    from harness.history import History
    from harness.op import Call, Op
    from harness.protocols import (
        Backend,
        Checker,
        Client,
        FacetFactory,
        HasDigest,
        HasLogPatterns,
        HasMembership,
        HasStatus,
        Node,
        NodeDigest,
        NodeStatus,
        Probe,
        System,
        Unavailable,
    )
    from harness.pytest_cluster import RunWorkload
    from harness.runner import Observer, Progress, Result
    from harness.session import run
    from harness.standing import StandingCluster
    from harness.verdict import Anomaly, Summary, Verdict

_NAMES = {
    "checkers": "linearizable",
    "harness.check": "check",
    "harness.config": "RunConfig Schedule Step",
    "harness.errors": "AnomalyFound ClusterError ContractError Definite FaultError HarnessError HistoryError "
    "Inconclusive Indefinite InternalError OpError UsageError",
    "harness.facets": "Change Claim Election ElectionEvent Facet Grant Leadership Leases Lock Member Membership "
    "Register Task TaskStatus Tasks Watch",
    "harness.history": "History",
    "harness.op": "Call Op",
    "harness.protocols": "Backend Checker Client FacetFactory HasDigest HasLogPatterns HasMembership "
    "HasStatus Node NodeDigest NodeStatus Probe System Unavailable",
    "harness.pytest_cluster": "RunWorkload",
    "harness.runner": "Observer Progress Result",
    "harness.session": "run",
    "harness.standing": "StandingCluster",
    "harness.verdict": "Anomaly Summary Verdict",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}

__all__ = [
    "Anomaly", "AnomalyFound", "Backend", "Call", "Change", "Checker", "Claim", "Client", "ClusterError",
    "ContractError", "Definite", "Election", "ElectionEvent", "Facet", "FacetFactory", "FaultError", "Grant",
    "HarnessError", "HasDigest", "HasLogPatterns", "HasMembership", "HasStatus", "History", "HistoryError",
    "Inconclusive", "Indefinite", "InternalError", "Leadership", "Leases", "Lock", "Member", "Membership", "Node",
    "NodeDigest", "NodeStatus", "Observer", "Op", "OpError", "Probe", "Progress", "Register", "Result",
    "RunConfig", "RunWorkload", "Schedule", "StandingCluster", "Step", "Summary", "System", "Task",
    "TaskStatus", "Tasks", "Unavailable", "UsageError", "Verdict", "Watch", "check", "linearizable", "run",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"kingslayer has no {name!r}; its names: {', '.join(__all__)}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return list(__all__)
