"""From the clients' operations to the times in which a leadership certainly stood."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from harness.history import History
from harness.leaders import CAMPAIGN, RENEW, RESIGN, malformed, operations
from harness.op import Op, freeze

_S: Final = 1_000_000_000


@dataclass(slots=True)
class Tenure:
    """One leadership, in the hands of the client that won it.

    Attributes:
        election, leader, term: which.
        process: of the client.
        begin_ns: when its campaign returned: from then on it certainly stood …
        end_ns: … until then, at least.
        events: of the campaign, and of the renewal that `end_ns` counts from.
        resigned_ns: when a resignation of it was acknowledged.
        resigned: indexes of that resignation's events.
    """

    election: Any
    leader: str
    term: int
    process: int | str
    begin_ns: int
    end_ns: int
    ttl_ns: int
    campaign: tuple[int, int]
    renewal: tuple[int, ...] = ()
    resigned_ns: int | None = None
    resigned: tuple[int, ...] = field(default=())

    @property
    def events(self) -> tuple[int, ...]:
        return (*self.campaign, *self.renewal)

    @property
    def name(self) -> str:
        return f"{self.leader} of process {self.process}"


def tenures(history: History) -> dict[Any, list[Tenure]]:
    """Return every leadership that a campaign returned, by election (frozen), in the order of the campaigns' calls.

    One stands from the return of its campaign on: until its client asks to resign or is told that it has ended, and no
    longer than its time to live, counted from before the campaign or the last acknowledged renewal was sent. A renewal
    that was acknowledged late proves that the leadership stood all the while.

    Raises:
        HistoryError: an operation's value is not what the workload election records.
    """
    found: dict[Any, list[Tenure]] = defaultdict(list)
    holds: dict[int | str, Tenure] = {}
    for asked, completion in operations(history, (CAMPAIGN, RENEW, RESIGN)):
        done = completion if completion is not None and completion.type == "ok" else None
        if asked.f == CAMPAIGN:
            if done is not None:
                holds[asked.process] = tenure = _won(history, asked, done)
                found[freeze(tenure.election)].append(tenure)
        elif (held := holds.get(asked.process)) is not None and not _goes_on(history, held, asked, done):
            del holds[asked.process]
    return found


def _won(history: History, asked: Op, done: Op) -> Tenure:
    value = done.value
    ttl_s = value.get("ttl_s") if isinstance(value, dict) else None
    if not isinstance(ttl_s, int | float) or not isinstance(value.get("id"), str) or type(value.get("term")) is not int:
        raise malformed(history, done, 'a campaign returns {"id": text, "term": a whole number, "ttl_s": seconds}')
    ttl_ns = int(ttl_s * _S)
    return Tenure(
        election=asked.key,
        leader=value["id"],
        term=value["term"],
        process=asked.process,
        begin_ns=done.time,
        end_ns=asked.time + ttl_ns,
        ttl_ns=ttl_ns,
        campaign=(asked.index, done.index),
    )


def _goes_on(history: History, held: Tenure, asked: Op, done: Op | None) -> bool:
    """Count in a renewal, or a resignation; return whether the client may lead after it."""
    if done is not None and not (isinstance(done.value, dict) and isinstance(done.value.get("held"), bool)):
        raise malformed(history, done, 'it returns {"held": whether the leadership stood}')
    if asked.f == RESIGN:
        held.end_ns = min(held.end_ns, asked.time)
        if done is not None and done.value["held"]:
            held.resigned_ns, held.resigned = done.time, (asked.index, done.index)
        return False
    if done is None:
        return True
    if done.value["held"]:
        held.end_ns, held.renewal = asked.time + held.ttl_ns, (asked.index, done.index)
        return True
    held.end_ns = min(held.end_ns, done.time)
    return False
