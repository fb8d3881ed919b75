"""The checker of locks: nobody holds one while another does for certain, and fencing tokens do their work."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from checkers.lifetimes import Certain, Finding, witness
from checkers.tenures import Tenure, Write, tenures
from checkers.words import seconds, show
from harness.history import History
from harness.op import freeze
from harness.verdict import Anomaly, Verdict

ENGINE: Final = "certain holds"

_FENCE: Final = {
    False: "one that checks fencing tokens refused it",
    True: "and one that checks fencing tokens did, too",
    None: "and there was no fencing token to refuse it by",
}


class MutualExclusion:
    """One holder at a time, from evidence, and fencing tokens that grow.

    Operations: those of the workload lock; see checkers/tenures.py. A client holds *for certain* from the return of its
    acquire until the earliest of: its release's invoke; its being told that it lost; the end of the TTL, counted from
    the invoke of its acquire or of its last acknowledged extend, by its own clock. An answer that it holds, or another
    one's refusal because of it, is evidence up to that question's invoke.

    Detects: "double grant": two hold one lock for certain at one time. "broken fencing": a token that was given twice;
    a token that is not greater than that of a grant that had been acknowledged before this one was asked for; a stale
    token that the fenced resource took after a greater one.

    Tells apart, as a reason of a valid verdict: "unsafe", a holder's write that came after that of a newer grant, which
    no lock with a time to live can prevent; "unsafe but fenced", where the fenced resource refused all those.

    Cannot detect: two holders of whom one's TTL was over before it knew that it had the lock; a double grant to a
    client whose acquire has no known outcome.

    Cost: O(n log n), sorting.

    Why it is sound: each hold is as short as the answers allow, and lies within every time that the service can have
    meant. Grants whose tokens are compared are ordered in real time. The accesses' sequence numbers were given at one
    place, each at the instant of its access.
    """

    name = "mutual exclusion"

    def check(self, history: History) -> Verdict:
        """Decide every lock; report the first anomaly of each kind and lock.

        Raises:
            HistoryError: events do not pair, or lack what the workload lock puts there.
        """
        anomalies: list[tuple[int, Anomaly]] = []
        stale: list[tuple[Tenure, Write, Tenure, Write]] = []
        for key, held in by_key(tenures(history)):
            stale += _stale_writes(held)
            for finding in (_double_grant(held), _same_token(held) or _shrinking(held), _stale_accepted(held)):
                if finding is not None:
                    kind, summary, events, at_ns = finding
                    anomalies.append(
                        (at_ns, Anomaly(checker=self.name, kind=kind, summary=summary, witness=events, key=key))
                    )
        anomalies.sort(key=lambda found: found[0])
        return Verdict(
            status="invalid" if anomalies else "valid",
            anomalies=tuple(anomaly for _, anomaly in anomalies),
            engine=ENGINE,
            reasons=_unsafe(stale),
        )


def by_key(found: Sequence[Tenure]) -> Iterator[tuple[Any, list[Tenure]]]:
    """Yield each lock with its tenures, in the order in which they were acknowledged."""
    held: dict[Any, list[Tenure]] = {}
    for tenure in found:
        held.setdefault(freeze(tenure.key), []).append(tenure)
    for same in held.values():
        yield same[0].key, sorted(same, key=lambda tenure: tenure.life.granted.end_ns)


def _double_grant(held: Sequence[Tenure]) -> Finding | None:
    """Find a grant that was acknowledged while another's certain hold was on, and which holds for certain itself."""
    longest: tuple[Tenure, Certain] | None = None
    for tenure in held:
        begin_ns, certain = tenure.life.granted.end_ns, tenure.life.certain()
        if certain.until_ns <= begin_ns:
            continue
        if longest is not None and begin_ns < longest[1].until_ns:
            return _two_holders(*longest, tenure)
        longest = (tenure, certain)
    return None


def _two_holders(one: Tenure, certain: Certain, other: Tenure) -> Finding:
    mine, granted = one.life.granted, other.life.granted
    times = seconds(granted.end_ns, mine.end_ns, certain.until_ns)
    summary = (
        f"{other.who} was granted lock {show(one.key)} at {times[0]}, but {one.who}, which got it at {times[1]}, had "
        f"it until {times[2]} at least: {certain.why}"
    )
    return Finding("double grant", summary, witness((mine, *certain.spans, granted)), granted.end_ns)


