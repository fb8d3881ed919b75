"""Which facets etcd has, and what makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clusters.choices import chosen_reads
from clusters.clients import Clients
from harness.facets import Facet
from harness.protocols import FacetFactory, Node

CLIENT_PORT: Final = 2379
PEER_PORT: Final = 2380
READS: Final = ("linearizable", "serializable")
CLIENTS: Final = Clients("etcd", "clusters.etcd", "etcd", CLIENT_PORT)


def register(node: Node, options: Mapping[str, Any]) -> Facet:
    """Make the facet "register" on one node.

    Args:
        options: "reads" is "linearizable" (the default) or "serializable".

    Raises:
        UsageError: another value of "reads", or grpcio is not installed.
    """
    serializable = chosen_reads(options, READS, "etcd") == "serializable"
    facet: Facet = CLIENTS.load("client", "EtcdRegister")(CLIENTS.address(node), serializable=serializable)
    return facet


FACETS: Final[Mapping[str, FacetFactory]] = {
    "register": register,
    "lock": CLIENTS.facet("locks", "EtcdLockService"),
    "lock=native": CLIENTS.facet("locks", "EtcdLockService"),
    "lock=recipe": CLIENTS.facet("locks", "EtcdLockRecipe"),
    "election": CLIENTS.facet("elections", "EtcdElectionService"),
    "election=native": CLIENTS.facet("elections", "EtcdElectionService"),
    "election=recipe": CLIENTS.facet("elections", "EtcdElectionRecipe"),
    "tasks": CLIENTS.facet("tasks", "EtcdTasks"),
    "watch": CLIENTS.facet("watches", "EtcdWatch"),
    "leases": CLIENTS.facet("leases", "EtcdLeases"),
    "membership": CLIENTS.facet("members", "EtcdMembership"),
}
"""By name; each raises UsageError where grpcio is not installed."""
