"""Which facets etcd has, and what makes them. grpc is heavy: only who talks to etcd pays for it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from harness.errors import UsageError
from harness.facets import Facet
from harness.protocols import FacetFactory, Node

CLIENT_PORT: Final = 2379
PEER_PORT: Final = 2380
READS: Final = ("linearizable", "serializable")


def register(node: Node, options: Mapping[str, Any]) -> Facet:
    """Make the facet "register" on one node.

    Args:
        options: "reads" is "linearizable" (the default) or "serializable".

    Raises:
        UsageError: another value of "reads", or grpcio is not installed.
    """
    facet: Facet = _load("client", "EtcdRegister")(address(node), serializable=reads(options) == "serializable")
    return facet


def reads(options: Mapping[str, Any]) -> str:
    """Return how to read; raise UsageError for what etcd does not have."""
    found = options.get("reads", READS[0])
    if found not in READS:
        raise UsageError(f"reads={found!r}: etcd has no such reads", f"choose one of {', '.join(READS)}")
    return str(found)


def address(node: Node) -> str:
    """Return where a node serves its clients, as "ip:port"."""
    return f"{node.ip}:{CLIENT_PORT}"


def _load(module: str, name: str) -> Any:
    try:
        return getattr(import_module(f"clusters.etcd.{module}"), name)
    except ImportError as error:
        raise UsageError(f"the client of etcd cannot be loaded: {error}", "pip install 'kingslayer[etcd]'") from error


def _facet(module: str, name: str) -> FacetFactory:
    def make(node: Node, options: Mapping[str, Any]) -> Facet:
        facet: Facet = _load(module, name)(address(node))
        return facet

    return make


FACETS: Final[Mapping[str, FacetFactory]] = {
    "register": register,
    "lock": _facet("locks", "EtcdLockService"),
    "lock=native": _facet("locks", "EtcdLockService"),
    "lock=recipe": _facet("locks", "EtcdLockRecipe"),
    "election": _facet("elections", "EtcdElection"),
    "tasks": _facet("tasks", "EtcdTasks"),
    "watch": _facet("watches", "EtcdWatch"),
    "leases": _facet("leases", "EtcdLeases"),
    "membership": _facet("members", "EtcdMembership"),
}
"""By name; each raises UsageError where grpcio is not installed."""
