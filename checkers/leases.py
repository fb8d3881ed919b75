"""Honest leases: none is lost before its time, given away before its end, or there long after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checkers.lifetimes import Calm, Certain, Finding, findings, witness
from checkers.mutual_exclusion import by_key
from checkers.tenures import Tenure, tenures
from checkers.words import seconds, show
from harness.history import History
from harness.verdict import Anomaly, Verdict

ENGINE: Final = "lifetimes of leases"


class HonestLocks:
    """The lease below a lock keeps its time.

    Operations: those of the workload lock; see checkers/tenures.py.

    Detects: "lost early": told to have ended though its grant or its last acknowledged renewal is younger than the TTL,
    and its holder had not released it. "denied": so told of a lock that was there afterwards, so that nothing was lost
    but by a holder who believes it. "early grant": granted while another's certainly ran, to a client whose own TTL was
    over before it knew (if it was not, that is a double grant, and mutual exclusion tells of it); or granted with a
    lease that had already ended, by the service's own account. "late expiry": still there `late_s` after the TTL of its
    last renewal, of the last fault or of the last new leader was over. "revived": there again after its end had been
    acknowledged, or told when its time was over.

    Cannot detect: a grant with a lease that had already ended where the service does not say so and no other one
    certainly held meanwhile: a reply may always have been slow, and the lease have ended on its way.

    Cost: O(n log n), sorting.

    Why it is sound: checkers/lifetimes.py; and an acquire that was invoked and returned within another's certain hold
    was granted within it, whenever that was.

    Args:
        late_s: how tardy the service may be.
    """

    name = "honest leases"

    def __init__(self, *, late_s: float) -> None:
        self._late_ns = int(late_s * 1e9)

    def check(self, history: History) -> Verdict:
        """Decide every grant; report the first anomaly of each kind and lock.

        Raises:
            HistoryError: events do not pair, or lack what the workload lock puts there.
        """
        calm = Calm(history)
        anomalies: list[tuple[int, Anomaly]] = []
        for key, held in by_key(tenures(history)):
            found = [finding for tenure in held for finding in findings(tenure.life, calm, self._late_ns)]
            found += [early] if (early := _early_grant(held)) else []
            first: dict[str, Finding] = {}
            for finding in sorted(found, key=lambda finding: finding.at_ns):
                first.setdefault(finding.kind, finding)
            for kind, summary, events, at_ns in first.values():
                anomaly = Anomaly(checker=self.name, kind=kind, summary=summary, witness=events, key=key)
                anomalies.append((at_ns, anomaly))
        anomalies.sort(key=lambda found: found[0])
        return Verdict(
            status="invalid" if anomalies else "valid",
            anomalies=tuple(anomaly for _, anomaly in anomalies),
            engine=ENGINE,
        )


def _early_grant(held: Sequence[Tenure]) -> Finding | None:
    """Find a grant that ought not to have been made."""
    for tenure in held:
        if tenure.ended:
            granted = tenure.life.granted
            times = seconds(granted.begin_ns, granted.end_ns)
            summary = (
                f"{tenure.who} asked for lock {show(tenure.key)} at {times[0]} and was granted it at {times[1]}, with "
                "a lease that had ended before: by the service's own account nothing was left of it when it granted it"
            )
            return Finding("early grant", summary, witness((granted,)), granted.end_ns)
    return _within_another(held)


def _within_another(held: Sequence[Tenure]) -> Finding | None:
    """Find a grant, to a client that cannot have held it for certain, wholly within another's certain hold."""
    asked = sorted(held, key=lambda tenure: tenure.life.granted.begin_ns)
    longest: tuple[Tenure, Certain] | None = None
    known = 0  # how many of `held`, in the order of their returns, had been granted before this one was asked for
    for tenure in asked:
        granted = tenure.life.granted
        while known < len(held) and held[known].life.granted.end_ns < granted.begin_ns:
            certain = held[known].life.certain()
            if longest is None or certain.until_ns > longest[1].until_ns:
                longest = (held[known], certain)
            known += 1
        if longest is None or tenure.life.certain().until_ns > granted.end_ns:
            continue
        other, certain = longest
        if granted.end_ns < certain.until_ns:
            times = seconds(granted.begin_ns, granted.end_ns, other.life.granted.end_ns, certain.until_ns)
            summary = (
                f"{tenure.who} asked for lock {show(tenure.key)} at {times[0]} and was granted it at {times[1]}, while "
                f"{other.who} had it, from {times[2]} until {times[3]} at least: {certain.why}"
            )
            spans = (other.life.granted, *certain.spans, granted)
            return Finding("early grant", summary, witness(spans), granted.end_ns)
    return None
