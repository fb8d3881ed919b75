"""The ways in which watches break their promises, each in words and with the operations that prove it."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise, takewhile
from operator import methodcaller
from typing import Any, NamedTuple

from checkers.models import NEVER_COMPLETES
from checkers.watch_columns import Delivered, Watched, Write
from checkers.words import began, process, returned, seconds, show

Place = tuple[int, str]
"""A change, by its revision and its key."""


class Finding(NamedTuple):
    """One anomaly.

    Attributes:
        row: of the event, in History.events, by which it showed.
        kind, summary, key: as in harness.verdict.Anomaly.
        witness: rows of the operations, in History.columns, that prove it.
    """

    row: int
    kind: str
    summary: str
    key: str
    witness: Sequence[int]


def order(watched: Watched) -> Iterator[Finding]:
    """Look for watches whose revisions go back, or that deliver a change twice."""
    for watch in watched.watches:
        if all(one < other for one, other in pairwise(watch.changes)):
            continue
        seen: set[Place] = set()
        newest = watch.changes[0][0]
        for revision, key in watch.changes:
            if (revision, key) in seen:
                summary = f"{_name(watched, watch)} delivered the change of {key} at revision {revision} twice"
                yield Finding(watch.ret, "delivered twice", summary, watch.prefix, (watch.row,))
                break
            if revision < newest:
                summary = (
                    f"{_name(watched, watch)} delivered the change of {key} at revision {revision} after one at "
                    f"revision {newest}"
                )
                yield Finding(watch.ret, "out of order", summary, watch.prefix, (watch.row,))
                break
            seen.add((revision, key))
            newest = revision


def foreign(watched: Watched) -> Iterator[Finding]:
    """Look for changes that a watch did not ask for."""
    for watch in watched.watches:
        prefix, first = watch.prefix, watch.start
        for revision, key in watch.changes:
            if not key.startswith(prefix):
                kind, why = "of another prefix", "which has another prefix"
            elif first is not None and revision < first:
                kind, why = "before its start", "before its start"
            else:
                continue
            summary = f"{_name(watched, watch)} delivered a change of {key} at revision {revision}, {why}"
            yield Finding(watch.ret, kind, summary, prefix, (watch.row,))
            break


def late(watched: Watched) -> Iterator[Finding]:
    """Look for changes that came after a watch had been cancelled."""
    for watch in watched.watches:
        for revision, key in watch.late:
            summary = f"{_name(watched, watch)} was cancelled, and then delivered the change of {key} at {revision}"
            yield Finding(watch.ret, "after its cancel", summary, watch.prefix, (watch.row,))
            break


class Made:
    """Which changes are known to have been made, and the anomalies that show meanwhile.

    Attributes:
        acknowledged: writes by place.
        delivered: of each place the first watch that delivered it, and the value's name.
        founded: the places of both that a write explains.
        inferred: writes of unknown outcome that alone explain what was delivered, and its revision.
        findings: deliveries that contradict the writes, or each other.
    """

    def __init__(self, watched: Watched) -> None:
        self.acknowledged: dict[Place, Write] = {}
        self.delivered: dict[Place, tuple[Delivered, Any]] = {}
        self.founded: set[Place] = set()
        self.inferred: list[tuple[Write, int]] = []
        self.findings: list[Finding] = []
        self._watched = watched
        self._acknowledge()
        self._deliver()
        self._explain()

    def _acknowledge(self) -> None:
        for write in self._watched.writes:
            if write.revision is None:
                continue
            other = self.acknowledged.setdefault((write.revision, write.key), write)
            if other is not write:
                one, two = (_wrote(self._watched, each) for each in (other, write))
                summary = f"{one} and {two} were both acknowledged at revision {write.revision}"
                rows = (other.row, write.row)
                self._find(max(other.ret, write.ret), "revision given twice", summary, write.key, rows)
        self.founded.update(self.acknowledged)

    def _deliver(self) -> None:
        for watch in self._watched.watches:
            for place, name in zip(watch.changes, watch.names, strict=True):
                first, known = self.delivered.setdefault(place, (watch, name))
                if known != name:
                    revision, key = place
                    summary = (
                        f"{_name(self._watched, first)} delivered {_value(known)} as the change of {key} at revision "
                        f"{revision}, but {_name(self._watched, watch)} delivered {_value(name)}"
                    )
                    self._find(watch.ret, "watches disagree", summary, key, (first.row, watch.row))
                    break

    def _explain(self) -> None:
        """Find a write for each change that was delivered."""
        unknown: defaultdict[tuple[str, Any], list[Write]] = defaultdict(list)
        for write in self._watched.writes:
            if write.revision is None:
                unknown[write.key, write.name].append(write)
        used: defaultdict[tuple[str, Any], int] = defaultdict(int)
        for place, (watch, name) in self.delivered.items():
            revision, key = place
            told = self.acknowledged.get(place)
            if told is not None:
                if told.name != name:
                    summary = (
                        f"{_name(self._watched, watch)} delivered {_value(name)} as the change of {key} at revision "
                        f"{revision}, but that is {_wrote(self._watched, told)}"
                    )
                    self._find(watch.ret, "wrong value", summary, key, (watch.row, told.row))
                elif told.invoke > watch.ret:
                    self._never_made(watch, place, name, f"that was made only later, by {_wrote(self._watched, told)}")
                continue
            # Deliveries come in the order of their completion, writes in that of their invocation: if any choice of
            # distinct writes explains them, the first with the first does.
            writes, number = unknown[key, name], used[key, name]
            used[key, name] += 1
            if number < len(writes) and writes[number].invoke < watch.ret:
                self.founded.add(place)
                if len(writes) == 1:
                    self.inferred.append((writes[0], revision))
                continue
            self._never_made(watch, place, name, self._why_never(key, name, number, bool(writes)))

    def _why_never(self, key: str, name: Any, number: int, tried: bool) -> str:
        elsewhere = [write for write in self._watched.writes if (write.key, write.name) == (key, name)]
        told = [write for write in elsewhere if write.revision is not None]
        if name is not None and told:
            return f"that is {_wrote(self._watched, told[0])}, acknowledged at revision {told[0].revision}"
        if number:
            return "each write of that had been delivered at another revision already"
        if tried:
            return "no write of that had begun by then"
        return "no write of that succeeded at this revision, or may have"

    def _never_made(self, watch: Delivered, place: Place, name: Any, why: str) -> None:
        revision, key = place
        what = f"{_name(self._watched, watch)} delivered {_value(name)} as the change of {key} at revision {revision}"
        rows = [watch.row]
        self._find(watch.ret, "change never made", f"{what}, but {why}", key, rows)

    def _find(self, row: int, kind: str, summary: str, key: str, witness: Sequence[int]) -> None:
        self.findings.append(Finding(row, kind, summary, key, witness))


def gaps(watched: Watched, made: Made) -> Iterator[Finding]:
    """Look for changes that a watch owed, and did not deliver."""
    by_key: defaultdict[str, list[Place]] = defaultdict(list)
    for place in made.founded:
        by_key[place[1]].append(place)
    keys = sorted(by_key)
    due: dict[str, list[Place]] = {}
    for watch in watched.watches:
        if not watch.changes:
            continue
        if watch.prefix not in due:
            begin = bisect_left(keys, watch.prefix)
            chosen = takewhile(methodcaller("startswith", watch.prefix), islice(keys, begin, None))
            due[watch.prefix] = sorted(place for key in chosen for place in by_key[key])
        places = due[watch.prefix]
        last = max(watch.changes)[0]
        start = min(watch.changes)[0] if watch.start is None else watch.start
        owed = places[bisect_left(places, (start,)) : bisect_left(places, (last,))]
        if owed == watch.changes[: len(owed)]:
            continue
        missed = set(owed).difference(watch.changes)
        if missed:
            yield _missed(watched, made, watch, min(missed), last)


def _missed(watched: Watched, made: Made, watch: Delivered, place: Place, last: int) -> Finding:
    revision, key = place
    what = f"{_name(watched, watch)} delivered changes up to revision {last}, but not that of {key} at {revision}"
    write = made.acknowledged.get(place)
    if write is not None:
        (told,) = seconds(returned(watched.history, write.row))
        summary = f"{what}: {_wrote(watched, write)}, acknowledged at {told}"
        return Finding(max(watch.ret, write.ret), "missed change", summary, watch.prefix, (watch.row, write.row))
    other = made.delivered[place][0]
    summary = f"{what}, which {_name(watched, other)} delivered"
    return Finding(max(watch.ret, other.ret), "missed change", summary, watch.prefix, (watch.row, other.row))


def refusals(watched: Watched) -> Iterator[Finding]:
    """Look for starts that were refused although nothing can have been compacted there."""
    compactions = sorted(watched.compactions)
    asked, at = 0, 0
    for refusal in watched.refusals:
        while at < len(compactions) and compactions[at][0] < refusal.ret:
            asked = max(asked, compactions[at][1])
            at += 1
        if asked and (refusal.start is None or refusal.start < asked):
            continue  # "now" may be long ago on a node that is behind
        (ended,) = seconds(returned(watched.history, refusal.row))
        begun = "now" if refusal.start is None else f"revision {refusal.start}"
        by = process(watched.history, refusal.row)
        known = f"the latest compaction asked for by then is at {asked}" if asked else "no compaction was asked for"
        summary = f"watch of {refusal.prefix} from {begun} by {by} was refused as compacted at {ended}, but {known}"
        yield Finding(refusal.ret, "refused without compaction", summary, refusal.prefix, (refusal.row,))


class _Step(NamedTuple):
    """What shows how far the revisions had come: `grows` where it made a new one."""

    invoke: int
    ret: int
    revision: int
    row: int
    key: str
    grows: bool


def revisions(watched: Watched, made: Made) -> Iterator[Finding]:
    """Look for a write, or a look at the newest revision, that is behind what somebody had been told before."""
    steps = [
        _Step(write.invoke, write.ret, write.revision, write.row, write.key, True)
        for write in watched.writes
        if write.revision is not None
    ]
    steps += [_Step(write.invoke, write.ret, number, write.row, write.key, True) for write, number in made.inferred]
    steps += [_Step(invoke, ret, number, row, "", False) for row, number, invoke, ret in watched.looks]
    steps.sort()
    told = [(step.ret, step.revision, step.row) for step in steps if step.ret != NEVER_COMPLETES]
    for watch in watched.watches:
        known = [place[0] for place in watch.changes if place in made.founded]
        if known:
            told.append((watch.ret, max(known), watch.row))
    told.sort()
    newest, by, at = 0, -1, 0
    for step in steps:
        while at < len(told) and told[at][0] < step.invoke:
            if by < 0 or told[at][1] > newest:
                newest, by = told[at][1:]
            at += 1
        if by >= 0 and (step.revision < newest or (step.grows and step.revision == newest)):
            yield _went_back(watched, made, step, newest, by)


def _went_back(watched: Watched, made: Made, step: _Step, newest: int, by: int) -> Finding:
    history = watched.history
    invocation = history.invocation(step.row)
    what = f"{invocation.f} of {step.key}" if step.key else "a look at the newest revision"
    times = seconds(returned(history, by), began(history, step.row))
    summary = (
        f"{what} by {process(history, step.row)} has revision {step.revision}: it began at {times[1]}, after "
        f"{process(history, by)} had been told of revision {newest} at {times[0]}"
    )
    rows = [by, step.row]
    if step.ret == NEVER_COMPLETES:  # a watch tells its revision
        rows += [made.delivered[step.revision, step.key][0].row]
    seen = max(int(history.columns.complete[row]) for row in rows)
    return Finding(seen, "revision went back", summary, step.key or "revision", rows)


def _name(watched: Watched, watch: Delivered) -> str:
    history = watched.history
    times = seconds(began(history, watch.row), returned(history, watch.row))
    begun = "now" if watch.start is None else f"revision {watch.start}"
    return f"watch of {watch.prefix} from {begun} by {process(history, watch.row)} ({times[0]} to {times[1]})"


def _wrote(watched: Watched, write: Write) -> str:
    invocation = watched.history.invocation(write.row)
    what = f"the delete of {write.key}" if write.name is None else f"the put of {show(invocation.value)} to {write.key}"
    return f"{what} by {process(watched.history, write.row)}"


def _value(name: Any) -> str:
    return "a deletion" if name is None else show(name)
