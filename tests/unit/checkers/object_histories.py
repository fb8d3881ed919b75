"""Small random histories of an object, and the oracle that tries every order. They share no code with the checkers."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import msgspec
from object_specs import REFUSED, UNKNOWN, Choose, Spec, Try

from harness.history import History
from harness.op import Op

_NEVER = float("inf")


def small_history(spec: Spec, choose: Choose, most: int = 10) -> History:
    """Return a history of up to `most` operations by up to 4 clients, in any mood.

    Three sources: an atomic object with overlapping clients (valid), the same with one result altered, and results
    out of the air. Many unknown outcomes, or none, or nothing else.
    """
    source = choose(3)
    lost_of_eight = (0, 1, 3, 8)[choose(4)]
    history = _Simulation(spec, choose, lost_of_eight, invented=source == 2).run(choose(most + 1), 1 + choose(4))
    return _altered(spec, history, choose) if source == 1 else history


def crowded_history(spec: Spec, choose: Choose) -> History:
    """Return a history of many clients at once, 70 to 200, of a correct object: whoever accuses it is wrong."""
    return _Simulation(spec, choose, choose(3), invented=False).run(80 + choose(220), 70 + choose(130))


class _Simulation:
    def __init__(self, spec: Spec, choose: Choose, lost_of_eight: int, *, invented: bool) -> None:
        self._spec, self._choose, self._lost, self._invented = spec, choose, lost_of_eight, invented
        self._state = spec.initial
        self._events: list[Op] = []

    def run(self, length: int, clients: int) -> History:
        idle, open_calls, fresh, next_process = list(range(clients)), [], 0, clients
        while length or open_calls:
            if length and idle and (not open_calls or self._choose(2)):
                length, fresh = length - 1, fresh + 1
                f, value = self._spec.call(self._choose, fresh)
                call: dict[str, Any] = {"process": idle.pop(self._choose(len(idle))), "f": f, "value": value}
                self._record(call, "invoke")
                open_calls.append(call)
                continue
            call = open_calls[self._choose(len(open_calls))]
            if "type" not in call:
                self._take_effect(call)
                continue
            open_calls.remove(call)
            if call["type"] == "info":
                idle.append(next_process)
                next_process += 1
                if self._choose(2):
                    continue  # not even the loss was recorded
            else:
                idle.append(call["process"])
            self._record(call, call["type"])
        return History(self._events, "random")

    def _record(self, call: dict[str, Any], kind: Any) -> None:
        at = len(self._events)
        value = call["result"] if kind == "ok" else call["value"]
        self._events.append(Op(at, at * 1_000_000, call["process"], kind, call["f"], value=value))

    def _take_effect(self, call: dict[str, Any]) -> None:
        lost = self._choose(8) < self._lost
        call["type"] = "info" if lost else "ok"
        if lost and self._choose(2):
            return
        after, result = self._spec.perform(self._state, call["f"], call["value"], call["process"])
        if self._invented and self._choose(2):
            result = self._spec.invent(self._choose, call["f"], call["value"])
        if result == REFUSED:
            call["type"] = "info" if lost else "fail"
        else:
            self._state = after
            call["result"] = result


def _altered(spec: Spec, history: History, choose: Choose) -> History:
    """Return the history with one result that is out of the air."""
    answers = [op for op in history.events if op.type == "ok" and op.f not in ("add", "append", "enqueue")]
    if not answers:
        return history
    chosen = answers[choose(len(answers))]
    others = [op for op in answers if op.f == chosen.f]
    other = others[choose(len(others))]
    if choose(2):  # the two get each other's result
        swapped = {
            chosen.index: msgspec.structs.replace(chosen, value=other.value),
            other.index: msgspec.structs.replace(other, value=chosen.value),
        }
        return History([swapped.get(op.index, op) for op in history.events], "random, swapped")
    altered = msgspec.structs.replace(chosen, value=spec.invent(choose, chosen.f, chosen.value))
    return History([altered if op is chosen else op for op in history.events], "random, altered")


def tries(history: History) -> list[Try]:
    """Return the operations that did not fail, or may not have."""
    found: list[Try | None] = []
    open_at: dict[Any, int] = {}
    for at, op in enumerate(history.events):
        if op.type == "invoke":
            open_at[op.process] = len(found)
            found.append(Try(op.f, op.value, UNKNOWN, op.process, at, _NEVER))
            continue
        number = open_at.pop(op.process)
        item = found[number]
        assert item is not None
        if op.type == "ok":
            found[number] = item._replace(result=op.value, complete=at)
        elif op.type == "fail":
            found[number] = None
    return [item for item in found if item is not None and (item.certain or item.f != "read")]


def weaken(spec: Spec, items: Sequence[Try], kept: Container[int]) -> list[Try]:
    """Return what is known if only operations with an event in `kept` are: the others may have happened, or not."""
    return [
        item if item.invoke in kept else item._replace(complete=_NEVER)
        for item in items
        if item.invoke in kept or not spec.pure(item)
    ]


def is_explained(spec: Spec, items: Sequence[Try]) -> bool:
    """Try every order of the operations, with and without each of unknown outcome."""
    return _explained(spec, spec.initial, frozenset(range(len(items))), items, set())


def _explained(spec: Spec, state: Any, left: frozenset[int], items: Sequence[Try], dead: set[Any]) -> bool:
    if not any(items[number].certain for number in left):
        return True
    if (state, left) in dead:
        return False
    first_completion = min(items[number].complete for number in left)
    for number in left:
        if items[number].invoke < first_completion:
            after = spec.may(state, items[number])
            if after is not None and _explained(spec, after, left - {number}, items, dead):
                return True
    dead.add((state, left))
    return False
