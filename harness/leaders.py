"""Who was seen to lead, in which term, by whom and when: by the nodes' statuses and by the clients of an election."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from harness.errors import HistoryError
from harness.history import NEVER, History
from harness.op import STATUS, Op

CAMPAIGN: Final = "campaign"
RENEW: Final = "renew"
RESIGN: Final = "resign"
LEADER: Final = "leader"
WATCH: Final = "watch"
"""The operations of the facet "election"."""


class Status(msgspec.Struct, frozen=True, gc=False):
    """What a node said of itself, between the question and the answer.

    Attributes:
        node: its name.
        role, term, leader, atomic: see harness.protocols.NodeStatus.
        begin_ns, end_ns: when it was asked, and when it answered.
        events: indexes of the question's and the answer's events.
    """

    node: str
    role: str
    term: int | None
    leader: str | None
    atomic: bool
    begin_ns: int
    end_ns: int
    events: tuple[int, ...]


class Sighting(msgspec.Struct, frozen=True, gc=False):
    """Somebody saw who leads in a term.

    Attributes:
        election: its key; None where the leader is the cluster's own.
        term, leader: what was seen.
        observer: a node's name, or "process 4".
        itself: the leader said so of itself.
        how: "status", or the operation's name.
        begin_ns, end_ns: when it was asked, and when it answered.
        events: indexes of both events.
    """

    election: Any
    term: int
    leader: str
    observer: str
    itself: bool
    how: str
    begin_ns: int
    end_ns: int
    events: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reign:
    """One leader of one term, and who saw it.

    Attributes:
        first_ns, last_ns: when it was seen first and last.
        observers: who saw it, in that order.
    """

    election: Any
    term: int
    leader: str
    first_ns: int
    last_ns: int
    observers: tuple[str, ...]


def statuses(history: History) -> list[Status]:
    """Return what the nodes said of themselves, in the order of their answers.

    Raises:
        HistoryError: an answer is not a status.
    """
    found: list[Status] = []
    asked: dict[int | str, Op] = {}
    for op in history.strangers:
        if op.f != STATUS:
            continue
        if op.type == "invoke":
            asked[op.process] = op
            continue
        question = asked.pop(op.process, None)
        if op.type != "ok":
            continue
        said = op.value
        if not isinstance(said, dict) or not _is_status(said) or op.node is None:
            raise malformed(history, op, 'a status is {"role", "term", "leader", "revision", "atomic"} of a node')
        found.append(
            Status(
                node=op.node,
                role=said["role"],
                term=said.get("term"),
                leader=said.get("leader"),
                atomic=said.get("atomic", False),
                begin_ns=0 if question is None else question.time,  # at some time before
                end_ns=op.time,
                events=(op.index,) if question is None else (question.index, op.index),
            )
        )
    return found


def of_nodes(told: Iterable[Status]) -> list[Sighting]:
    """Return whom the nodes' statuses say to lead."""
    found = []
    for status in told:
        itself = status.role == "leader"
        leaders = dict.fromkeys(name for name in (status.node if itself else None, status.leader) if name is not None)
        if status.term is None:
            continue
        for leader in leaders:
            found.append(
                Sighting(
                    election=None,
                    term=status.term,
                    leader=leader,
                    observer=status.node,
                    itself=itself and leader == status.node,
                    how=STATUS,
                    begin_ns=status.begin_ns,
                    end_ns=status.end_ns,
                    events=status.events,
                )
            )
    return found


def of_clients(history: History) -> list[Sighting]:
    """Return whom the clients of elections saw to lead, in the order of their calls; events of a watch in theirs.

    Raises:
        HistoryError: an operation's value is not what the workload election records.
    """
    found: list[Sighting] = []
    for asked, done in operations(history, (CAMPAIGN, LEADER, WATCH)):
        if done is None or done.type != "ok":
            continue
        told = done.value if done.f == WATCH else [] if done.value is None else [done.value]
        if not isinstance(told, list):
            raise malformed(history, done, "a watch returns a list of events")
        for each in told:
            if not isinstance(each, dict) or not _is_leadership(each):
                raise malformed(history, done, 'a leadership is {"id": text, "term": a whole number}')
            if each.get("id") is None:
                continue
            found.append(
                Sighting(
                    election=asked.key,
                    term=each["term"],
                    leader=each["id"],
                    observer=f"process {done.process}",
                    itself=done.f == CAMPAIGN,
                    how=done.f,
                    begin_ns=asked.time,
                    end_ns=done.time,
                    events=(asked.index, done.index),
                )
            )
    return found


def operations(history: History, fs: Collection[str]) -> Iterator[tuple[Op, Op | None]]:
    """Yield the clients' operations of these names: the call, and the completion where there is one."""
    columns, events = history.columns, history.events
    codes = [code for code, f in enumerate(columns.fs) if f in fs]
    rows = np.flatnonzero(np.isin(columns.f, codes))
    for invoked, completed in zip(columns.invoke[rows].tolist(), columns.complete[rows].tolist(), strict=True):
        yield events[invoked], None if completed == NEVER else events[completed]


def reigns(history: History) -> tuple[Reign, ...]:
    """Return every leader of every term, by election and term.

    Raises:
        HistoryError: an event is malformed.
    """
    seen: dict[tuple[str, int, str], list[Sighting]] = {}
    # without any campaign a watch is one of another workload
    elections = of_clients(history) if CAMPAIGN in history.columns.fs else []
    for sighting in (*of_nodes(statuses(history)), *elections):
        place = "" if sighting.election is None else repr(sighting.election)
        seen.setdefault((place, sighting.term, sighting.leader), []).append(sighting)
    return tuple(
        Reign(
            election=told[0].election,
            term=term,
            leader=leader,
            first_ns=min(each.end_ns for each in told),
            last_ns=max(each.end_ns for each in told),
            observers=tuple(dict.fromkeys(each.observer for each in sorted(told, key=lambda each: each.end_ns))),
        )
        for (_, term, leader), told in sorted(seen.items())
    )


def malformed(history: History, op: Op, why: str) -> HistoryError:
    """Return the error of an event whose value nobody can read."""
    return HistoryError(f"{history.source}: event {op.index}: {op.f} {op.type} with value {op.value!r}", why)


def _is_status(said: dict[str, Any]) -> bool:
    term, leader = said.get("term"), said.get("leader")
    return (
        isinstance(said.get("role"), str)
        and (term is None or type(term) is int)
        and (leader is None or isinstance(leader, str))
        and isinstance(said.get("atomic", False), bool)
    )


def _is_leadership(told: dict[str, Any]) -> bool:
    nobody = told.get("id") is None and told.get("term") is None
    return nobody or (isinstance(told.get("id"), str) and type(told.get("term")) is int)


__all__ = [
    "CAMPAIGN", "LEADER", "RENEW", "RESIGN", "WATCH", "Reign", "Sighting", "Status", "malformed", "of_clients",
    "of_nodes", "operations", "reigns", "statuses",
]  # fmt: skip
