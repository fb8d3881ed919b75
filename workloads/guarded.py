"""What a lock or a leadership guards: a resource outside the system, once unfenced and once fenced.

It is an object of the harness's process, which all clients of a run share, so that every access has its place in one
order, whatever the network does.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Access(NamedTuple):
    """One write to both.

    Attributes:
        sequence: its place among all accesses of the run, from 1.
        fenced: whether the fenced resource took it; None where the writer had no token to show.
    """

    sequence: int
    fenced: bool | None


class Guarded:
    """The resources of one run, one pair for each key: the unfenced takes all writes, the fenced no stale token's."""

    def __init__(self) -> None:
        self._sequence = 0
        self._greatest: dict[Any, int] = {}

    def write(self, key: Any, token: int | None) -> Access:
        """Write to both, at one instant.

        Args:
            key: which resource.
            token: the writer's fencing token, where it has one.
        """
        self._sequence += 1
        if token is None:
            return Access(self._sequence, None)
        fenced = token >= self._greatest.get(key, token)
        if fenced:
            self._greatest[key] = token
        return Access(self._sequence, fenced)
