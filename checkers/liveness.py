"""The checker of liveness: what did not come to pass although nothing was in its way any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any, Final

from checkers.words import seconds, show
from harness.history import History
from harness.leaders import operations
from harness.op import FINAL, RUN, Op, freeze
from harness.verdict import Anomaly, Verdict

PATIENCE_NS: Final = 500_000_000
"""A try that was cut off sooner is none: a good answer may have been under way."""

MAX_REPORTED: Final = 10
_S: Final = 1_000_000_000


class Liveness:
    """After the last heal, when every node serves, each of the named operations succeeds on each key that is tried.

    Detects: "stuck": a key on which no try of an operation succeeded in the run's last phase, though it was tried for
    the whole bound.

    Cannot detect: what nobody tried; anything in a run that was stopped, whose last phase was cut off, in which a fault
    was not measured to be gone, or a node did not serve.

    Cost: one pass over the operations.

    Why it is sound: nothing that the harness did is in the way any more, each node had just served, and the bound is
    the workload's, far beyond any election, lease or reconnection. Tries that were cut off sooner than PATIENCE_NS do
    not count.

    Args:
        fs: the operations' names.
        bound_s: between the first try and the end of the last one, in seconds.
        exclusive: the operation takes what nobody else can have meanwhile. A try of unknown outcome may have got it,
            and be what later ones were refused for: tries of both kinds prove nothing.
    """

    name = "liveness"

    def __init__(self, fs: Collection[str], bound_s: float, *, exclusive: bool = False) -> None:
        self._fs = fs
        self._exclusive = exclusive
        self._bound_ns = int(bound_s * _S)

    def check(self, history: History) -> Verdict:
        """Look at the run's last phase, where there was a whole one."""
        begin = _last_phase(history)
        if begin is None or not all(fault.verified for fault in history.faults):
            return Verdict(status="valid")
        tries: dict[Any, list[tuple[Op, Op]]] = defaultdict(list)
        done_with = set()
        for asked, done in operations(history, self._fs):
            if asked.index < begin.index or done is None:
                continue
            place = (asked.f, freeze(asked.key))
            if done.type == "ok":
                done_with.add(place)
            elif done.type == "fail" or done.time - asked.time >= PATIENCE_NS:
                tries[place].append((asked, done))
        stuck = [
            self._stuck(begin, tried)
            for place, tried in tries.items()
            if place not in done_with and tried[-1][1].time - tried[0][0].time >= self._bound_ns
            if not (self._exclusive and {done.type for _, done in tried} == {"info", "fail"})
        ]
        return Verdict(status="invalid" if stuck else "valid", anomalies=tuple(stuck[:MAX_REPORTED]))

    def _stuck(self, begin: Op, tried: list[tuple[Op, Op]]) -> Anomaly:
        (first, _), (last, end) = tried[0], tried[-1]
        times = seconds(begin.time, first.time, end.time)
        summary = (
            f"all was healed and every node served at {times[0]}, but none of {len(tried)} tries of {first.f} on "
            f"{show(first.key)} succeeded between {times[1]} and {times[2]}; the last said: {end.error or 'nothing'}"
        )
        witness = {first.index, tried[0][1].index, last.index, end.index}
        return Anomaly(checker=self.name, kind="stuck", summary=summary, witness=tuple(sorted(witness)), key=first.key)


def _last_phase(history: History) -> Op | None:
    """Return where the last phase began, if it was a whole one in which every node served."""
    marks = [op for op in history.strangers if op.process == RUN and op.f == FINAL]
    if [op.type for op in marks] != ["invoke", "ok"] or not isinstance(marks[0].value, dict):
        return None
    return marks[0] if marks[0].value.get("late") == [] else None
