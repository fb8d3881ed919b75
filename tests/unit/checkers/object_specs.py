"""What locks, sets, queues, counters and sources of ids do, one operation at a time: no code of the checkers.

A spec makes calls, does them, and says whether one that was recorded may have happened in a state.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

Choose = Callable[[int], int]
"""Returns a number from 0 to below its argument."""

UNKNOWN = "unknown"
"""The result of an operation of unknown outcome."""

REFUSED = "refused"
"""The result of an operation that cannot happen now."""


class Try(NamedTuple):
    """A recorded operation that did not fail; `complete` is infinite for an unknown outcome."""

    f: str
    value: Any
    result: Any
    process: int
    invoke: int
    complete: float

    @property
    def certain(self) -> bool:
        return self.complete != float("inf")


class Spec:
    """One kind of object.

    Attributes:
        initial: its state at first.
    """

    initial: Hashable

    def call(self, choose: Choose, fresh: int) -> tuple[str, Any]:
        """Return an operation and what is asked with it; `fresh` is a number that was not used before."""
        raise NotImplementedError

    def perform(self, state: Any, f: str, value: Any, process: int) -> tuple[Any, Any]:
        """Return the state after an operation and its result, which may be REFUSED."""
        raise NotImplementedError

    def invent(self, choose: Choose, f: str, value: Any) -> Any:
        """Return any result, out of the air; or a distortion of `value`, where that is a result."""
        raise NotImplementedError

    def may(self, state: Any, item: Try) -> Any:
        """Return the state after a recorded operation; None where it cannot have happened."""
        after, result = self.perform(state, item.f, item.value, item.process)
        return after if result == item.result or (item.result == UNKNOWN and result != REFUSED) else None

    def pure(self, item: Try) -> bool:
        """Whether a recorded operation changes no state."""
        return item.f == "read"


class MutexSpec(Spec):
    """Free or held; `owned` by a process; giving `fenced` tokens."""

    def __init__(self, *, owned: bool = False, fenced: bool = False) -> None:
        self._owned, self._fenced = owned, fenced
        self.initial = (None, -1)

    def call(self, choose: Choose, fresh: int) -> tuple[str, Any]:
        return ("acquire", "release")[choose(2)], None

    def perform(self, state: Any, f: str, value: Any, process: int) -> tuple[Any, Any]:
        holder, token = state
        if f == "acquire":
            return ((process, token + 1), token + 1 if self._fenced else None) if holder is None else (state, REFUSED)
        allowed = holder == process if self._owned else holder is not None
        return ((None, token), None) if allowed else (state, REFUSED)

    def invent(self, choose: Choose, f: str, value: Any) -> Any:
        return choose(6) if self._fenced and f == "acquire" else None

    def may(self, state: Any, item: Try) -> Any:
        if item.f == "release" or not self._fenced:
            after, result = self.perform(state if self._fenced else (state[0], 0), item.f, None, item.process)
            return None if result == REFUSED else after
        if state[0] is not None or (item.result != UNKNOWN and item.result <= state[1]):
            return None
        return (item.process, state[1] if item.result == UNKNOWN else item.result)


class SetSpec(Spec):
    """Elements are added and all are read; few elements, or always new ones."""

    initial: Hashable = frozenset()

    def __init__(self, *, few: bool) -> None:
        self._few = few

    def call(self, choose: Choose, fresh: int) -> tuple[str, Any]:
        if choose(2):
            return "read", None
        return "add", choose(4) if self._few else fresh

    def perform(self, state: Any, f: str, value: Any, process: int) -> tuple[Any, Any]:
        return (state, sorted(state)) if f == "read" else (state | {value}, value)

    def invent(self, choose: Choose, f: str, value: Any) -> Any:
        if f != "read":
            return value
        if value is None:
            return [element for element in range(4) if choose(2)]
        return [element for element in value if choose(3)]

    def may(self, state: Any, item: Try) -> Any:
        if item.f == "add":
            return state | {item.value}
        return state if set(item.result or []) == state else None


class AppendSpec(Spec):
    """Distinct elements are appended, or now and then one twice, and all are read in order."""

    initial: Hashable = ()

    def __init__(self, *, distinct: bool = True) -> None:
        self._distinct = distinct

    def call(self, choose: Choose, fresh: int) -> tuple[str, Any]:
        if choose(2):
            return "read", None
        return "append", fresh if self._distinct else choose(4)

    def perform(self, state: Any, f: str, value: Any, process: int) -> tuple[Any, Any]:
        return (state, list(state)) if f == "read" else ((*state, value), value)

    def invent(self, choose: Choose, f: str, value: Any) -> Any:
        if f != "read":
            return value
        if not value:
            return [1 + choose(5) for _ in range(choose(4))]
        altered = list(value)
        place = choose(len(altered))
        if choose(2):
            return altered[:place] + altered[place + 1 :]
        other = choose(len(altered))
        altered[place], altered[other] = altered[other], altered[place]
        return altered

    def may(self, state: Any, item: Try) -> Any:
        if item.f == "append":
            return (*state, item.value)
        return state if tuple(item.result or ()) == state else None


class QueueSpec(Spec):
    """First in, first out; None comes out of an empty one."""

    initial: Hashable = ()

    def call(self, choose: Choose, fresh: int) -> tuple[str, Any]:
        return ("enqueue", fresh) if choose(2) else ("dequeue", None)

    def perform(self, state: Any, f: str, value: Any, process: int) -> tuple[Any, Any]:
        if f == "enqueue":
            return (*state, value), value
        return (state[1:], state[0]) if state else (state, None)

    def invent(self, choose: Choose, f: str, value: Any) -> Any:
        return value if f == "enqueue" else (None, 1, 2, 3, 4, 5)[choose(6)]

    def pure(self, item: Try) -> bool:
        return item.f == "dequeue" and item.result is None


class CounterSpec(Spec):
    """An integer; what is added to it is one of `deltas`."""

    initial: Hashable = 0

    def __init__(self, *deltas: int) -> None:
        self._deltas = deltas

    def call(self, choose: Choose, fresh: int) -> tuple[str, Any]:
        return ("read", None) if choose(2) else ("add", self._deltas[choose(len(self._deltas))])

    def perform(self, state: Any, f: str, value: Any, process: int) -> tuple[Any, Any]:
        return (state, state) if f == "read" else (state + value, value)

    def invent(self, choose: Choose, f: str, value: Any) -> Any:
        if f == "add":
            return value
        return sum(self._deltas[choose(len(self._deltas))] for _ in range(choose(5))) + (choose(8) == 0)


class IdsSpec(Spec):
    """Ids that were not given before; with `growing`, greater ones."""

    initial: Hashable = frozenset()

    def __init__(self, *, growing: bool) -> None:
        self._growing = growing

    def call(self, choose: Choose, fresh: int) -> tuple[str, Any]:
        return "generate", None

    def perform(self, state: Any, f: str, value: Any, process: int) -> tuple[Any, Any]:
        given = max(state, default=0) + 1
        return state | {given}, given

    def invent(self, choose: Choose, f: str, value: Any) -> Any:
        return choose(9)

    def may(self, state: Any, item: Try) -> Any:
        if item.result == UNKNOWN:
            return state
        if item.result in state or (self._growing and state and item.result < max(state)):
            return None
        return state | {item.result}
