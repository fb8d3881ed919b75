"""Keys that are tied to leases are there as long as these stand, and no longer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from checkers.lifetimes import Calm, Finding, Lifetime, Span, findings, witness
from checkers.words import seconds, show
from harness.errors import HistoryError
from harness.history import History
from harness.op import Op, freeze
from harness.verdict import Anomaly, Verdict

ENGINE: Final = "lifetimes of leases"
MAX_REPORTED: Final = 10


class LeasedKeys:
    """A key vanishes with its lease, and not before; each of the history's keys is a lease with one key tied to it.

    Operations: `grant`, whose ok completion has {"ttl_s"}; `attach` with a value; `keep_alive` and `revoke`, whose ok
    completions have {"held"}, false where the service said that the lease had ended; `read`, whose ok completion has
    the value, null where the key is not there.

    Detects: "lost early": the key is gone, or the lease said to have ended, though its grant or its last acknowledged
    renewal is younger than the TTL, and nobody had revoked it. "denied": so told of a lease that was there afterwards,
    so that nothing was lost but by whoever believes it. "late expiry": still there `late_s` after the TTL of its last
    renewal, of the last fault or of the last new leader was over. "revived": there again, or still, after its end had
    been acknowledged: by a revoke, or to somebody who found it gone when its time was over. "value never attached".

    Cannot detect: what nobody read; an early end of which nobody was told while it was one.

    Cost: O(n log n), sorting.

    Why it is sound: checkers/lifetimes.py. A read is linearizable, so one that shows the key says that the lease stood
    at some moment between its invoke and its return; and one that does not, begun after the attach had returned, says
    that it had ended by some moment. A lease does not come back, and its key is tied to it once.

    Args:
        late_s: how tardy the service may be.
    """

    name = "honest leases"

    def __init__(self, *, late_s: float) -> None:
        self._late_ns = int(late_s * 1e9)

    def check(self, history: History) -> Verdict:
        """Decide every lease; report the first anomaly of each.

        Raises:
            HistoryError: events do not pair, or an operation's value is not as described.
        """
        calm = Calm(history)
        found: list[tuple[int, Anomaly]] = []
        for lease in _leases(history):
            wrong = findings(lease.life, calm, self._late_ns) + ([lease.invented] if lease.invented else [])
            if wrong:
                kind, summary, events, at_ns = min(wrong, key=lambda finding: finding.at_ns)
                anomaly = Anomaly(checker=self.name, kind=kind, summary=summary, witness=events, key=lease.key)
                found.append((at_ns, anomaly))
        found.sort(key=lambda entry: entry[0])
        more = len(found) - MAX_REPORTED
        return Verdict(
            status="invalid" if found else "valid",
            anomalies=tuple(anomaly for _, anomaly in found[:MAX_REPORTED]),
            engine=ENGINE,
            reasons=(f"{more} more {'lease has' if more == 1 else 'leases have'} anomalies",) if more > 0 else (),
        )


@dataclass(slots=True)
class _Lease:
    """One lease.

    Attributes:
        key: its name in the history.
        life: as clients saw it.
        attached: acknowledged attaches.
        values: that may have been attached, and from when on.
        reads: of its key, with what they showed.
        invented: a read of what was never attached.
    """

    key: Any
    life: Lifetime
    attached: list[Span] = field(default_factory=list)
    values: dict[Any, int] = field(default_factory=dict)
    reads: list[tuple[Span, Any]] = field(default_factory=list)
    invented: Finding | None = None


def _leases(history: History) -> list[_Lease]:
    """Return the leases whose grant was acknowledged, with all that was said of each."""
    found = []
    for key, rows in history.by_key():
        ops = [(history.invocation(row), history.completion(row)) for row in rows.tolist()]
        grants = [(invocation, ok) for invocation, ok in ops if invocation.f == "grant" and ok and ok.type == "ok"]
        if len(grants) > 1:
            raise _malformed(history, grants[1][1], "a lease was granted twice by one name")
        if not grants:
            continue
        ttl_s = _member(history, grants[0][1], "ttl_s")
        if type(ttl_s) not in (int, float) or not 0 < ttl_s < 1e9:
            raise _malformed(history, grants[0][1], "an ok grant has no ttl_s in its value")
        lease = _Lease(key, Lifetime(f"lease {show(key)}", int(ttl_s * 1e9), Span.of(*grants[0])))
        for invocation, completion in ops:
            if completion is None or completion.type != "fail":
                _take(history, lease, invocation, completion)
        _read(lease)
        found.append(lease)
    return found


def _take(history: History, lease: _Lease, invocation: Op, completion: Op | None) -> None:
    """Take in one operation that did not fail."""
    life, span = lease.life, Span.of(invocation, completion)
    ok = completion if completion is not None and completion.type == "ok" else None
    if invocation.f == "attach":
        name = freeze(invocation.value)
        lease.values[name] = min(invocation.time, lease.values.get(name, invocation.time))
        if ok:
            lease.attached.append(span)
            life.alive.append(span)
    elif invocation.f == "keep_alive":
        if ok is None:
            life.doubtful.append(span)
        else:
            (life.renewed if _held(history, ok) else life.gone).append(span)
    elif invocation.f == "revoke":
        life.ended.append(span)
        if ok:
            (life.over if _held(history, ok) else life.gone).append(span)
    elif invocation.f == "read" and ok:
        lease.reads.append((span, ok.value))


def _read(lease: _Lease) -> None:
    """Give each read of the key to the life of the lease, as far as it says something of it."""
    tied_ns = min((span.end_ns for span in lease.attached), default=None)
    for span, value in lease.reads:
        if value is None:
            if tied_ns is not None and tied_ns < span.begin_ns:
                lease.life.gone.append(span)
            continue
        lease.life.alive.append(span)
        if lease.values.get(freeze(value), span.end_ns) >= span.end_ns and lease.invented is None:
            (at,) = seconds(span.end_ns)
            summary = f"the key of {lease.life.name} was read as {show(value)} at {at}, which nobody had attached"
            lease.invented = Finding("value never attached", summary, witness((span,)), span.end_ns)


def _held(history: History, completion: Op) -> bool:
    held = _member(history, completion, "held")
    if type(held) is not bool:
        raise _malformed(history, completion, f"an ok {completion.f} has no held in its value")
    return held


def _member(history: History, completion: Op | None, name: str) -> Any:
    value = completion.value if completion is not None else None
    return value.get(name) if isinstance(value, dict) else None


def _malformed(history: History, completion: Op | None, what: str) -> HistoryError:
    at = completion.index if completion is not None else "?"
    message = f"{history.source}: event {at}: {what}"
    return HistoryError(message, "was it recorded by the workload lease? docs/reference.md says what is in it")
