"""Small random histories, from a source of choices: a seeded generator, or Hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from harness.history import History
from harness.op import Op

Choose = Callable[[int], int]
"""Returns a number from 0 to below its argument."""


@dataclass
class _Recorder:
    events: list[Op] = field(default_factory=list)

    def add(self, process: int, kind: str, call: dict[str, Any], **more: Any) -> None:
        at = len(self.events)
        fields: dict[str, Any] = {"index": at, "time": at * 1_000_000, "process": process, "type": kind}
        self.events.append(Op(**(fields | {"f": call["f"], "key": call["key"], "value": call["value"]} | more)))


def small_history(choose: Choose, most: int = 12) -> History:
    """Return a history of up to `most` operations by up to 5 clients on one key, in any mood.

    Three sources, so that valid and invalid ones both come often: an atomic register with overlapping clients
    (valid), the same with one answer altered, and answers out of the air. Few values, or always new ones; many
    unknown outcomes, or none, or nothing else.
    """
    source = choose(3)
    length, clients = choose(most + 1), 1 + choose(5)
    values = choose(4)  # 0: every written value is new
    lost_of_eight = (0, 1, 4, 8)[choose(4)]
    register = _Simulation(choose, values, lost_of_eight, invented=source == 2)
    history = register.run(length, clients)
    return _altered(history, choose) if source == 1 else history


class _Simulation:
    def __init__(self, choose: Choose, values: int, lost_of_eight: int, *, invented: bool) -> None:
        self._choose, self._values, self._lost, self._invented = choose, values, lost_of_eight, invented
        self._value: int | None = None
        self._fresh = 0
        self._recorder = _Recorder()

    def run(self, length: int, clients: int) -> History:
        idle, open_calls = list(range(clients)), []
        fresh_process = clients
        while length or open_calls:
            if length and idle and (not open_calls or self._choose(2)):
                length -= 1
                call = self._call() | {"process": idle.pop(self._choose(len(idle)))}
                self._recorder.add(call["process"], "invoke", call)
                open_calls.append(call)
                continue
            call = open_calls[self._choose(len(open_calls))]
            if "kind" not in call:
                self._take_effect(call)
                continue
            open_calls.remove(call)
            if call["kind"] == "info" and self._choose(2):
                idle.append(fresh_process)  # not even the loss was recorded
                fresh_process += 1
                continue
            self._recorder.add(call["process"], call["kind"], call, observed=call["observed"])
            idle.append(fresh_process if call["kind"] == "info" else call["process"])
            fresh_process += call["kind"] == "info"
        return History(self._recorder.events, "random")

    def _any_value(self) -> int | None:
        return (None, *range(1, 2 + (self._values or self._fresh)))[self._choose(2 + (self._values or self._fresh))]

    def _new_value(self) -> int:
        self._fresh += 1
        return 1 + self._choose(self._values) if self._values else self._fresh

    def _call(self) -> dict[str, Any]:
        f = ("read", "write", "cas")[self._choose(3)]
        old = self._value if self._choose(2) else self._any_value()
        value = None if f == "read" else self._new_value() if f == "write" else [old, self._new_value()]
        return {"f": f, "key": None, "value": value}

    def _take_effect(self, call: dict[str, Any]) -> None:
        f, value = call["f"], call["value"]
        call["observed"] = msgspec.UNSET
        lost = self._choose(8) < self._lost
        call["kind"] = "info" if lost else "ok"
        if lost and self._choose(2):
            return
        if f == "read":
            call["value"] = None if lost else self._any_value() if self._invented else self._value
        elif f == "write":
            self._value = value
        elif value[0] == self._value or (self._invented and self._choose(2)):
            self._value = value[1]
        elif not lost:
            call["kind"] = "fail"
            if self._choose(2):
                call["observed"] = self._any_value() if self._invented else self._value


def _altered(history: History, choose: Choose) -> History:
    """Return the history with one answer that is another one of those given in it, or was never given."""
    reads = [op for op in history.events if op.type == "ok" and op.f == "read"]
    if not reads:
        return history
    chosen = reads[choose(len(reads))]
    values = [op.value for op in history.events if op.f in ("read", "write")] + [77]
    altered = msgspec.structs.replace(chosen, value=values[choose(len(values))])
    return History([altered if op is chosen else op for op in history.events], "random, altered")
