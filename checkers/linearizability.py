"""The checker of linearizability: split a history by key, search each, prove and explain what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from checkers import registers
from checkers.budget import Budget, Outcome
from checkers.forward import ENGINE, Encoded, decide_encoded, encode
from checkers.models import NEVER_COMPLETES, Interval, Model
from checkers.operations import Operations
from checkers.reading import of_key, read
from checkers.witness import minimal_witness
from checkers.words import NOT_SMALLEST
from harness.errors import HistoryError, UsageError
from harness.history import FAIL, INFO, History
from harness.verdict import Anomaly, Verdict

MAX_REPORTED: Final = 10  # keys with a witness, and keys named as undecided; more would tell a reader nothing new
_SEARCH_SHARE: Final = 0.94  # of the time limit, so that what is undecided ends at it
_WITNESS_SHARE: Final = 1.04  # of the time limit, at which no more time goes into witnesses
_WITNESS_TIME_S: Final = 2.0  # for one witness
_WITNESS_CONFIGURATIONS: Final = 100_000  # of weakened histories; a harder one keeps the operations in question


@dataclass(frozen=True, slots=True)
class KeyOps:
    """What happened to one key, in the order of the invocations."""

    key: Any
    ops: list[Interval]


def split(history: History, model: Model) -> list[KeyOps]:
    """Read a history's operations as the model does, key by key.

    Raises:
        HistoryError: an operation whose value the model cannot read.
    """
    columns = history.columns
    invoke, complete, outcome = columns.invoke.tolist(), columns.complete.tolist(), columns.outcome.tolist()
    keys = []
    for key, rows in history.by_key():
        ops = []
        for row in rows.tolist():
            try:
                op = model.interpret(history.invocation(row), history.completion(row))
            except HistoryError as error:
                raise HistoryError(f"{history.source}: {error.message}", error.hint) from error
            if op is not None:
                end = NEVER_COMPLETES if outcome[row] == INFO else complete[row]
                ops.append(Interval(op, invoke[row], end, row))
        keys.append(KeyOps(key, ops))
    return keys


class _Proof(NamedTuple):
    """A witness, and what its explanation needs.

    Attributes:
        witness: the operations.
        ops: those that have to do with it.
        smallest: whether nothing can be taken from it.
    """

    witness: list[Interval]
    ops: Operations
    smallest: bool = True


class _Bad(NamedTuple):
    """A key that is not linearizable.

    Attributes:
        row: of the event by which that showed.
        prove: finds the proof, in so many seconds.
    """

    key: Any
    row: int
    prove: Callable[[float], _Proof]


class _Key(NamedTuple):
    """A key for the forward engine, and how to get its operations where they have to be looked at."""

    key: Any
    ops: Callable[[], Operations]


_Read = tuple[list[_Bad], list[_Key], Encoded | None, list[str]]
"""The keys that are found bad already; those still to decide, and their operations; the engines that take part."""


def _hold_known(history: History, model: Model) -> None:
    unknown = sorted(set(history.columns.fs) - set(model.fs))
    if model.fs and unknown:
        message = f"{history.source}: the model {model.name} knows {', '.join(model.fs)}, but not {', '.join(unknown)}"
        raise UsageError(message, "choose the model (--model) of the workload that recorded the history")


class Linearizable:
    """Linearizability of every key by itself, exactly.

    Detects: any history of which no order of the operations explains what each client saw, where every operation takes
    effect at one instant between its invocation and its completion. That includes stale reads, lost updates, values
    that nobody wrote and values that came back. Operations of unknown outcome may have happened, at any time after
    their invocation, or not; a failed cas is evidence of what it saw.

    Cannot detect: promises that span keys; an order that is wrong but that no client could see; whatever the delays
    between client and system hide.

    Cost: each key goes the way that its operations allow. A register whose written values are distinct takes well below
    0.1 µs an operation. Anything else is searched, 3 to 15 µs an operation with 5 to 50 clients a key
    (benchmarks/forward.py); exponential, at worst, in the operations of one key that are open at once, those of unknown
    outcome included; then a limit says `unknown`.

    Why it is sound: linearizability is local (Herlihy and Wing 1990), so keys are checked apart; the arguments are in
    checkers/_kernels/unique_register.py and checkers/forward.py, and a brute-force oracle holds them. Real-time order
    is the order of events in the history and nothing else: delays between a stamp and the wire only widen an
    operation, which hides anomalies and invents none.

    Args:
        model: the object under each key, from checkers.MODELS or one's own.
        time_limit_s: for the whole check; where it is met, a tenth of it goes into witnesses.
        max_configurations: held at once for one key, about 200 bytes each.
        clock: seconds, monotonic.
    """

    name = "linearizable"

    def __init__(
        self,
        model: Model,
        *,
        time_limit_s: float = 60.0,
        max_configurations: int = 200_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._time_limit_s = time_limit_s
        self._max_configurations = max_configurations
        self._clock = clock

    def check(self, history: History) -> Verdict:
        """Decide every key; report the first anomalies, in the order in which they showed.

        Raises:
            UsageError: an operation that the model does not know.
            HistoryError: an operation whose value the model cannot read, or a history whose events do not pair.
        """
        start = self._clock()
        _hold_known(history, self._model)
        find = self._by_kernel if registers.is_register(self._model) else self._by_search
        bad, rest, encoded, engines = find(history)
        budget = Budget(self._clock, start + self._time_limit_s * _SEARCH_SHARE, self._max_configurations)
        outcomes = decide_encoded(self._model, encoded, budget) if encoded else []
        found = list(zip(rest, outcomes, strict=True))
        bad += [
            _Bad(item.key, outcome.row, partial(self._minimal, item, outcome.row))
            for item, outcome in found
            if outcome.status == "invalid"
        ]
        bad.sort(key=lambda item: item.row)
        undecided = [item for item in found if item[1].status == "unknown"]
        return Verdict(
            status="invalid" if bad else "unknown" if undecided else "valid",
            anomalies=tuple(self._prove(history, bad[:MAX_REPORTED], start + self._time_limit_s * _WITNESS_SHARE)),
            engine=" + ".join(engines),
            reasons=(*_more(len(bad) - MAX_REPORTED), *self._undecided(history, undecided)),
        )

    def _by_search(self, history: History) -> _Read:
        if self._model.by_columns:
            keys, encoded, rows = read(history, self._model)
            return [], [_Key(key, partial(of_key, encoded, rows, at)) for at, key in enumerate(keys)], encoded, [ENGINE]
        said = [item for item in split(history, self._model) if item.ops]
        rest = [_Key(item.key, partial(Operations.of, item.ops)) for item in said]
        return [], rest, encode(self._model, [item.ops for item in said]), [ENGINE]

    def _by_kernel(self, history: History) -> _Read:
        """Decide the registers whose values are distinct."""
        decision = registers.decide(history, self._model)
        keys = history.columns.keys
        bad = [
            _Bad(keys[number], int(decision.proofs[number].max()), partial(self._proof, history, decision, number))
            for number in decision.keys(registers.INVALID)
        ]
        hard = decision.keys(registers.INELIGIBLE)
        ops = decision.ops
        rest = [_Key(keys[each], partial(registers.operations, history, ops.of_key(each))) for each in hard]
        decided = bad or decision.keys(registers.VALID) or not hard
        engines = [registers.ENGINE] * bool(decided) + [ENGINE] * bool(hard)
        return bad, rest, registers.encoded(history, ops, hard) if hard else None, engines

    def _proof(self, history: History, decision: registers.Decision, key: int, _: float) -> _Proof:
        rows = registers.witness(decision, key)
        ops = registers.touching(history, decision, key, rows)
        return _Proof([ops[at] for at in np.searchsorted(ops.row, rows).tolist()], ops)

    def _minimal(self, item: _Key, row: int, share_s: float) -> _Proof:
        budget = Budget(self._clock, self._clock() + min(share_s, _WITNESS_TIME_S), _WITNESS_CONFIGURATIONS)
        ops = item.ops()
        found = minimal_witness(self._model, ops, row, budget)
        return _Proof([ops[at] for at in found.at], ops, found.smallest)

    def _prove(self, history: History, bad: Sequence[_Bad], deadline_s: float) -> list[Anomaly]:
        if not bad:
            return []
        from checkers.explain import explain  # late: whoever is right needs no words

        anomalies = []
        for left, item in zip(range(len(bad), 0, -1), bad, strict=True):
            proof = item.prove(max(deadline_s - self._clock(), 0.0) / left)
            witness = [self._as_recorded(history, op) for op in proof.witness]
            kind, summary = explain(history, witness, proof.ops, self._model)
            rows = sorted(row for op in witness for row in (op.invoke, op.complete))
            anomalies.append(
                Anomaly(
                    checker=self.name,
                    kind=kind,
                    summary=summary if proof.smallest else f"{summary} ({NOT_SMALLEST})",
                    witness=tuple(history.events[row].index for row in rows),
                    key=item.key,
                )
            )
        return anomalies

    def _as_recorded(self, history: History, item: Interval) -> Interval:
        """Return an operation of a witness as the model reads it; the engine takes some failed cas for reads."""
        if history.columns.outcome[item.row] != FAIL:
            return item
        op = self._model.interpret(history.invocation(item.row), history.completion(item.row))
        assert op is not None, "an operation that says nothing proves nothing"
        return item._replace(op=op)

    def _undecided(self, history: History, undecided: Sequence[tuple[_Key, Outcome]]) -> list[str]:
        reasons = []
        for item, outcome in undecided[:MAX_REPORTED]:
            last = history.events[outcome.row].index
            first = history.events[outcome.since].index if outcome.since >= 0 else last
            limit = (
                f"the time limit of {self._time_limit_s:g} s"
                if outcome.limit == "time"
                else f"the limit of {self._max_configurations} configurations"
            )
            reasons.append(f"key {item.key!r}: undecided, {limit} was met at events {first} to {last}")
        if len(undecided) > MAX_REPORTED:
            reasons.append(f"{len(undecided) - MAX_REPORTED} more keys are undecided")
        return reasons


def _more(count: int) -> list[str]:
    return [f"{count} more {'key is' if count == 1 else 'keys are'} not linearizable"] if count > 0 else []
