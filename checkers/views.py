"""The checker of members: which lists of them were shown, against who was added and removed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from checkers.single_leader import SERVERS_LIVE_ON, may_hit
from checkers.view_bounds import FOREVER, Impossible, Life, Looks, Moment, Why
from checkers.view_columns import Change, Look, Members, by_name, collect, place
from checkers.words import began, process, returned, seconds, show
from harness.history import History
from harness.verdict import Anomaly, Verdict

ENGINE: Final = "lives of members"
MAX_REPORTED: Final = 10
MAX_NAMED: Final = 4
_CHANGES_MEMBERS: Final = "membership"
_BEFORE: Final = -1
"""The place of what was before the first event."""


class _Finding(NamedTuple):
    """One anomaly: its kind, what is wrong in words, and the rows of the operations that prove it, the telling last."""

    kind: str
    summary: str
    witness: tuple[int, ...]


class MemberViews:
    """Whoever asks who the members are is told what is true at that moment.

    Operations: `join` and `leave` with a name as key, whose ok completions have {"id"}: no two members share one, and
    whoever comes again gets another; a member that a client adds has no server, and never runs. `members`, whose ok
    completion has [[id, name], …], linearizable. `health`, whose ok completion has [{"id", "name", "healthy"}, …], as
    the client's node itself has it: that may be of the past, but never goes back while its server lives. `leader`,
    whose ok completion is a name or null. The fault `membership` adds and removes nodes, too.

    Detects: "member never added" (shown or removed, though nobody had asked to add it), "missing member" (not shown,
    though it was a member all the while), "member that had left" (shown after its removal was acknowledged, or
    after it had been seen to be gone), "lists disagree" (no order of the changes explains all of the lists), "view went
    back" (a node's own list is older than one that it had shown before), "shown twice" (in one list), "id given twice",
    "removed twice", "never ran" (a member without a server is said to be healthy, or to lead).

    Cannot detect: how old a node's own list is; anything of the own lists of a node whose server may have been started
    anew, but for members that nobody had added; a list that is impossible only because of what two or more other lists
    leave open together; which nodes are healthy.

    Cost: O(members · lists), a few times over.

    Why it is sound: checkers/view_bounds.py. A change takes effect between its invocation and its acknowledgement, and
    one of unknown outcome at any time after its invocation, or never. Every list was true at one moment: of a
    linearizable one that lies between invocation and completion, of a node's own before its completion. What the fault
    does to nodes may happen at any time after it was begun for the first time. Nothing else is assumed.
    """

    name = "members"

    def check(self, history: History) -> Verdict:
        """Decide; report one anomaly for each member that is in one.

        Raises:
            HistoryError: an operation's value is not as described, or the history's events do not pair.
        """
        members = collect(history)
        found = [*_twice(members), *_ghosts(members), *_lists(members)]
        found.sort(key=lambda finding: int(history.columns.complete[finding.witness[-1]]))
        more = len(found) - MAX_REPORTED
        return Verdict(
            status="invalid" if found else "valid",
            anomalies=tuple(_anomaly(history, finding) for finding in found[:MAX_REPORTED]),
            engine=ENGINE,
            reasons=(f"{more} more {'anomaly was' if more == 1 else 'anomalies were'} found",) if more > 0 else (),
        )


def _anomaly(history: History, finding: _Finding) -> Anomaly:
    columns = history.columns
    rows = {int(at) for row in finding.witness for at in (columns.invoke[row], columns.complete[row]) if at >= 0}
    witness = tuple(sorted(history.events[row].index for row in rows))
    return Anomaly(checker=MemberViews.name, kind=finding.kind, summary=finding.summary, witness=witness)


# --- what shows in single operations -----------------------------------------------------------------------------


def _twice(members: Members) -> Iterator[_Finding]:
    """Find an id that two joins got, or that two leaves removed, and a list that shows one twice."""
    history = members.history
    for changes, kind, did in ((members.joins, "id given twice", "got"), (members.leaves, "removed twice", "removed")):
        first: dict[int, Change] = {}
        for change in changes:
            if change.id is None:
                continue
            other = first.setdefault(change.id, change)
            if other is not change:
                one, two = _did(history, other.row), _did(history, change.row)
                summary = f"{one} and {two} both {did} the member {show(members.ids[change.id])}: no two share an id"
                yield _Finding(kind, summary, (other.row, change.row))
    came = {join.id: join for join in reversed(members.joins)}
    for leave in members.leaves:
        join = came.get(leave.id) if leave.id is not None else None
        if join is not None and leave.ret < join.invoke:
            summary = f"{_did(history, leave.row)} removed what {_did(history, join.row)} added only after that"
            yield _Finding("member never added", summary, (leave.row, join.row))
    doubled = {number for number, shown in enumerate(members.lists) if len(set(shown)) < len(shown)}
    look = next((look for look in members.looks if look.shown in doubled), None)
    if look is not None:
        shown = members.lists[look.shown]
        twice = next(member for member in shown if shown.count(member) > 1)
        yield _Finding("shown twice", f"{_did(history, look.row)} shows {_name(members, twice)} twice", (look.row,))


def _ghosts(members: Members) -> Iterator[_Finding]:
    """Find, for each member that a client added, where it was first said to be alive."""
    joins = by_name(members.joins)
    added = {join.id: join for join in members.joins if join.id is not None}
    told: set[str] = set()
    for ghost in members.alive:
        join = added.get(ghost.id) if ghost.id is not None else joins.get(ghost.name, [None])[0]
        if join is not None and ghost.name not in told:
            told.add(ghost.name)
            summary = (
                f"{_did(members.history, ghost.row)} says that {show(ghost.name)} is {ghost.what}, but it has no "
                f"server and never ran: {_did(members.history, join.row)} added it"
            )
            yield _Finding("never ran", summary, (join.row, ghost.row))


# --- what shows in lists -----------------------------------------------------------------------------------------


def _lists(members: Members) -> Iterator[_Finding]:
    """Find lists that were true at no moment; whoever is in one is left out of the search for the next."""
    if not members.looks:
        return
    lived = _lived_until(members)
    held = [look for look in members.looks if look.node is None or look.ret < lived[look.node]]
    lists = _Lists(members, held)
    lives = _Lives(members, lists)
    rest = list(range(len(members.ids)))
    while rest:
        impossible = lists.looks().narrow([lives.of(number) for number in rest])
        if impossible is None:
            break
        yield _described(members, held[impossible.look], impossible)
        rest = [number for number in rest if number not in (impossible.low.id, impossible.high.id)]
    others = [look for look in members.looks if look.node is not None and look.ret >= lived[look.node]]
    for number in rest:
        came = lives.of(number).came
        look = next((look for look in others if lists.shown[number, look.shown] and look.ret <= came.low), None)
        if look is not None:
            itself = Why("itself", None, frozenset((look.row,)))
            yield _described(members, look, Impossible(0, Why("shown", number, came.low_rows), itself))


class _Lists:
    """The lists that were shown, as arrays.

    Args:
        members: the history.
        held: the lists that are held to have been true at a moment.

    Attributes:
        shown: bool[ids, lists], who is in which.
    """

    def __init__(self, members: Members, held: Sequence[Look]) -> None:
        self.shown = np.zeros((len(members.ids), len(members.lists)), np.bool_)
        for number, shown in enumerate(members.lists):
            self.shown[list(shown), number] = True
        self._rows, self._list, self._invoke, self._ret = (
            np.array([getattr(look, name) for look in held], np.int64) for name in ("row", "shown", "invoke", "ret")
        )
        self._own = np.array([look.node is not None for look in held], np.bool_)
        of_node: dict[str, list[int]] = defaultdict(list)
        for at, look in enumerate(held):
            if look.node is not None:
                of_node[look.node].append(at)
        places = [np.array(found, np.int64) for found in of_node.values()]
        self._nodes = [(found, self._invoke[found], self._ret[found]) for found in places]

    def looks(self) -> Looks:
        """Return the bounds of their moments, not narrowed yet."""
        low = np.where(self._own, _BEFORE, self._invoke)
        return Looks(self._rows, low, self._ret, self._list, self.shown, self._nodes)

    def lacking(self, number: int) -> int | None:
        """Return the row of a linearizable list without a member, where most are; else None."""
        lacking = ~self.shown[number][self._list] & ~self._own
        most = 2 * np.count_nonzero(lacking) > np.count_nonzero(~self._own)
        return int(self._rows[np.argmax(lacking)]) if most else None


class _Lives:
    """When each member may have come and gone, as far as that does not depend on the lists.

    Args:
        members: the history.
        lists: that were shown.
    """

    def __init__(self, members: Members, lists: _Lists) -> None:
        self._members = members
        self._lists = lists
        self._changing = [fault for fault in members.history.faults if fault.kind == _CHANGES_MEMBERS]
        begins = [fault.inject_ns for fault in self._changing]
        self._since = place(members.history, min(begins)) if begins else FOREVER
        self._joins, self._leaves = by_name(members.joins), by_name(members.leaves)

    def of(self, number: int) -> Life:
        """Return the life of a member."""
        named = self._members.names[number]
        free = self._may_be_changed(named)
        return Life(number, self._came(number, named, free=free), self._went(number, named, free=free))

    def _came(self, number: int, named: set[str], *, free: bool) -> Moment:
        asked = [join for name in named for join in self._joins.get(name, ())]
        certain = next((join for join in asked if join.id == number), None)
        if certain is not None:
            rows = frozenset((certain.row,))
            return Moment(certain.invoke, certain.ret, rows, rows)
        doubtful = [join for join in asked if join.id is None]
        if free:
            return Moment(_BEFORE - 1, FOREVER)
        if doubtful:
            first = min(doubtful, key=lambda join: join.invoke)
            return Moment(first.invoke, FOREVER, frozenset((first.row,)))
        lacking = None if named & self._leaves.keys() else self._lists.lacking(number)
        if lacking is not None:  # nobody asked to add it or to remove it, nor was it there from the start
            return Moment(FOREVER, FOREVER + 1, frozenset((lacking,)))
        return Moment(_BEFORE - 1, _BEFORE)

    def _went(self, number: int, named: set[str], *, free: bool) -> Moment:
        asked = [leave for name in named for leave in self._leaves.get(name, ())]
        certain = next((leave for leave in asked if leave.id == number), None)
        if certain is not None:
            rows = frozenset((certain.row,))
            return Moment(certain.invoke, certain.ret, rows, rows)
        doubtful = [leave for leave in asked if leave.id is None]
        first = min((leave.invoke for leave in doubtful), default=FOREVER)
        return Moment(min(first, self._since) if free else first, FOREVER + 1)

    def _may_be_changed(self, named: set[str]) -> bool:
        """Say whether the fault may have added or removed it: a node that it hit, or one whose name is not known."""
        nodes = named & self._members.nodes
        if not nodes:
            return bool(self._changing) and not named & self._joins.keys()
        return any(may_hit(fault, node) for fault in self._changing for node in nodes)


def _lived_until(members: Members) -> dict[str, int]:
    """Return, for each node, the place until which its first server lived for certain."""
    history = members.history
    restarts = [fault for fault in history.faults if fault.kind not in SERVERS_LIVE_ON]
    begins = {node: [fault.inject_ns for fault in restarts if may_hit(fault, node)] for node in members.nodes}
    return {node: place(history, min(times)) if times else FOREVER for node, times in begins.items()}


# --- words -------------------------------------------------------------------------------------------------------


def _described(members: Members, look: Look, impossible: Impossible) -> _Finding:
    """Put a list that was true at no moment into words."""
    history = members.history
    low, high = impossible.low, impossible.high
    number = high.id if high.id is not None else low.id
    assert number is not None, "a list's own bounds leave it a moment"
    name = _name(members, number)
    kind, what = _kind(impossible, name)
    others = sorted((low.rows | high.rows) - {look.row})
    known = [_did(history, row) for row in others[:MAX_NAMED]]
    more = [f"{len(others) - MAX_NAMED} more"] if len(others) > MAX_NAMED else []
    proof = f"; see {', '.join([*known, *more])}" if others else ""
    where = f" on {look.node}" if look.node else ""
    shown = ", ".join(_name(members, each) for each in members.lists[look.shown])
    summary = f"{_did(history, look.row)}{where} shows {shown or 'nobody'}: {what}{proof}"
    return _Finding(kind, summary, (*others, look.row))


def _kind(impossible: Impossible, name: str) -> tuple[str, str]:
    """Return the kind of a contradiction, and what is wrong with the list."""
    bounds = (impossible.low.bound, impossible.high.bound)
    if "same node" in bounds:
        return "view went back", "that is older than what this node had shown before"
    if bounds == ("itself", "shown"):
        return "member that had left", f"{name} was no member any more"
    if bounds == ("shown", "itself"):
        return "member never added", f"nobody had added {name}"
    if "itself" in bounds or (bounds == ("not shown", "not shown") and impossible.low.id == impossible.high.id):
        return "missing member", f"{name} is missing, which was a member then"
    return "lists disagree", "no order of the changes explains it together with other lists"


def _did(history: History, row: int) -> str:
    """Say who did what, and when."""
    op = history.invocation(row)
    completion = history.completion(row)
    times = [began(history, row)] + ([returned(history, row)] if completion is not None else [])
    what = f"{op.f} of {show(op.key)}" if op.key is not None else op.f
    return f"{what} by {process(history, row)} ({' to '.join(seconds(*times))})"


def _name(members: Members, number: int) -> str:
    """Return how people call a member: by its names, and by its id where those do not tell it apart."""
    names = members.names[number]
    shared = any(names & other for at, other in enumerate(members.names) if at != number)
    text = "/".join(sorted(names))
    return f"{text} (id {show(members.ids[number])})" if shared else text
