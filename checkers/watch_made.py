"""Which changes are known to have been made, by what was written and what was delivered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.watch_columns import SET, Delivered, Watched, Write
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


class Made:
    """Which changes are known to have been made, and the anomalies that show meanwhile.

    Attributes:
        acknowledged: writes by place.
        delivered: of each place the first watch that delivered it, and the value's name; in the order of deliveries.
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

    @cached_property
    def founded_columns(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The founded places, in order: their revisions, and which of Flat.keys each is of."""
        flat = self._watched.flat
        rank = {key: number for number, key in enumerate(flat.keys)}
        delivered = flat.firsts[self._founded_firsts]
        silent = [place for place in self.acknowledged if place not in self.delivered]
        revision = np.concatenate((flat.revision[delivered], np.array([place[0] for place in silent], np.int64)))
        key = np.concatenate((flat.key[delivered], np.array([rank[place[1]] for place in silent], np.int64)))
        order = np.lexsort((key, revision))
        return revision[order], key[order]

    @cached_property
    def founded_flat(self) -> NDArray[np.bool_]:
        """Of each delivery (watch_places.Flat) whether its place is founded."""
        return self._founded_firsts[self._watched.flat.place]

    @cached_property
    def _founded_firsts(self) -> NDArray[np.bool_]:
        flat = self._watched.flat
        founded = np.empty(len(flat.firsts), bool)
        founded[np.argsort(flat.firsts)] = [place in self.founded for place in self.delivered]
        return founded

    def _acknowledge(self) -> None:
        for write in self._watched.writes:
            if write.revision is None:
                continue
            other = self.acknowledged.setdefault((write.revision, write.key), write)
            if other is not write:
                one, two = (wrote(self._watched, each) for each in (other, write))
                summary = f"{one} and {two} were both acknowledged at revision {write.revision}"
                rows = (other.row, write.row)
                self._find(max(other.ret, write.ret), "revision given twice", summary, write.key, rows)
        self.founded.update(self.acknowledged)

    def _deliver(self) -> None:
        flat = self._watched.flat
        for watch, change in self._deliveries(np.sort(flat.firsts)):
            self.delivered[change[0], change[1]] = watch, self._watched.name(change)
        different = np.flatnonzero(flat.name != flat.name[flat.firsts][flat.place])
        _, ats = np.unique(flat.watch[different], return_index=True)
        for watch, change in self._deliveries(different[ats]):
            revision, key = change[:2]
            first, known = self.delivered[revision, key]
            summary = (
                f"{watching(self._watched, first)} delivered {_value(known)} as the change of {key} at revision "
                f"{revision}, but {watching(self._watched, watch)} delivered {_value(self._watched.name(change))}"
            )
            self._find(watch.ret, "watches disagree", summary, key, (first.row, watch.row))

    def _deliveries(self, ats: NDArray[np.int64]) -> Iterator[tuple[Delivered, list[Any]]]:
        """Yield of each of these deliveries whose it is, and the change."""
        numbers = self._watched.flat.watch[ats]
        places = ats - self._watched.flat.begins[numbers]
        for number, place in zip(numbers.tolist(), places.tolist(), strict=True):
            watch = self._watched.watches[number]
            yield watch, watch.changes[place]

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
                        f"{watching(self._watched, watch)} delivered {_value(name)} as the change of {key} at revision "
                        f"{revision}, but that is {wrote(self._watched, told)}"
                    )
                    self._find(watch.ret, "wrong value", summary, key, (watch.row, told.row))
                elif told.invoke > watch.ret:
                    self._never_made(watch, place, name, f"that was made only later, by {wrote(self._watched, told)}")
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
        if name is not None and told and self._watched.told:
            return f"that is {wrote(self._watched, told[0])}, acknowledged at revision {told[0].revision}"
        if number:
            return "each write of that had been delivered at another revision already"
        if tried:
            return "no write of that had begun by then"
        return "no write of that succeeded at this revision, or may have"

    def _never_made(self, watch: Delivered, place: Place, name: Any, why: str) -> None:
        revision, key = place
        what = (
            f"{watching(self._watched, watch)} delivered {_value(name)} as the change of {key} at revision {revision}"
        )
        rows = [watch.row]
        self._find(watch.ret, "change never made", f"{what}, but {why}", key, rows)

    def _find(self, row: int, kind: str, summary: str, key: str, witness: Sequence[int]) -> None:
        self.findings.append(Finding(row, kind, summary, key, witness))


def watching(watched: Watched, watch: Delivered) -> str:
    """Write which watch it is."""
    history = watched.history
    times = seconds(began(history, watch.row), returned(history, watch.row))
    begun = "now" if watch.start is None else f"revision {watch.start}"
    return f"watch of {watch.prefix} from {begun} by {process(history, watch.row)} ({times[0]} to {times[1]})"


def wrote(watched: Watched, write: Write) -> str:
    """Write which write it is."""
    invocation = watched.history.invocation(write.row)
    what = f"the delete of {write.key}" if write.name is None else f"the put of {show(invocation.value)} to {write.key}"
    return f"{what} by {process(watched.history, write.row)}"


def _value(name: Any) -> str:
    if name is None:
        return "a deletion"
    return "a value" if name == SET else show(name)
