"""What a history says of members: who was added and removed, and which lists of them were shown."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from checkers.view_bounds import FOREVER
from checkers.words import show
from harness.errors import HistoryError
from harness.history import FAIL, INFO, History
from harness.op import freeze

_HINT: Final = "the reference says what the workload membership records: was it another one?"


class Change(NamedTuple):
    """A join or a leave that did not fail.

    Attributes:
        row: in History.columns.
        name: of the member.
        id: number of the member; None where the outcome is unknown.
        invoke, ret: rows in History.events; `ret` is FOREVER for an unknown outcome.
    """

    row: int
    name: str
    id: int | None
    invoke: int
    ret: int


class Look(NamedTuple):
    """A list of members that was shown.

    Attributes:
        row: in History.columns.
        shown: number of the list, in Members.lists.
        invoke, ret: rows in History.events.
        node: whose own view it is; None: of the cluster, by a linearizable read.
    """

    row: int
    shown: int
    invoke: int
    ret: int
    node: str | None


class Ghost(NamedTuple):
    """Somebody who was said to be healthy, or to lead: row of the operation, its name, its id's number, and which."""

    row: int
    name: str
    id: int | None
    what: str


@dataclass(slots=True)
class Members:
    """A history of members.

    Attributes:
        history: that it is of.
        nodes: on which clients were.
        ids: of members; their numbers are their places.
        names: of each id, all that were told.
        lists: that were shown, each as numbers of ids.
        joins, leaves: in the order of their invocation.
        looks: likewise.
        alive: who was said to be.
    """

    history: History
    nodes: set[str]
    ids: list[Any] = field(default_factory=list)
    names: list[set[str]] = field(default_factory=list)
    lists: list[tuple[int, ...]] = field(default_factory=list)
    joins: list[Change] = field(default_factory=list)
    leaves: list[Change] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    alive: list[Ghost] = field(default_factory=list)
    _numbers: dict[Any, int] = field(default_factory=dict)
    _shown: dict[int, int] = field(default_factory=dict)

    def number(self, member: Any, name: Any) -> int:
        """Return the number of an id, and note the name that it was told with."""
        if type(name) is not str or member is None:
            raise TypeError(name)
        found = self._numbers.setdefault(freeze(member), len(self.ids))
        if found == len(self.ids):
            self.ids.append(member)
            self.names.append(set())
        self.names[found].add(name)
        return found

    def list_of(self, result: int, read: Callable[[Any], Iterator[tuple[Any, Any]]]) -> int:
        """Return the number of the list in a value of the history's columns."""
        if result not in self._shown:
            found = [self.number(*each) for each in read(self.history.columns.values[result])]
            self._shown[result] = len(self.lists)
            self.lists.append(tuple(found))
        return self._shown[result]


def collect(history: History) -> Members:
    """Take a history apart.

    Raises:
        HistoryError: a value is not as MemberViews says.
    """
    nodes = _nodes(history)
    members = Members(history, {node for node in nodes.values() if node is not None})
    columns = history.columns
    for f, take in _TAKE.items():
        if f not in columns.fs:
            continue
        for row in np.flatnonzero((columns.f == columns.fs.index(f)) & (columns.outcome != FAIL)).tolist():
            try:
                take(members, row, nodes[int(columns.process[row])])
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise _malformed(history, row) from error
    return members


def place(history: History, time_ns: int) -> int:
    """Return the row of the first event that is not before a time."""
    return bisect_left(range(len(history.events)), time_ns, key=lambda row: history.events[row].time)


def _nodes(history: History) -> dict[int, str | None]:
    """Return the node of each process."""
    processes, first = np.unique(history.columns.process, return_index=True)
    rows = zip(processes.tolist(), first.tolist(), strict=True)
    return {process: history.invocation(row).node for process, row in rows}


def _malformed(history: History, row: int) -> HistoryError:
    op = history.completion(row) or history.invocation(row)
    return HistoryError(f"{history.source}: event {op.index}: {op.f} has the value {show(op.value)[:200]}", _HINT)


def _change(members: Members, row: int) -> Change:
    history = members.history
    columns = history.columns
    name, invoke = columns.keys[columns.key[row]], int(columns.invoke[row])
    if type(name) is not str:
        raise TypeError(name)
    if columns.outcome[row] == INFO:
        return Change(row, name, None, invoke, FOREVER)
    told = columns.values[columns.result[row]]["id"]
    return Change(row, name, members.number(told, name), invoke, int(columns.complete[row]))


def _join(members: Members, row: int, node: str | None) -> None:
    members.joins.append(_change(members, row))


def _leave(members: Members, row: int, node: str | None) -> None:
    members.leaves.append(_change(members, row))


def _look(members: Members, row: int, read: Callable[[Any], Iterator[tuple[Any, Any]]], node: str | None) -> int | None:
    columns = members.history.columns
    if columns.outcome[row] == INFO:
        return None
    result = int(columns.result[row])
    shown = members.list_of(result, read)
    members.looks.append(Look(row, shown, int(columns.invoke[row]), int(columns.complete[row]), node))
    return result


def _members(members: Members, row: int, node: str | None) -> None:
    _look(members, row, _pairs, None)


def _health(members: Members, row: int, node: str | None) -> None:
    if node is None:
        raise ValueError("a health of no node")
    result = _look(members, row, _described, node)
    if result is not None:
        for member in members.history.columns.values[result]:
            healthy = member.get("healthy")
            if healthy not in (None, True, False):
                raise TypeError(healthy)
            if healthy is True:
                number = members.number(member["id"], member["name"])
                members.alive.append(Ghost(row, member["name"], number, "healthy"))


def _leader(members: Members, row: int, node: str | None) -> None:
    columns = members.history.columns
    if columns.outcome[row] != INFO and columns.result[row] > 0:
        name = columns.values[columns.result[row]]
        if type(name) is not str:
            raise TypeError(name)
        members.alive.append(Ghost(row, name, None, "the leader"))


def _pairs(value: Any) -> Iterator[tuple[Any, Any]]:
    yield from ((member, name) for member, name in value)


def _described(value: Any) -> Iterator[tuple[Any, Any]]:
    for member in value:
        yield member["id"], member["name"]


def by_name(changes: list[Change]) -> dict[str, list[Change]]:
    """Return changes by the name of the member."""
    found: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        found[change.name].append(change)
    return found


_TAKE: Final[dict[str, Callable[[Members, int, str | None], None]]] = {
    "join": _join,
    "leave": _leave,
    "members": _members,
    "health": _health,
    "leader": _leader,
}
