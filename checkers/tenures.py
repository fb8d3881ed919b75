"""The histories of locks: who held which lock, by which answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from checkers.lifetimes import Lifetime, Span
from checkers.words import show
from harness.errors import HistoryError
from harness.history import History
from harness.op import Op, freeze

_TAKES: Final = ("acquire", "try_acquire")
_SECOND_NS: Final = 1_000_000_000


class Write(NamedTuple):
    """A write to what the lock guards.

    Attributes:
        span: the operation.
        sequence: its place among all accesses of the run.
        fenced: whether the fenced resource took it; None where there was no token to show.
    """

    span: Span
    sequence: int
    fenced: bool | None


@dataclass(slots=True)
class Tenure:
    """One grant of a lock, with all that was done on it.

    Attributes:
        key: the lock.
        process: who got it.
        token: its fencing token, where there is one.
        life: the lease below it.
        writes: to what it guards, by its holder.
        froze: whether its holder fell silent after it had looked at its clock.
        ended: by the service's own account it had ended when it was made.
    """

    key: Any
    process: int
    token: int | None
    life: Lifetime
    writes: list[Write] = field(default_factory=list)
    froze: bool = False
    ended: bool = False

    @property
    def who(self) -> str:
        """Name its holder, for sentences."""
        return f"process {self.process}" + ("" if self.token is None else f" (token {self.token})")


def tenures(history: History) -> list[Tenure]:
    """Return every acknowledged grant, in the order in which they were acknowledged.

    A process's operations on a key are about its last grant of that key. A try_acquire that was refused is an answer
    about the grant whose token it observed.

    Raises:
        HistoryError: events do not pair, or an ok completion lacks what the workload puts there.
    """
    reading = _Reading(history)
    asked: dict[int, Op] = {}
    history.columns  # noqa: B018 - raises where events do not pair
    for op in history.events:
        if type(op.process) is not int:
            continue
        if op.type == "invoke":
            asked[op.process] = op
        else:
            reading.take(asked.pop(op.process), op)
    for invocation in asked.values():
        reading.take(invocation, None)
    reading.sightings()
    return reading.found


class _Reading:
    """One pass over a history."""

    def __init__(self, history: History) -> None:
        self.found: list[Tenure] = []
        self._source = history.source
        self._current: dict[tuple[int, Any], Tenure] = {}
        self._refused: list[tuple[Any, int, Span]] = []

    def take(self, invocation: Op, completion: Op | None) -> None:
        """Take in one operation."""
        process, f = invocation.process, invocation.f
        assert isinstance(process, int)
        key = freeze(invocation.key)
        if f in _TAKES:
            if completion is not None and completion.type == "ok":
                self._granted(process, key, invocation, completion)
            elif completion is not None and completion.type == "fail":
                self._was_refused(key, invocation, completion)
            return
        tenure = self._current.get((process, key))
        if tenure is None or (completion is not None and completion.type == "fail" and f != "release"):
            return
        self._told(tenure, f, Span.of(invocation, completion), completion)

    def _granted(self, process: int, key: Any, invocation: Op, completion: Op) -> None:
        token = self._field(completion, "token", int, none=True)
        ttl_s = self._field(completion, "ttl_s", float)
        name = f"lock {show(invocation.key)} of process {process}" + ("" if token is None else f" (token {token})")
        life = Lifetime(name, int(ttl_s * _SECOND_NS), Span.of(invocation, completion))
        tenure = Tenure(invocation.key, process, token, life, ended=completion.value.get("ended") is True)
        self._current[process, key] = tenure
        self.found.append(tenure)

    def _was_refused(self, key: Any, invocation: Op, completion: Op) -> None:
        observed = completion.observed
        if isinstance(observed, dict) and type(token := observed.get("token")) is int:
            self._refused.append((key, token, Span.of(invocation, completion)))

    def _told(self, tenure: Tenure, f: str, span: Span, completion: Op | None) -> None:
        """Take in what was answered to the holder; a release ends a tenure whatever came of it."""
        life, certain = tenure.life, completion is not None and completion.type == "ok"
        if f == "release":
            life.ended.append(span)
        if not certain or completion is None:
            if f == "extend":
                life.doubtful.append(span)
            return
        if f == "write":
            fenced = self._field(completion, "fenced", bool, none=True)
            tenure.writes.append(Write(span, self._field(completion, "sequence", int), fenced))
        elif f == "freeze":
            tenure.froze = True
        elif f in ("extend", "is_held", "release"):
            held = self._field(completion, "held", bool)
            answers = {"extend": life.renewed, "is_held": life.alive, "release": life.over}[f] if held else life.gone
            answers.append(span)

    def sightings(self) -> None:
        """Give each refusal to the one grant of its token; a token that was given twice tells nothing."""
        by_token: dict[tuple[Any, int], Tenure | None] = {}
        for tenure in self.found:
            if tenure.token is not None:
                name = (freeze(tenure.key), tenure.token)
                by_token[name] = None if name in by_token else tenure
        for key, token, span in self._refused:
            if seen := by_token.get((key, token)):
                seen.life.alive.append(span)

    def _field(self, completion: Op, name: str, kind: type, *, none: bool = False) -> Any:
        """Return a member of an ok completion's value."""
        value: Any = completion.value.get(name) if isinstance(completion.value, dict) else None
        fits = type(value) is kind or (kind is float and type(value) is int) or (none and value is None)
        if not fits or (kind is float and not 0 < value < 1e9):
            message = f"{self._source}: event {completion.index}: an ok {completion.f} has no {name} in its value"
            raise HistoryError(message, "was it recorded by the workload lock? docs/reference.md says what is in it")
        return value
