"""The checker of watches: what was delivered, against what was written and what other watches delivered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checkers.watch_columns import Watched, collect
from checkers.watch_findings import foreign, gaps, late, order, refusals, revisions
from checkers.watch_made import Finding, Made
from harness.history import History
from harness.verdict import Anomaly, Verdict

MAX_REPORTED: Final = 10
ENGINE: Final = "changes by revision"


class WatchChecker:
    """Watches by prefix deliver every change once, in the order of the revisions, without a gap.

    Operations: `put` with a key and a value, whose ok completion has {"value", "revision"}; `delete` with a key, whose
    ok completion has {"revision"}, null where the key was not there; `revision`, which gives the newest; `compact` with
    the first revision that is kept; `watch` with a prefix as key and {"start"} (null: from now), whose ok completion
    has {"changes": [[revision, key, value], …]} in the order of their arrival (value null: deleted), and "late", those
    that came after the watch had been cancelled. A change without a value is one whose value the watch does not tell. A
    watch that failed and `observed` a revision was refused because its start is compacted; one that `observed` "now",
    because the service only has watches from now.

    Detects: "out of order" (a change after one of a greater revision), "delivered twice", "before its start", "of
    another prefix", "after its cancel"; "missed change" (a gap: a change between a watch's start and its last one that
    was acknowledged, or that another watch delivered, and that it did not deliver; so a watch that goes on where
    another one ended cannot skip anything); "wrong value" (not what was put at that revision) and "watches disagree";
    "change never made" (nobody wrote it, or not before it was delivered, or at another revision); "revision went back"
    (what was written later has no greater one); "refused without compaction".

    Cannot detect: that a watch is late, or silent for ever: what follows its last change is no evidence. Of a watch
    from now, and of the revision of its last change, where several keys may have changed, only what was delivered
    counts. What is below a compaction is nobody's matter but that of watches that began there. Where a watch does not
    tell values, none is compared; a reason says so, and another one that all watches had to begin now.

    Cost: O(n log n) in operations and delivered changes.

    Why it is sound. A revision is given to one step of the service, and the steps are in the order of their revisions,
    so whatever returned before a write began has a smaller one. A write is known to have happened at a revision by its
    acknowledgement, or by a delivery that one write alone explains; a write of unknown outcome may have happened at any
    revision, or not. From a start on, up to the last change that it delivered, a watch owes every change of its prefix;
    a change that happened in that range and was not delivered is a gap under any reading. A start may be refused only
    where a compaction beyond it may have happened by then; and "now", where any may have: a node may be behind.
    """

    name = "watch"

    def check(self, history: History) -> Verdict:
        """Decide; report the first anomalies, one a watch and kind at most.

        Raises:
            HistoryError: an operation's value is not as described, or the history's events do not pair.
        """
        watched = collect(history)
        made = Made(watched)
        found = [
            *order(watched),
            *foreign(watched),
            *made.findings,
            *gaps(watched, made),
            *late(watched),
            *refusals(watched),
            *revisions(watched, made),
        ]
        found.sort(key=lambda finding: finding.row)
        more = len(found) - MAX_REPORTED
        reasons = [*_unchecked(watched)]
        if more > 0:
            reasons.append(f"{more} more {'anomaly was' if more == 1 else 'anomalies were'} found")
        return Verdict(
            status="invalid" if found else "valid",
            anomalies=tuple(_anomaly(watched, finding) for finding in found[:MAX_REPORTED]),
            engine=ENGINE,
            reasons=tuple(reasons),
        )


def _unchecked(watched: Watched) -> Iterator[str]:
    """Say what could not be checked, since the service promises less."""
    if not watched.told:
        yield "the watches tell which keys were set, and not to what: values were not compared"
    if watched.from_now:
        yield "the service keeps no changes: every watch began now, and none could go on where another one had ended"


def _anomaly(watched: Watched, finding: Finding) -> Anomaly:
    history = watched.history
    columns, events = history.columns, history.events
    rows = {int(at) for row in finding.witness for at in (columns.invoke[row], columns.complete[row]) if at >= 0}
    witness = tuple(sorted(events[row].index for row in rows))
    return Anomaly(
        checker=WatchChecker.name, kind=finding.kind, summary=finding.summary, witness=witness, key=finding.key
    )
