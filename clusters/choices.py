"""What a user may choose of a system: its version, and how its registers are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import UsageError


def chosen_version(version: str, versions: Sequence[str], system: str) -> str:
    """Return the version, of "" the newest.

    Args:
        versions: that are known, the newest last.

    Raises:
        UsageError: it is none of them.
    """
    if version and version not in versions:
        what = f"{system} {version}: not a version that we know"
        raise UsageError(what, f"choose one of {', '.join(versions)}")
    return version or versions[-1]


def chosen_reads(options: Mapping[str, Any], reads: Sequence[str], system: str) -> str:
    """Return how a register is to be read.

    Raises:
        UsageError: the system has no such reads.
    """
    found = options.get("reads", reads[0])
    if found not in reads:
        raise UsageError(f"reads={found!r}: {system} has no such reads", f"choose one of {', '.join(reads)}")
    return str(found)
