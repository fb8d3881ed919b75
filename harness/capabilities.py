"""Capabilities of a System: what some systems can do and others cannot, each a protocol of its own.

A system has one where it has its methods; what needs them is not to be had with other systems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from harness.nodes import Node


class NodeStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a node says of itself.

    Attributes:
        role: leader, follower, candidate or learner.
        term: the system's word for it apart, a number that grows with each election.
        leader: name of the node that it takes for the leader, None where it knows of none.
        revision: applied index or revision, where the system has one.
        atomic: role, term and leader are of one moment, and the term never goes back while the server lives. Only
            such a status is held against a system: a role of now beside the term of a moment ago would show a second
            leader where there was none.
    """

    role: str
    term: int | None = None
    leader: str | None = None
    revision: int | None = None
    atomic: bool = False


@runtime_checkable
class HasStatus(Protocol):
    """Capability of a System: its nodes tell role, term and leader."""

    async def status(self, node: Node) -> NodeStatus:
        """Ask the node itself, within half a second.

        Raises:
            Exception: it does not answer.
        """


class NodeDigest(msgspec.Struct, frozen=True):
    """What a node's data amounts to.

    Attributes:
        at: which state, as any JSON, such as the applied index: where it is equal the data must be.
        digest: of the data.
    """

    at: Any
    digest: str


@runtime_checkable
class HasDigest(Protocol):
    """Capability of a System: its nodes can sum up their data, so that replicas can be compared."""

    async def digest(self, node: Node, at: Any) -> NodeDigest:
        """Ask the node itself, within two seconds.

        Args:
            node: whom to ask.
            at: which state, by another node's answer, where the system can go back to one; None: the newest.

        Raises:
            Exception: it does not answer, or has not got that far.
        """


@runtime_checkable
class HasLogPatterns(Protocol):
    """Capability of a System: it knows lines that no log of it may have, whatever faults there were.

    Attributes:
        log_patterns: regular expressions by what they find, such as "panic". None may find a line that a fault, a
            signal or a full disk explains.
    """

    log_patterns: Mapping[str, str]


@runtime_checkable
class HasMembership(Protocol):
    """Capability of a System: its nodes can leave the cluster, and join it again as new members."""

    async def remove(self, node: Node) -> None:
        """Take a node out of the cluster, end its server, delete its data; return when all of that is done.

        Raises:
            ClusterError: it was not possible in time; it may be done in part.
        """

    async def add(self, node: Node) -> None:
        """Make a node a member again where it is none, with an empty disk, and start it; return when it serves.

        Nothing happens to a node that is a member and runs. One that `remove` left half-way is brought in, too.

        Raises:
            ClusterError: it was not possible in time.
        """

    async def members(self, node: Node) -> frozenset[str]:
        """Return the names of the members as this node itself knows them now.

        Raises:
            Exception: it does not answer.
        """


@runtime_checkable
class HasFiles(Protocol):
    """Capability of a System: it knows what its files are.

    Attributes:
        files: globs in the node's folder by kind: "log", what it writes ahead, and "database", what that comes to.
    """

    files: Mapping[str, Sequence[str]]


@runtime_checkable
class CanBeDamaged(HasFiles, HasMembership, Protocol):
    """Both: the node of a damaged file can be replaced, which is the one sound way to heal it."""


__all__ = [
    "CanBeDamaged",
    "HasDigest",
    "HasFiles",
    "HasLogPatterns",
    "HasMembership",
    "HasStatus",
    "NodeDigest",
    "NodeStatus",
]
