"""The ways in which watches break their promises, each in words and with the operations that prove it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.models import NEVER_COMPLETES
from checkers.watch_columns import BEFORE_ALL, Delivered, Watched
from checkers.watch_made import Finding, Made, Place, watching, wrote
from checkers.words import began, process, returned, seconds

_UNCOUNTED: Final = -1


def order(watched: Watched) -> Iterator[Finding]:
    """Look for watches whose revisions go back, or that deliver a change twice."""
    for watch in map(watched.watches.__getitem__, watched.flat.disordered.tolist()):
        seen: set[Place] = set()
        newest = watch.changes[0][0]
        for revision, key, *_ in watch.changes:
            if (revision, key) in seen:
                summary = f"{watching(watched, watch)} delivered the change of {key} at revision {revision} twice"
                yield Finding(watch.ret, "delivered twice", summary, watch.prefix, (watch.row,))
                break
            if revision < newest:
                summary = (
                    f"{watching(watched, watch)} delivered the change of {key} at revision {revision} after one at "
                    f"revision {newest}"
                )
                yield Finding(watch.ret, "out of order", summary, watch.prefix, (watch.row,))
                break
            seen.add((revision, key))
            newest = revision


def foreign(watched: Watched) -> Iterator[Finding]:
    """Look for changes that a watch did not ask for."""
    for watch in map(watched.watches.__getitem__, watched.strangers):
        prefix, first = watch.prefix, watch.start
        for revision, key, *_ in watch.changes:
            if not key.startswith(prefix):
                kind, why = "of another prefix", "which has another prefix"
            elif first is not None and revision < first:
                kind, why = "before its start", "before its start"
            else:
                continue
            summary = f"{watching(watched, watch)} delivered a change of {key} at revision {revision}, {why}"
            yield Finding(watch.ret, kind, summary, prefix, (watch.row,))
            break


def late(watched: Watched) -> Iterator[Finding]:
    """Look for changes that came after a watch had been cancelled."""
    for watch in watched.late:
        revision, key = watch.late[0][:2]
        summary = f"{watching(watched, watch)} was cancelled, and then delivered the change of {key} at {revision}"
        yield Finding(watch.ret, "after its cancel", summary, watch.prefix, (watch.row,))


def gaps(watched: Watched, made: Made) -> Iterator[Finding]:
    """Look for changes that a watch owed, and did not deliver.

    A watch that delivered nothing twice, and nothing that it did not ask for, has all that it owes if it has as many.
    """
    flat, watches = watched.flat, watched.watches
    if not watches:
        return
    starts = np.where(watched.starts == BEFORE_ALL, flat.oldest, watched.starts)
    given = flat.count(made.founded_flat & (flat.revision < flat.spread(flat.newest)))
    given[[*flat.disordered, *watched.strangers]] = _UNCOUNTED
    prefixes = np.array([watch.prefix for watch in watches], object)
    revisions_made, keys_made = made.founded_columns
    for prefix in dict.fromkeys(prefixes.tolist()):
        low, high = flat.keys_of(prefix)
        due = np.flatnonzero((low <= keys_made) & (keys_made < high))
        chosen = np.flatnonzero(prefixes == prefix)
        begins, ends = (np.searchsorted(revisions_made[due], each[chosen]) for each in (starts, flat.newest))
        doubtful = np.maximum(0, ends - begins) != given[chosen]
        columns = (each[doubtful].tolist() for each in (chosen, begins, ends))
        for at, begin, end in zip(*columns, strict=True):
            watch = watches[at]
            places = zip(revisions_made[due[begin:end]].tolist(), keys_made[due[begin:end]].tolist(), strict=True)
            owed = {(revision, flat.keys[key]) for revision, key in places}
            missed = owed.difference((revision, key) for revision, key, *_ in watch.changes)
            if missed:
                yield _missed(watched, made, watch, min(missed), int(flat.newest[at]))


def _missed(watched: Watched, made: Made, watch: Delivered, place: Place, last: int) -> Finding:
    revision, key = place
    what = f"{watching(watched, watch)} delivered changes up to revision {last}, but not that of {key} at {revision}"
    write = made.acknowledged.get(place)
    if write is not None:
        (told,) = seconds(returned(watched.history, write.row))
        summary = f"{what}: {wrote(watched, write)}, acknowledged at {told}"
        return Finding(max(watch.ret, write.ret), "missed change", summary, watch.prefix, (watch.row, write.row))
    other = made.delivered[place][0]
    summary = f"{what}, which {watching(watched, other)} delivered"
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


class _Told(NamedTuple):
    """When which revision was told: rows of completions among the events, in order; revisions, and whose they are."""

    ret: NDArray[np.int64]
    revision: NDArray[np.int64]
    row: NDArray[np.int64]


def revisions(watched: Watched, made: Made) -> Iterator[Finding]:
    """Look for a write, or a look at the newest revision, that is behind what somebody had been told before."""
    steps = sorted(_steps(watched, made))
    told = _told(watched, made, steps)
    known = np.maximum.accumulate(np.concatenate(([BEFORE_ALL], told.revision)))
    newest = known[np.searchsorted(told.ret, _column(steps, "invoke"))]
    revision, grows = _column(steps, "revision"), _column(steps, "grows")
    for at in np.flatnonzero((revision < newest) | ((revision == newest) & (grows > 0))).tolist():
        by = int(np.searchsorted(known, newest[at])) - 1  # who told it first
        yield _went_back(watched, made, steps[at], int(newest[at]), int(told.row[by]))


def _steps(watched: Watched, made: Made) -> Iterator[_Step]:
    for write in watched.writes:
        if write.revision is not None:
            yield _Step(write.invoke, write.ret, write.revision, write.row, write.key, True)
    for write, number in made.inferred:
        yield _Step(write.invoke, write.ret, number, write.row, write.key, True)
    for row, number, invoke, ret in watched.looks:
        yield _Step(invoke, ret, number, row, "", False)


def _told(watched: Watched, made: Made, steps: Sequence[_Step]) -> _Told:
    known = [step for step in steps if step.ret != NEVER_COMPLETES]
    ret, revision, row = (_column(known, name) for name in _Told._fields)
    if watched.watches:
        flat = watched.flat
        newest = np.maximum.reduceat(np.where(made.founded_flat, flat.revision, BEFORE_ALL), flat.begins)
        some = newest != BEFORE_ALL
        ret = np.concatenate((ret, _column(watched.watches, "ret")[some]))
        revision = np.concatenate((revision, newest[some]))
        row = np.concatenate((row, _column(watched.watches, "row")[some]))
    order = np.argsort(ret)
    return _Told(ret[order], revision[order], row[order])


def _column(items: Sequence[Any], name: str) -> NDArray[np.int64]:
    return np.fromiter(map(attrgetter(name), items), np.int64, len(items))


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
