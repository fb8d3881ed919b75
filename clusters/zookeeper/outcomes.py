"""What an error of ZooKeeper means for a write: the one table. Whatever is not in it may have happened.

An error is here only where it is the leader's own answer to the request: its PrepRequestProcessor checks a request
against all changes before it, and one that does not pass becomes an error transaction, which changes nothing and takes
the request's place in the order for good. Not here, although they look like refusals: a session that expired or moved
(the answer may be about the session's end and not about this request), and "connection loss" of any kind.

A read has no effect, so an error of a read is always definite.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NO_NODE: Final = -101
BAD_VERSION: Final = -103
NODE_EXISTS: Final = -110

DEFINITE: Final[Mapping[int, str]] = {
    NO_NODE: "the path does not exist",
    BAD_VERSION: "the version differs",
    NODE_EXISTS: "the path exists already",
    -108: "an ephemeral node has no children",
    -111: "the node has children",
}
"""Code → what it says."""


def is_definite(code: int) -> bool:
    """Say whether a write that was answered so certainly did not happen."""
    return code in DEFINITE
