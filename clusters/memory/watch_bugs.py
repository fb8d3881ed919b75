"""Bugs of the watches in memory: each must be found by the harness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from clusters.memory.replicas import Replica
from clusters.memory.watches import Watches
from harness.errors import Definite
from harness.facets import Change

MISHAP: Final = 0.05
"""How often a change goes wrong under the bugs watch-skips, watch-repeats and watch-reorders."""


class _Mishaps(Watches):
    def _mishap(self) -> bool:
        return self.replicas.random.random() < MISHAP


class Skips(_Mishaps):
    """Now and then a watch leaves a change out."""

    def changes(self, replica: Replica, start: int) -> Sequence[Change]:
        return [change for change in super().changes(replica, start) if not self._mishap()]


class Repeats(_Mishaps):
    """Now and then a watch delivers a change twice."""

    def changes(self, replica: Replica, start: int) -> Sequence[Change]:
        changes = super().changes(replica, start)
        return [change for each in changes for change in ([each, each] if self._mishap() else [each])]


class Reorders(_Mishaps):
    """Now and then a watch delivers a change after the next one."""

    def changes(self, replica: Replica, start: int) -> Sequence[Change]:
        changes = list(super().changes(replica, start))
        for at in range(1, len(changes)):
            if self._mishap():
                changes[at - 1], changes[at] = changes[at], changes[at - 1]
        return changes


class StartsLate(Watches):
    """A watch from an old revision begins with the next one."""

    def changes(self, replica: Replica, start: int) -> Sequence[Change]:
        newest = self.revision(replica)
        return super().changes(replica, start + 1 if start < newest else start)


class StartsEarly(Watches):
    """A watch from an old revision begins with the one before it."""

    def changes(self, replica: Replica, start: int) -> Sequence[Change]:
        early = start - 1 if self.compacted(replica) < start <= self.revision(replica) else start
        return super().changes(replica, max(1, early))


class HidesDeletes(Watches):
    """Watches do not tell of deletions."""

    def changes(self, replica: Replica, start: int) -> Sequence[Change]:
        return [change for change in super().changes(replica, start) if change.value is not None]


class HidesCompaction(Watches):
    """A watch whose start is compacted begins with what is left, without a word."""

    def changes(self, replica: Replica, start: int) -> Sequence[Change]:
        return super().changes(replica, max(start, self.compacted(replica)))


class RefusesOld(Watches):
    """A watch from an old revision is refused as if that were compacted."""

    def changes(self, replica: Replica, start: int) -> Sequence[Change]:
        newest = self.revision(replica)
        if start < newest - 30:
            raise Definite("compacted", observed=newest)
        return super().changes(replica, start)


class WithholdsNewest(Watches):
    """A watch delivers a change only when the next one has come."""

    def changes(self, replica: Replica, start: int) -> Sequence[Change]:
        return [change for change in super().changes(replica, start) if change.revision < self.revision(replica)]


class GoesOn(Watches):
    """A watch goes on for a while after it was cancelled."""

    def after_cancel(self, replica: Replica, start: int) -> Sequence[Change]:
        return self.changes(replica, max(start, self.revision(replica)))


WATCH_BUGS: Final = {
    "watch-skips": Skips,
    "watch-repeats": Repeats,
    "watch-reorders": Reorders,
    "watch-starts-late": StartsLate,
    "watch-starts-early": StartsEarly,
    "watch-hides-deletes": HidesDeletes,
    "watch-hides-compaction": HidesCompaction,
    "watch-refuses-old": RefusesOld,
    "watch-goes-on": GoesOn,
    "watch-withholds-newest": WithholdsNewest,
}
