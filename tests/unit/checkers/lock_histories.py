"""Histories of locks, made by hand: operations with their times in seconds become events in order."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.history import History
from harness.op import Op


class Locks:
    """Collects operations; `history` sorts their events by time."""

    def __init__(self) -> None:
        self._events: list[tuple[float, int, dict[str, Any]]] = []

    def op(
        self,
        process: int | str,
        f: str,
        begin: float,
        end: float | None,
        outcome: str = "ok",
        key: Any = "l",
        **more: Any,
    ) -> Locks:
        """Add an operation; without an end it has no completion. Further words are the completion's value."""
        observed = more.pop("observed", msgspec.UNSET)
        common = {"process": process, "f": f, "key": key}
        self._events.append((begin, len(self._events), common | {"type": "invoke"}))
        if end is not None:
            done = common | {"type": outcome, "value": more or None, "observed": observed}
            self._events.append((end, len(self._events), done))
        return self

    def grant(self, process: int, begin: float, end: float, token: int | None = 1, ttl: float = 2.0) -> Locks:
        """Add an acquire that was granted."""
        return self.op(process, "acquire", begin, end, token=token, ttl_s=ttl, id=token)

    def ask(self, process: int, f: str, begin: float, end: float, held: bool = True) -> Locks:
        """Add an extend, is_held or release that was answered."""
        return self.op(process, f, begin, end, held=held)

    def write(self, process: int, at: float, sequence: int, fenced: bool | None = True) -> Locks:
        """Add a write to what the lock guards."""
        return self.op(process, "write", at, at + 0.001, sequence=sequence, fenced=fenced)

    def refused(self, process: int, begin: float, end: float, token: int) -> Locks:
        """Add a try_acquire that was refused because of the grant with this token."""
        return self.op(process, "try_acquire", begin, end, "fail", observed={"token": token})

    def fault(self, begin: float, end: float) -> Locks:
        """Add a fault that was verified."""
        for f, at in (("inject", begin), ("heal", end)):
            for kind in ("invoke", "ok"):
                event = {"process": "nemesis", "f": f, "key": 0, "value": {"kind": "pause"}, "type": kind}
                self._events.append((at, len(self._events), event))
        return self

    def term(self, at: float, term: int) -> Locks:
        """Add a node's status in a term."""
        value = {"role": "leader", "term": term}
        event = {"process": "status:n1", "f": "status", "value": value, "type": "ok"}
        self._events.append((at, len(self._events), event))
        return self

    def busy_until(self, process: int) -> float:
        """Return when the last operation of a process ended."""
        return max((at for at, _, event in self._events if event["process"] == process), default=0.0)

    def history(self) -> History:
        """Return the events in the order of their times."""
        events = [
            Op(index=index, time=round(at * 1e9), **event)
            for index, (at, _, event) in enumerate(sorted(self._events, key=lambda entry: entry[:2]))
        ]
        return History(events, "hand-made")
