"""What clients saw of a lease, from grant to end, and what of it cannot be: the core of the checkers of leases.

A lease ends by itself when its time to live is over, counted by the service from its grant or its last renewal. The
service does so at some moment between invoke and return, of which a client knows nothing. So from a renewal that was
acknowledged a lease lives *for certain* until its TTL after the renewal's invoke, and it has ended at the latest, but
for the service's tardiness, at its TTL after the renewal's return. Clocks of different machines are taken to run
within CLOCKS_AGREE of each other.

Why it is sound: every function says of two answers of the service that they cannot both be true, wherever each took
effect between its invoke and its return.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple

from checkers.words import seconds
from harness.history import History
from harness.lines import Lines
from harness.op import STATUS, Op

CLOCKS_AGREE: Final = 0.01
"""Two clocks differ by at most this share of the time that they measure."""

NEVER_NS: Final = 1 << 62
"""The return of an operation that has none."""


class Span(NamedTuple):
    """One operation.

    Attributes:
        begin_ns, end_ns: its invoke and its return, NEVER_NS where that is not known.
        events: indexes of its events.
    """

    begin_ns: int
    end_ns: int
    events: tuple[int, ...]

    @classmethod
    def of(cls, invocation: Op, completion: Op | None) -> Span:
        """Return the span of an operation; one of unknown outcome never ends."""
        if completion is None:
            return cls(invocation.time, NEVER_NS, (invocation.index,))
        end_ns = NEVER_NS if completion.type == "info" else completion.time
        return cls(invocation.time, end_ns, (invocation.index, completion.index))


class Finding(NamedTuple):
    """Two answers that cannot both be true.

    Attributes:
        kind, summary, witness: as in harness.verdict.Anomaly.
        at_ns: when it showed.
    """

    kind: str
    summary: str
    witness: tuple[int, ...]
    at_ns: int


@dataclass(slots=True)
class Lifetime:
    """One lease, as clients saw it. What is told here must be of this lease, not of another below the same name.

    Attributes:
        name: for sentences, such as "lock l1 of process 3 (token 7)".
        ttl_ns: its time to live.
        granted: the acknowledged grant.
        renewed: renewals that were acknowledged.
        doubtful: renewals of unknown outcome.
        alive: other answers that it stands, by whomever.
        gone: answers that it has ended, by whomever.
        ended: operations that may have ended it: releases, revokes.
        over: those of them that were acknowledged.
    """

    name: str
    ttl_ns: int
    granted: Span
    renewed: list[Span] = field(default_factory=list)
    doubtful: list[Span] = field(default_factory=list)
    alive: list[Span] = field(default_factory=list)
    gone: list[Span] = field(default_factory=list)
    ended: list[Span] = field(default_factory=list)
    over: list[Span] = field(default_factory=list)

    def counted_from(self) -> Span:
        """Return the grant, or the last acknowledged renewal."""
        return max([self.granted, *self.renewed])

    def certain_ns(self, renewal: Span) -> int:
        """Return until when it lives for certain by this renewal, or by its grant."""
        return renewal.begin_ns + int(self.ttl_ns * (1 - CLOCKS_AGREE))

    def certain(self) -> Certain:
        """Return until when its holder has it for certain.

        It ends with the holder's own release, and when somebody is told that it has ended. Being told that it stands
        is evidence as well: a lease that has ended does not come back.
        """
        evidence = self.counted_from()
        until_ns, why = self.certain_ns(evidence), f"its TTL of {self.ttl_ns / 1e9:g} s was over no earlier"
        if self.alive and (seen := max(self.alive)).begin_ns > until_ns:
            evidence, until_ns, why = seen, seen.begin_ns, "it was found to stand after that"
        spans = [evidence]
        for ends, what in (
            (self.ended, "it gave it back no earlier"),
            (self.gone, "it was told of its end after that"),
        ):
            if ends and (end := min(ends)).begin_ns < until_ns:
                until_ns, why, spans = end.begin_ns, what, [evidence, end]
        return Certain(until_ns, why, tuple(spans))


class Certain(NamedTuple):
    """The end of a certain hold.

    Attributes:
        until_ns: the hold lasted until then at least.
        why: in words.
        spans: what proves it.
    """

    until_ns: int
    why: str
    spans: tuple[Span, ...]


class Calm:
    """When nothing was on that lets a service be late: a fault, or a new leader, who may give each lease its TTL anew.

    Args:
        history: with its faults, and the nodes' status.
    """

    def __init__(self, history: History) -> None:
        faults = [(fault.inject_ns, NEVER_NS if fault.end_ns is None else fault.end_ns) for fault in history.faults]
        found = sorted([*faults, *((time_ns, time_ns) for time_ns in _new_terms(history))])
        self._begins = [begin_ns for begin_ns, _ in found]
        self._ends = list(accumulate((end_ns for _, end_ns in found), max))

    def since_ns(self, time_ns: int) -> int | None:
        """Return since when it has been calm at this time; None where it is not."""
        before = bisect_right(self._begins, time_ns)
        since_ns = self._ends[before - 1] if before else 0
        return None if since_ns > time_ns else since_ns


def _new_terms(history: History) -> Iterable[int]:
    """Yield when a node first told of each new term."""
    events = history.events.strangers() if isinstance(history.events, Lines) else history.events
    newest = 0
    for op in events:
        if op.f == STATUS and op.type == "ok" and isinstance(op.value, dict):
            term = op.value.get("term")
            if isinstance(term, int) and term > newest:
                newest = term
                yield op.time


class _Early(NamedTuple):
    """An answer that a lease has ended, given while it lived for certain.

    Attributes:
        gone: the answer.
        seen: the first to find it there after that, if there is one.
        evidence: what proves that it lived.
        words: what was said, and why it was early.
    """

    gone: Span
    seen: Span | None
    evidence: tuple[Span, ...]
    words: str


def lost_early(life: Lifetime) -> Finding | None:
    """Find an answer that it had ended, given while it lived for certain and nobody had asked for its end."""
    early = _early(life)
    if early is None or early.seen:
        return None
    return Finding("lost early", f"{early.words}, and nobody had ended it", witness(early.evidence), early.gone.end_ns)


def denied(life: Lifetime) -> Finding | None:
    """Find such an answer about a lease that was there afterwards: it was not lost, only its client was told so."""
    early = _early(life)
    if early is None or early.seen is None:
        return None
    (asked,) = seconds(early.seen.begin_ns)
    summary = f"{early.words}, and it was there when asked for at {asked}"
    return Finding("denied", summary, witness((*early.evidence, early.seen)), early.seen.end_ns)


def _early(life: Lifetime) -> _Early | None:
    """Return the first answer that it had ended which cannot be: it lived for certain, and nobody had ended it."""
    renewals = sorted([life.granted, *life.renewed])
    for gone in sorted(life.gone, key=lambda span: span.end_ns):
        if any(end.begin_ns < gone.end_ns and end != gone for end in life.ended):
            return None
        last = bisect_left(renewals, (gone.end_ns,)) - 1
        if last >= 0 and gone.end_ns < life.certain_ns(renewals[last]):
            renewal = renewals[last]
            times = seconds(gone.end_ns, renewal.begin_ns)
            what = "it was asked for" if renewal == life.granted else "its last acknowledged renewal was sent"
            words = (
                f"{life.name} was said at {times[0]} to have ended, but {what} no earlier than {times[1]}, for "
                f"{_length(life)}"
            )
            return _Early(gone, _seen_after(life, gone), (renewal, gone), words)
    return None


def _seen_after(life: Lifetime, end: Span) -> Span | None:
    """Return the first answer that it stands, asked for after the end had been told."""
    later = (span for span in (*life.alive, *life.renewed) if span.begin_ns > end.end_ns)
    return min(later, key=lambda span: span.end_ns, default=None)


def revived(life: Lifetime) -> Finding | None:
    """Find an answer that it stands, asked for after its end had been acknowledged; or told, when it could be true."""
    end = min((*life.gone, *life.over), key=lambda span: span.end_ns, default=None)
    if end is None or (seen := _seen_after(life, end)) is None or ((early := _early(life)) and early.gone == end):
        return None
    times = seconds(end.end_ns, seen.begin_ns)
    summary = f"{life.name} had ended by {times[0]}, as its client was told, but was there when asked for at {times[1]}"
    return Finding("revived", summary, witness((end, seen)), seen.end_ns)


def late(life: Lifetime, calm: Calm, late_ns: int) -> Finding | None:
    """Find an answer that it stands, asked for long after its TTL was over.

    Args:
        life: the lease.
        calm: time begins anew after each disturbance.
        late_ns: the service may be so tardy.
    """
    renewals = sorted([life.granted, *life.renewed])
    returns = list(accumulate((span.end_ns for span in renewals), max))
    ttl_ns = int(life.ttl_ns * (1 + CLOCKS_AGREE))
    doubtful_ns = min((span.begin_ns for span in life.doubtful), default=NEVER_NS)
    for seen in sorted((*life.alive, *life.renewed)):
        if doubtful_ns < seen.end_ns:
            return None
        before = bisect_left(renewals, (seen.end_ns,))
        if before and renewals[before - 1] == seen:
            before -= 1  # a renewal that says "it stands" is not the reason why it stood
        since_ns = calm.since_ns(seen.begin_ns)
        if not before or since_ns is None:
            continue
        last = before - 1
        if seen.begin_ns > max(returns[last], since_ns) + ttl_ns + late_ns:
            times = seconds(seen.begin_ns, returns[last])
            summary = (
                f"{life.name} was still there when asked for at {times[0]}, though it was renewed no later than "
                f"{times[1]} for {_length(life)}, and no fault and no new leader has delayed its end"
            )
            return Finding("late expiry", summary, witness((renewals[last], seen)), seen.end_ns)
    return None


def findings(life: Lifetime, calm: Calm, late_ns: int) -> list[Finding]:
    """Return all that is wrong with a lease."""
    found = (denied(life), lost_early(life), revived(life), late(life, calm, late_ns))
    return [finding for finding in found if finding]


def _length(life: Lifetime) -> str:
    return f"{life.ttl_ns / 1e9:g} s"


def witness(spans: Sequence[Span]) -> tuple[int, ...]:
    """Return the events of these operations, in order."""
    return tuple(sorted({index for span in spans for index in span.events}))
