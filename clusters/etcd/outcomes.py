"""What an error of etcd means for a write: the one table. Whatever is not in it may have happened.

It is deliberately short. An error is here only where etcd's or grpc's source shows that it is raised before anything
could be applied. Not here, although they look like refusals:

- "mvcc: database space exceeded": one of its two sources applies the write first and reports the error after it
  (quotaApplierV3 in etcdserver/apply.go).
- "request timed out", "server stopped", "leader changed": raised while the proposal may be on its way.
- "no leader": we never ask for the check that raises it early, so it could only come from elsewhere.
- "Socket closed", "Connection reset": the request may have left.

A read has no effect, so an error of a read is always definite.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Refusal(NamedTuple):
    """An error after which the request certainly was not, and never will be, applied.

    Attributes:
        code: gRPC status code's name.
        details: how its message begins.
        why: the argument.
    """

    code: str
    details: str
    why: str


DEFINITE: Final = (
    Refusal(
        "UNAVAILABLE",
        "failed to connect to all addresses",
        "grpc fails the call when it picks a connection and there is none; with retries off it picks once, so no "
        "stream was ever made for it",
    ),
    Refusal(
        "RESOURCE_EXHAUSTED",
        "etcdserver: too many requests",
        "processInternalRaftRequestOnce returns it before it proposes",
    ),
    Refusal(
        "INVALID_ARGUMENT",
        "etcdserver: request is too large",
        "processInternalRaftRequestOnce returns it before it proposes",
    ),
    Refusal(
        "INVALID_ARGUMENT",
        "etcdserver: key is not provided",
        "the key-value server checks the request before it handles it",
    ),
    Refusal(
        "NOT_FOUND",
        "etcdserver: requested lease not found",
        "a put with a lease, alone or in a transaction, is checked for it when it is applied, before anything is "
        "written, and each request is applied once",
    ),
    Refusal(
        "UNAVAILABLE",
        "etcdserver: unhealthy cluster",
        "mayAddMember and mayRemoveMember return it before the change is proposed",
    ),
    Refusal(
        "UNKNOWN",
        "etcdserver: re-configuration failed due to not enough started members",
        "mayAddMember and mayRemoveMember return it before the change is proposed",
    ),
    Refusal(
        "FAILED_PRECONDITION",
        "etcdserver: Peer URLs already exists",
        "the change is checked for it when it is applied, and then made void; each is applied once",
    ),
    Refusal(
        "FAILED_PRECONDITION",
        "etcdserver: too many learner members in cluster",
        "likewise",
    ),
    Refusal(
        "NOT_FOUND",
        "etcdserver: member not found",
        "the change is checked for it when it is applied, and then made void; an id that was removed never comes back",
    ),
)


def is_definite(code: str, details: str) -> bool:
    """Say whether a write that failed so certainly did not happen."""
    return any(code == refusal.code and details.startswith(refusal.details) for refusal in DEFINITE)
