"""Whether enough succeeded for a verdict to mean anything."""

from __future__ import annotations

import numpy as np

from harness.history import History
from harness.verdict import OpCounts, Verdict


def op_table(history: History) -> dict[str, OpCounts]:
    """Count operations by outcome, for each f in order of appearance."""
    columns = history.columns
    return {f: history.counts(np.flatnonzero(columns.f == code)) for code, f in enumerate(columns.fs)}


class Stats:
    """Too few successes are not a pass.

    Detects: a run in which hardly anything succeeded, or in which one kind of operation never did, though it was tried
    often. Such a run is unknown, never invalid, whatever else passed: `shortfall` is what the runner makes an error of.

    Cannot detect: anything about the values.

    Cost: one pass over the columns.

    Why it is sound: it accuses nobody; a history without successes satisfies every promise vacuously, so that calling
    it a pass would be wrong.

    Args:
        min_ok: fewest operations that succeeded.
        min_ok_ratio: least share of the invoked operations that succeeded, 0 to 1.
        often: an f invoked so many times has to have succeeded once.
    """

    name = "stats"

    def __init__(self, *, min_ok: int = 10, min_ok_ratio: float = 0.01, often: int = 50) -> None:
        self._min_ok = min_ok
        self._min_ok_ratio = min_ok_ratio
        self._often = often

    def check(self, history: History) -> Verdict:
        """Return valid, or unknown with one reason for each shortfall."""
        reasons = self.shortfall(history)
        return Verdict(status="unknown" if reasons else "valid", reasons=reasons)

    def shortfall(self, history: History) -> tuple[str, ...]:
        """Say, in plain words, what is too little for any verdict to mean something; nothing where it is enough."""
        table = op_table(history)
        ok = sum(counts.ok for counts in table.values())
        invoked = sum(counts.invoke for counts in table.values())
        reasons = []
        if ok < self._min_ok:
            reasons.append(f"only {ok} of {invoked} operations succeeded; a verdict needs {self._min_ok}")
        elif ok < invoked * self._min_ok_ratio:
            share = f"{100 * ok / invoked:.2g} %"
            reasons.append(f"only {share} of {invoked} operations succeeded; a verdict needs {self._min_ok_ratio:.0%}")
        reasons += [
            f"no {f} succeeded, of {counts.invoke} ({counts.fail} failed, {counts.info} of unknown outcome)"
            for f, counts in table.items()
            if counts.invoke >= self._often and not counts.ok
        ]
        return tuple(reasons)
