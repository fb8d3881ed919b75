"""A second opinion for the tests: a forward search over events in plain Python, which shares no code with the engines.

Whether the operations on one object have an order that explains them.

A *configuration* is a state and the set of open operations that were linearized already (a bit mask). The search walks
the events in order and holds every configuration that may be the true one. An invocation opens an operation. A
completion demands that its operation was linearized before: configurations that have it go on, and each of the others
is taken through every sequence of open operations that ends with it (just-in-time linearization, Lowe 2017). No
configuration left: the history up to this completion is not linearizable, and no shorter prefix is so.

Why it is exact. In an order that explains the history, cut after each operation in the order of completions: what lies
before the cut was invoked before that completion, since it precedes an operation that had to be linearized by then. So
it is enough to linearize at completions, and only what precedes the completing operation. Each reduction below keeps
this: wherever a configuration can be completed to an explanation, one of those that are kept can.

1. *Eager pure operations.* An open operation that leaves the state as it is, and that the state admits, is linearized
   at once: in any explanation that has it later, move it here. Nothing else changes, for it changes no state, and all
   that precedes it in time has completed and so is linearized.
2. *Equal operations: the earliest completion first.* If an explanation linearizes `b` before `a`, both open, equal, and
   `a` completing first: exchange them. `b` then stands where `a` stood, before a's completion and so before its own.
3. *An unknown outcome is used only to be seen.* Leave an operation of unknown outcome out of an explanation, where a
   blind one directly follows it: the states from there on are the same. So, of the explanations with the fewest
   operations of unknown outcome, none has such a pair; pure operations that become eager in between are what sees it.
4. *Useless unknown outcomes are left out*, from the row that the model names (Model.useful_until): by then no open or
   later operation can see what it does, so by 3 no explanation of the rest with the fewest of them contains it.
5. *Dominance.* Of two configurations that differ only in the operations of unknown outcome that they have used, one
   that used a subset can do all that the other can.

The brute-force oracle in tests/unit/checkers holds all of them, together, on mixed small histories.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from checkers.budget import Budget, Outcome
from checkers.models import Interval, Model, ModelOp, State

_STUCK: Final = -1
_REDUCE_ABOVE: Final = 16  # configurations; fewer are not worth comparing with each other
_BEAM: Final = 64  # configurations kept by the first try
_CLOCK_EVERY: Final = 512  # expanded configurations between two looks at the clock

Configuration = tuple[int, int]
"""Number of the state, and the mask of the open operations that are linearized."""


class _ExhaustedError(Exception):
    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


class _Move(NamedTuple):
    """An open operation that may be linearized once all of `earlier`, which are equal to it, are."""

    bit: int
    earlier: int
    kind: int
    blind: bool
    optional: bool


def search(model: Model, ops: Sequence[Interval], budget: Budget) -> Outcome:
    """Decide whether `ops`, all on one object, are linearizable.

    Returns:
        The outcome; unknown only where the budget did not suffice.
    """
    until = model.useful_until(ops)
    kept = [interval for interval, row in zip(ops, until, strict=True) if interval.certain or row > interval.invoke]
    ends = [row for interval, row in zip(ops, until, strict=True) if interval.certain or row > interval.invoke]
    outcome = _walk(_Search(model, kept, budget, _BEAM), _events(kept, ends))
    if outcome is None:
        outcome = _walk(_Search(model, kept, budget, budget.max_configurations), _events(kept, ends))
    assert outcome is not None, "a search that drops nothing has an outcome"
    return outcome


def _walk(run: _Search, events: Iterable[tuple[int, _Event, int]]) -> Outcome | None:
    """Take a search through the events; None where it found no order, but may have dropped one."""
    row = -1
    try:
        for row, event, number in events:
            event(run, number)
            if not run.configurations:
                return None if run.dropped else Outcome("invalid", row)
    except _ExhaustedError as exhausted:
        return Outcome("unknown", row, run.oldest_invocation(), exhausted.limit)
    return Outcome("valid")


class _Search:
    """The configurations after the events so far."""

    def __init__(self, model: Model, ops: Sequence[Interval], budget: Budget, beam: int) -> None:
        self.configurations: set[Configuration] = {(0, 0)}
        self.dropped = False
        self._beam = beam
        self._ops = ops
        self._budget = budget
        self._step = model.step
        self._states: list[State] = [model.initial]
        self._numbers: dict[State, int] = {model.initial: 0}
        self._after: dict[tuple[int, int], int] = {}
        kinds: dict[ModelOp, int] = {}
        self._kind = [kinds.setdefault(interval.op, len(kinds)) for interval in ops]
        self._kinds = list(kinds)
        self._pure = [interval.op.f in model.pure for interval in ops]
        self._blind = [interval.op.f in model.blind for interval in ops]
        self._bit: dict[int, int] = {}
        self._free: list[int] = []
        self._open: list[tuple[int, int]] = []  # (completion, number) of what may change the state, by completion
        self._watching: set[int] = set()  # open pure operations
        self._admitted: dict[int, int] = {}  # state -> mask of the open pure operations that it admits

    def invoke(self, number: int) -> None:
        """Open an operation; linearize it where it is pure and admitted."""
        bit = self._free.pop() if self._free else 1 << len(self._bit)
        self._bit[number] = bit
        if not self._pure[number]:
            insort(self._open, (self._ops[number].complete, number))
            return
        self._watching.add(number)
        self._admitted.clear()
        kind = self._kind[number]
        self.configurations = {
            (state, mask | bit) if self._next(state, kind) != _STUCK else (state, mask)
            for state, mask in self.configurations
        }

    def complete(self, number: int) -> None:
        """Keep what has the operation linearized, or can linearize it now."""
        bit = self._bit[number]
        done = {(state, mask ^ bit) for state, mask in self.configurations if mask & bit}
        if len(done) < len(self.configurations):
            late = [item for item in self.configurations if not item[1] & bit]
            self._linearize(bit, late, done)
        self._close(number)
        self.configurations = done
        if len(done) > _REDUCE_ABOVE:
            self._reduce()

    def give_up(self, number: int) -> None:
        """Forget an operation of unknown outcome that can make no difference any more."""
        keep = ~self._bit[number]
        self._close(number)
        self.configurations = {(state, mask & keep) for state, mask in self.configurations}

    def oldest_invocation(self) -> int:
        """Return the invocation row of the oldest open operation that did happen (-1: none is open)."""
        return min((self._ops[number].invoke for number in self._bit if self._ops[number].certain), default=-1)

    def _close(self, number: int) -> None:
        self._free.append(self._bit.pop(number))
        if self._pure[number]:
            self._watching.discard(number)
            self._admitted.clear()
        else:
            self._open.remove((self._ops[number].complete, number))

    def _linearize(self, target: int, late: list[Configuration], done: set[Configuration]) -> None:
        """Add to `done` what is reached from `late` by sequences of open operations that end with `target`."""
        moves = self._moves()
        limit = self._budget.max_configurations
        seen = set(late)
        seen_unseen: set[Configuration] = set()
        # True: the last one linearized is of unknown outcome, and nothing has seen what it did
        stack = [(state, mask, False) for state, mask in late]
        steps = 0
        while stack:
            steps += 1
            if steps % _CLOCK_EVERY == 1 and self._budget.spent():
                raise _ExhaustedError("time")
            state, mask, unseen = stack.pop()
            for bit, earlier, kind, blind, optional in moves:
                if mask & bit or earlier & ~mask or (unseen and blind):
                    continue
                after = self._next(state, kind)
                if after == _STUCK:
                    continue
                watchers = self._admits(after)
                reached = mask | bit | watchers
                if reached & target:
                    done.add((after, reached ^ target))
                    continue
                item = (after, reached)
                if item in seen:
                    continue
                if optional and not watchers & ~mask:
                    if item not in seen_unseen:
                        seen_unseen.add(item)
                        stack.append((after, reached, True))
                else:
                    seen.add(item)
                    stack.append((after, reached, False))
            if len(seen) + len(seen_unseen) + len(done) > limit:
                raise _ExhaustedError("memory")

    def _moves(self) -> list[_Move]:
        moves = []
        equal: dict[int, int] = {}
        for _, number in self._open:
            kind, bit = self._kind[number], self._bit[number]
            earlier = equal.get(kind, 0)
            equal[kind] = earlier | bit
            moves.append(_Move(bit, earlier, kind, self._blind[number], not self._ops[number].certain))
        return moves

    def _next(self, state: int, kind: int) -> int:
        """Return the state after an operation of this kind, or _STUCK; asks the model once for each pair."""
        after = self._after.get((state, kind))
        if after is not None:
            return after
        reached = self._step(self._states[state], self._kinds[kind])
        if reached is None:
            after = _STUCK
        else:
            after = self._numbers.setdefault(reached, len(self._states))
            if after == len(self._states):
                self._states.append(reached)
        self._after[state, kind] = after
        return after

    def _admits(self, state: int) -> int:
        """Return the mask of the open pure operations that can happen in this state."""
        mask = self._admitted.get(state)
        if mask is None:
            mask = 0
            for number in self._watching:
                if self._next(state, self._kind[number]) != _STUCK:
                    mask |= self._bit[number]
            self._admitted[state] = mask
        return mask

    def _reduce(self) -> None:
        """Drop configurations that used more operations of unknown outcome than another one did."""
        optional = 0
        for number, bit in self._bit.items():
            if not self._ops[number].certain:
                optional |= bit
        if not optional and len(self.configurations) <= self._beam:
            return
        groups: dict[Configuration, list[int]] = {}
        for state, mask in self.configurations:
            groups.setdefault((state, mask & ~optional), []).append(mask & optional)
        reduced = [(state, rest | used) for (state, rest), masks in groups.items() for used in _minimal(masks)]
        if len(reduced) > self._beam:
            self.dropped = True
            reduced = sorted(reduced, key=lambda item: (item[1] & optional).bit_count())[: self._beam]
        self.configurations = set(reduced)


def _minimal(masks: list[int]) -> list[int]:
    """Return the masks of which no other is a subset."""
    kept: list[int] = []
    for mask in sorted(masks, key=int.bit_count):
        if all(other & ~mask for other in kept):
            kept.append(mask)
    return kept


_Event = Callable[[_Search, int], None]


def _events(ops: Sequence[Interval], ends: Sequence[int]) -> Iterable[tuple[int, _Event, int]]:
    """Return what happens when, as (row, event, number of the operation).

    An operation of unknown outcome is given up right after the completion at its end.
    """
    events: list[tuple[int, int, _Event, int]] = []
    for number, (interval, end) in enumerate(zip(ops, ends, strict=True)):
        events.append((interval.invoke, 0, _Search.invoke, number))
        if interval.certain:
            events.append((interval.complete, 0, _Search.complete, number))
        else:
            events.append((end, 1, _Search.give_up, number))
    events.sort(key=lambda event: event[:2])
    return ((row, event, number) for row, _, event, number in events)
