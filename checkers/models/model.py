"""What a model is: what a correct object does, one operation at a time, in plain Python on hashable values.

A model reads each operation of a history into its own small alphabet (`ModelOp`), and its `step` says what that
operation does to a state. The engine knows nothing else of the object. It asks for each step once; where few states
can be reached it sees by itself which operations never change the state (`pure`), and which do the same in every
state (`blind`). Elsewhere it helps if the model says so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from harness.op import Op

State = Hashable

NEVER_COMPLETES: Final = sys.maxsize
"""Completion row of an operation of unknown outcome: it may take effect at any time after its invocation, or never."""


class ModelOp(NamedTuple):
    """An operation as a model reads it; equal ones have equal effects.

    Attributes:
        f: the operation's name.
        value: what was asked with it, frozen (harness.op.freeze); in the models where that is simpler, the answer.
        result: what was answered, frozen; UNSET where the outcome is unknown, or where the answer tells nothing.
    """

    f: str
    value: Any
    result: Any = UNSET


class Interval(NamedTuple):
    """An operation and the time in which it may have taken effect.

    Attributes:
        op: what it did.
        invoke, complete: rows of its events in the history; `complete` is NEVER_COMPLETES for an unknown outcome.
        row: its row in History.columns.
    """

    op: ModelOp
    invoke: int
    complete: int
    row: int

    @property
    def certain(self) -> bool:
        """Whether it did take effect, before `complete`."""
        return self.complete != NEVER_COMPLETES


def _always(ops: Sequence[Interval]) -> list[int]:
    return [NEVER_COMPLETES] * len(ops)


Interpret = Callable[[Op, "Op | None"], "ModelOp | None"]


@dataclass(frozen=True, slots=True)
class Model:
    """The sequential specification of an object.

    Attributes:
        name: such as "cas-register".
        initial: the state before any operation; any hashable but None.
        step: returns the state after an operation, or None where the operation cannot happen in that state.
        interpret: reads an invocation and its ok, fail or info completion (None: not recorded) as a ModelOp, or as
            None where it says nothing (a failed write, a read of unknown outcome). A ModelOp for a completion of
            unknown outcome may have happened; for any other it has.
        fs: the names of operations that it knows; none: any.
        pure: `f` of each ModelOp for which step returns the very state it was given, or None.
        blind: `f` of each ModelOp for which step returns the same in every state, never None.
        useful_until: for each of the operations on one object, the row after which it can be left out for good if it
            is of unknown outcome, because nothing that comes later could tell. It depends on nothing but which
            operations there are, certain and unknown ones, and when the last certain one of each kind completed.
        by_columns: whether `interpret` depends on nothing but the process, f, the values and the outcome, so that it
            need be asked only once for each of these.
    """

    name: str
    initial: State
    step: Callable[[State, ModelOp], State | None]
    interpret: Interpret
    fs: tuple[str, ...]
    pure: frozenset[str] = frozenset()
    blind: frozenset[str] = frozenset()
    useful_until: Callable[[Sequence[Interval]], list[int]] = _always
    by_columns: bool = False
