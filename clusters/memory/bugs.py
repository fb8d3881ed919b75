"""Bugs that the system `memory` can be given (`--option bug=NAME`): each must be found by the harness.

A bug is a class that does one thing wrong; the correct class that it takes the place of is its base, and the first line
of its docstring says to people what it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clusters.memory.election_bugs import ELECTION_BUGS
from clusters.memory.lease_bugs import LEASE_BUGS
from clusters.memory.lock_bugs import LOCK_BUGS
from clusters.memory.member_bugs import MEMBER_BUGS
from clusters.memory.node_bugs import NODE_BUGS
from clusters.memory.register_bugs import REGISTER_BUGS
from clusters.memory.task_bugs import TASK_BUGS
from clusters.memory.watch_bugs import WATCH_BUGS

BUGS: Final[Mapping[str, type]] = {
    **REGISTER_BUGS,
    **LOCK_BUGS,
    **ELECTION_BUGS,
    **TASK_BUGS,
    **WATCH_BUGS,
    **LEASE_BUGS,
    **MEMBER_BUGS,
    **NODE_BUGS,
}


def summary(bug: type) -> str:
    """Return one line for people."""
    line = (bug.__doc__ or "").partition("\n")[0].removesuffix(".")
    return line[:1].lower() + line[1:]
