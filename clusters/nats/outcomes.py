"""What an answer of JetStream means for a write: the one table. Whatever is not in it may have happened.

An old leader that was cut off may refuse, for a while after the heal, what the new one stores (docs/findings.md). That
breaks what a refusal promises, so it stays in the table, and a run in which it happens is invalid.

Not here, although they look like refusals: "temporarily unavailable" and "insufficient resources", which a leader may
say while the message is on its way through its raft.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NOT_FOUND: Final = 10037
WRONG_LAST_SEQUENCE: Final = 10071
IN_FLIGHT: Final = 10164
WRONG_LAST_SEQUENCES: Final = frozenset((WRONG_LAST_SEQUENCE, IN_FLIGHT))

DEFINITE: Final[Mapping[int, str]] = {
    WRONG_LAST_SEQUENCE: "another revision is the last one: the leader refuses before it proposes; an older "
    "version that refuses while it applies does so on every replica",
    IN_FLIGHT: "a message of this key is on its way: the leader refuses before it proposes",
    10054: "the message is larger than the stream takes",
}
"""Code of the error → why the message is not stored, and never will be."""


def is_definite(code: int) -> bool:
    """Say whether a write that was answered so certainly did not happen."""
    return code in DEFINITE
