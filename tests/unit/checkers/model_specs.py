"""What the objects of checkers.models do, for the oracle: no code of the checkers."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from object_specs import REFUSED, UNKNOWN, Choose, Spec, Try


class MultiRegisterSpec(Spec):
    """Two registers, written and read singly or together."""

    initial: Hashable = (None, None)

    def call(self, choose: Choose, fresh: int) -> tuple[str, Any]:
        names = (["x"], ["y"], ["x", "y"])[choose(3)]
        return ("read", None) if choose(2) else ("write", {name: 1 + choose(3) for name in names})

    def perform(self, state: Any, f: str, value: Any, process: int) -> tuple[Any, Any]:
        if f == "read":
            return state, {"x": state[0], "y": state[1]}
        return (value.get("x", state[0]), value.get("y", state[1])), value

    def invent(self, choose: Choose, f: str, value: Any) -> Any:
        if f == "write":
            return value
        names = (["x"], ["y"], ["x", "y"])[choose(3)]
        return {name: (None, 1, 2, 3)[choose(4)] for name in names}

    def may(self, state: Any, item: Try) -> Any:
        if item.f == "write":
            return self.perform(state, item.f, item.value, item.process)[0]
        seen = {"x": state[0], "y": state[1]}
        return state if all(seen[name] == value for name, value in item.result.items()) else None


class KvSpec(Spec):
    """A string that is put, appended to and read."""

    initial: Hashable = ""

    def call(self, choose: Choose, fresh: int) -> tuple[str, Any]:
        f = ("get", "put", "append")[choose(3)]
        return f, None if f == "get" else "ab"[choose(2)]

    def perform(self, state: Any, f: str, value: Any, process: int) -> tuple[Any, Any]:
        if f == "get":
            return state, state
        return (value, value) if f == "put" else (state + value, value)

    def invent(self, choose: Choose, f: str, value: Any) -> Any:
        return "".join("ab"[choose(2)] for _ in range(choose(4))) if f == "get" else value

    def may(self, state: Any, item: Try) -> Any:
        if item.f != "get":
            return self.perform(state, item.f, item.value, item.process)[0]
        return state if item.result in (UNKNOWN, state) else None

    def pure(self, item: Try) -> bool:
        return item.f == "get"


class ReentrantSpec(Spec):
    """Held by one process, any number of times."""

    initial: Hashable = (None, 0)

    def call(self, choose: Choose, fresh: int) -> tuple[str, Any]:
        return ("acquire", "release")[choose(2)], None

    def perform(self, state: Any, f: str, value: Any, process: int) -> tuple[Any, Any]:
        holder, times = state
        if f == "acquire":
            return ((process, times + 1), None) if holder in (None, process) else (state, REFUSED)
        if holder != process:
            return state, REFUSED
        return ((process, times - 1) if times > 1 else (None, 0)), None

    def invent(self, choose: Choose, f: str, value: Any) -> Any:
        return None


class SemaphoreSpec(Spec):
    """So many permits; one or two are taken or given back."""

    initial: Hashable = 0

    def __init__(self, permits: int) -> None:
        self._permits = permits

    def call(self, choose: Choose, fresh: int) -> tuple[str, Any]:
        return ("acquire", "release")[choose(2)], (None, 1, 2)[choose(3)]

    def perform(self, state: Any, f: str, value: Any, process: int) -> tuple[Any, Any]:
        after = state + (value or 1) * (1 if f == "acquire" else -1)
        return (after, value) if 0 <= after <= self._permits else (state, REFUSED)

    def invent(self, choose: Choose, f: str, value: Any) -> Any:
        return value

    def may(self, state: Any, item: Try) -> Any:
        after, result = self.perform(state, item.f, item.value, item.process)
        return None if result == REFUSED else after


class PriorityQueueSpec(Spec):
    """The least comes out; None comes out of an empty one."""

    initial: Hashable = ()

    def call(self, choose: Choose, fresh: int) -> tuple[str, Any]:
        return ("enqueue", 1 + choose(5)) if choose(2) else ("dequeue", None)

    def perform(self, state: Any, f: str, value: Any, process: int) -> tuple[Any, Any]:
        if f == "enqueue":
            return tuple(sorted((*state, value))), value
        return (state[1:], state[0]) if state else (state, None)

    def invent(self, choose: Choose, f: str, value: Any) -> Any:
        return value if f == "enqueue" else (None, 1, 2, 3, 4, 5)[choose(6)]

    def pure(self, item: Try) -> bool:
        return item.f == "dequeue" and item.result is None


class TaskSpec(Spec):
    """Submitted once, claimed at growing epochs, then completed or failed by whoever claimed it last."""

    initial: Hashable = (None, None, 0)

    def call(self, choose: Choose, fresh: int) -> tuple[str, Any]:
        f = ("submit", "claim", "claim", "complete", "fail", "status")[choose(6)]
        return f, 1 + choose(3) if f in ("complete", "fail") else None

    def perform(self, state: Any, f: str, value: Any, process: int) -> tuple[Any, Any]:
        status, worker, epoch = state
        if f == "status":
            return state, status
        if f == "submit":
            return (("submitted", None, 0), None) if status is None else (state, REFUSED)
        if f == "claim":
            return (
                (("claimed", process, epoch + 1), epoch + 1) if status in ("submitted", "claimed") else (state, REFUSED)
            )
        done = {"complete": "completed", "fail": "failed"}[f]
        return (
            ((done, worker, epoch), value)
            if (status, worker, epoch) == ("claimed", process, value)
            else (state, REFUSED)
        )

    def invent(self, choose: Choose, f: str, value: Any) -> Any:
        if f == "status":
            return (None, "submitted", "claimed", "completed", "failed")[choose(5)]
        return 1 + choose(4) if f == "claim" else value

    def may(self, state: Any, item: Try) -> Any:
        if item.f != "claim" or item.result == UNKNOWN:
            return super().may(state, item)
        status, _, epoch = state
        allowed = status in ("submitted", "claimed") and item.result > epoch
        return ("claimed", item.process, item.result) if allowed else None

    def pure(self, item: Try) -> bool:
        return item.f == "status"
