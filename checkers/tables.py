"""A model's steps as numbers: states and kinds of operations, and what each kind does to each state.

Where few states can be reached, all of them are found beforehand (a *closed* table), which also shows which kinds are
pure and which are blind, whatever the model says of itself. Elsewhere the kernel asks for each step when it needs it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np

from checkers.models import Model, ModelOp, State

STUCK = 0
_MAX_STATES = 64
_MIN_CELLS = 256


class Tables:
    """The steps of a model on some kinds of operations.

    Args:
        model: of the object.
        kinds: the different operations; their numbers are their places.
        operations: how many operations of these kinds there are, for what the closed table may cost.

    Attributes:
        closed: state * kinds + kind -> state, or empty. States are numbered from 1, the initial one.
        pure, blind: a flag for each kind.
        targets: of each kind of a closed table, to how many states it leads from another one.
    """

    def __init__(self, model: Model, kinds: Sequence[ModelOp], operations: int) -> None:
        self._step = model.step
        self._kinds = kinds
        self._states: list[State] = [None, model.initial]
        self._numbers: dict[State, int] = {model.initial: 1}
        self.pure = array("b", [kind.f in model.pure for kind in kinds])
        self.blind = array("b", [kind.f in model.blind for kind in kinds])
        self.targets = array("i", bytes(4 * len(kinds)))
        self.closed = self._close(max(operations, _MIN_CELLS))
        if self.closed:
            self._classify()

    @property
    def states(self) -> int:
        """How many states were met so far."""
        return len(self._states) - 1

    def ask(self, state: int, kind: int) -> int:
        """Return the state after a step, or STUCK."""
        reached = self._step(self._states[state], self._kinds[kind])
        if reached is None:
            return STUCK
        number = self._numbers.setdefault(reached, len(self._states))
        if number == len(self._states):
            self._states.append(reached)
        return number

    def column(self, kind: int) -> list[int]:
        """Return what a kind does to each state of a closed table."""
        width = len(self._kinds)
        return [self.closed[state * width + kind] for state in range(1, self.states + 1)]

    def _close(self, cells: int) -> array[int]:
        width = len(self._kinds)
        table = array("i", [STUCK] * width)
        state = 1
        while state <= self.states:
            if state > _MAX_STATES or state * width > cells:
                return array("i")
            table.extend([self.ask(state, kind) for kind in range(width)])
            state += 1
        return table

    def _classify(self) -> None:
        afters = np.frombuffer(self.closed, np.int32).reshape(-1, len(self._kinds))[1:]
        stuck = afters == STUCK
        idle = stuck | (afters == np.arange(1, len(afters) + 1)[:, np.newaxis])
        pure = idle.all(axis=0)
        blind = ~pure & ~stuck.any(axis=0) & (afters == afters[0]).all(axis=0)
        targets = np.sort(np.where(idle, STUCK, afters), axis=0)
        new = (targets != STUCK) & (np.diff(targets, axis=0, prepend=STUCK) != 0)
        self.pure, self.blind = (array("b", flags.astype(np.int8).tobytes()) for flags in (pure, blind))
        self.targets = array("i", new.sum(axis=0, dtype=np.int32).tobytes())