def _same_token(held: Sequence[Tenure]) -> Finding | None:
    first: dict[int, Tenure] = {}
    for tenure in held:
        if tenure.token is None:
            continue
        other = first.setdefault(tenure.token, tenure)
        if other is not tenure:
            times = seconds(other.life.granted.end_ns, tenure.life.granted.end_ns)
            summary = (
                f"process {other.process}, at {times[0]}, and process {tenure.process}, at {times[1]}, got the same "
                f"token {tenure.token} for lock {show(tenure.key)}: no fence can tell them apart"
            )
            spans = (other.life.granted, tenure.life.granted)
            return Finding("broken fencing", summary, witness(spans), tenure.life.granted.end_ns)
    return None


def _shrinking(held: Sequence[Tenure]) -> Finding | None:
    """Find a token that is not greater than that of a grant that was acknowledged before this one was asked for."""
    known = [tenure for tenure in held if tenure.token is not None]
    returns = [tenure.life.granted.end_ns for tenure in known]
    greatest: list[Tenure] = []
    for tenure in known:
        greatest.append(max([*greatest[-1:], tenure], key=_token))
    for tenure in known:
        before = bisect_left(returns, tenure.life.granted.begin_ns)
        if before and _token(other := greatest[before - 1]) > _token(tenure):
            times = seconds(other.life.granted.end_ns, tenure.life.granted.begin_ns)
            summary = (
                f"the tokens of lock {show(tenure.key)} went back: process {other.process} had got {other.token} by "
                f"{times[0]}, and process {tenure.process}, which asked at {times[1]}, got {tenure.token}"
            )
            spans = (other.life.granted, tenure.life.granted)
            return Finding("broken fencing", summary, witness(spans), tenure.life.granted.end_ns)
    return None


def _accesses(held: Sequence[Tenure]) -> list[tuple[Tenure, Write]]:
    """Return the writes under a lock in the order in which they came to the resource."""
    return sorted(
        ((tenure, write) for tenure in held for write in tenure.writes), key=lambda access: access[1].sequence
    )


def _stale_accepted(held: Sequence[Tenure]) -> Finding | None:
    """Find a write that the fenced resource took after it had taken one of a greater token."""
    newest: tuple[Tenure, Write] | None = None
    for tenure, write in _accesses(held):
        if not write.fenced or tenure.token is None:
            continue
        if newest is not None and _token(newest[0]) > tenure.token:
            other, before = newest
            summary = (
                f"the fenced resource of lock {show(tenure.key)} took the write of {tenure.who} as access "
                f"{write.sequence}, after it had taken that of {other.who} as access {before.sequence}"
            )
            return Finding("broken fencing", summary, witness((before.span, write.span)), write.span.end_ns)
        newest = (tenure, write)
    return None


def _stale_writes(held: Sequence[Tenure]) -> Iterable[tuple[Tenure, Write, Tenure, Write]]:
    """Yield each write that came to the unfenced resource after one of a newer grant, with that one.

    A grant is newer if its token is greater; where there are none, if it was asked for after the other was granted.
    """
    newest: tuple[Tenure, Write] | None = None
    for tenure, write in _accesses(held):
        if newest is not None and _newer(newest[0], tenure):
            yield (tenure, write, *newest)
        elif newest is None or newest[0] is not tenure:
            newest = (tenure, write)


def _newer(one: Tenure, other: Tenure) -> bool:
    if one.token is not None and other.token is not None:
        return one.token > other.token
    return one.life.granted.begin_ns > other.life.granted.end_ns


def _unsafe(stale: Sequence[tuple[Tenure, Write, Tenure, Write]]) -> tuple[str, ...]:
    """Say in one sentence what no lock can prevent, and whether the fence did."""
    if not stale:
        return ()
    tenure, write, other, before = min(stale, key=lambda case: case[1].span.end_ns)
    times = seconds(before.span.end_ns, write.span.end_ns)
    refused = sum(case[1].fenced is False for case in stale)
    kind = "unsafe but fenced" if refused == len(stale) else "unsafe"
    how = "froze for longer than its TTL" if tenure.froze else "was stopped after its last look at its clock"
    fence = _FENCE[write.fenced]
    often = f" ({len(stale)} such writes)" if len(stale) > 1 else ""
    return (
        f"{kind}: {tenure.who} {how} and then wrote under lock {show(tenure.key)}, at {times[1]}, though {other.who}, "
        f"which had been granted the lock meanwhile, had written at {times[0]}; no lock that ends by itself can "
        f"prevent this: a plain resource took the write, {fence}{often}",
    )


def _token(tenure: Tenure) -> int:
    assert tenure.token is not None
    return tenure.token
