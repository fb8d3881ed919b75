"""Registers on a history's columns: which keys the kernel for distinct values decides, and how, and why not.

checkers/_kernels/unique_register.py says what it does and why it is sound.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from checkers._kernels import register_columns, unique_register
from checkers._kernels.register_columns import CAS, NEVER, WRITE
from checkers._kernels.unique_register import INELIGIBLE, INVALID, VALID
from checkers.forward import Encoded
from checkers.models import (
    FAILED_CAS,
    NEVER_COMPLETES,
    Model,
    ModelOp,
    interpret_comparing_register,
    interpret_register,
)
from checkers.operations import Operations
from checkers.shrink import shrink
from harness.errors import HistoryError
from harness.history import History
from harness.op import freeze

ENGINE: Final = "unique values"
_KINDS: Final = {"read": register_columns.READ, "write": WRITE, "cas": CAS}
_ALONE_BELOW: Final = 100_000  # operations; for fewer, a second thread costs more than it gives
_AT_ONCE: Final = 4096  # operations, in all, of the subsets of a proof that are tried in one call

Ids = NDArray[np.int32]


class RegisterOps(NamedTuple):
    """Operations on registers, grouped by key and sorted by invocation; register_columns tells the kinds.

    Attributes:
        offsets: int64[keys + 1], where each key's operations begin.
        row: in History.columns, ascending in each key.
        kind, value, old: what each says.
        invoke, ret: rows of events; `ret` is NEVER for an unknown outcome.
    """

    offsets: NDArray[np.int64]
    row: Ids
    kind: NDArray[np.int8]
    value: Ids
    old: Ids
    invoke: Ids
    ret: Ids

    def of_key(self, key: int) -> RegisterOps:
        """Return one key's operations."""
        part = slice(int(self.offsets[key]), int(self.offsets[key + 1]))
        return self._with(part)

    def pick(self, at: NDArray[Any]) -> RegisterOps:
        """Return some operations of one key: a mask, or places in ascending order."""
        return self._with(at)

    def _with(self, at: Any) -> RegisterOps:
        row, kind, value = self.row[at], self.kind[at], self.value[at]
        return RegisterOps(np.array([0, len(row)]), row, kind, value, self.old[at], self.invoke[at], self.ret[at])


@dataclass(frozen=True)
class Decision:
    """What the kernel found.

    Attributes:
        ops: of all keys.
        codes: for each key VALID, INVALID or INELIGIBLE.
        proofs: int32[keys, 4], events that prove an INVALID key.
    """

    ops: RegisterOps
    codes: NDArray[np.int8]
    proofs: Ids

    def keys(self, code: int) -> list[int]:
        """Return the numbers of the keys with this code, of those with any operation that says something."""
        numbers: list[int] = np.flatnonzero((self.codes == code) & self._said).tolist()
        return numbers

    @cached_property
    def _said(self) -> NDArray[np.bool_]:
        return np.diff(self.ops.offsets) > 0


def is_register(model: Model) -> bool:
    """Say whether a model is one of those that `decide` knows."""
    return model.interpret in (interpret_register, interpret_comparing_register)


def decide(history: History, model: Model) -> Decision:
    """Decide every key whose written values are distinct.

    Raises:
        HistoryError: the value of a cas is not [old, new].
    """
    columns = history.columns
    kind_of_f = np.array([_KINDS[f] for f in columns.fs], np.int8)
    bad, arrays = register_columns.read(columns, kind_of_f, model.interpret is interpret_comparing_register)
    if bad >= 0:
        try:
            model.interpret(history.invocation(bad), history.completion(bad))
        except HistoryError as error:
            raise HistoryError(f"{history.source}: {error.message}", error.hint) from error
        raise AssertionError("the kernel found a value malformed that the model can read")
    ops = RegisterOps(*arrays)
    threads = 1 if len(ops.row) < _ALONE_BELOW else max(1, min(len(columns.keys), len(os.sched_getaffinity(0))))
    codes, proofs = _decide(ops, len(columns.values), threads)
    return Decision(ops, codes, proofs)


def _decide(ops: RegisterOps, values: int, threads: int = 1) -> tuple[NDArray[np.int8], Ids]:
    codes, proofs = unique_register.decide((ops.offsets, *ops[2:]), values, threads)
    return codes, proofs


def witness(decision: Decision, key: int) -> list[int]:
    """Return the rows, in the columns, of operations that prove an INVALID key, none of them in vain, by invocation.

    The kernel's events name a proof of at most four operations; the writers of their values are tried in their place,
    all subsets at once where that is not too many.
    """
    ops = decision.ops.of_key(key)
    events = decision.proofs[key]
    events = events[events >= 0]
    proof = np.flatnonzero(_is_any(ops.invoke, events) | _is_any(ops.ret, events)).tolist()
    if ops.kind[proof[0]] == register_columns.REFUTED:  # it contradicts itself, whoever wrote what, or wrote it twice
        return [int(row) for row in ops.row[proof]]
    writer_of = _writers(ops)
    tried = {*proof, *(int(writer_of[value]) for value in ops.value[proof])} - {-1}
    tried -= {place for place in tried if ops.ret[place] == NEVER}
    chosen = sorted(_with_sources(ops, tried, writer_of))
    small = _compact(ops.pick(np.array(chosen)))
    written = (small.kind == WRITE) | (small.kind == CAS)
    known = np.array([place in tried for place in chosen])
    reads, writes = np.flatnonzero(known & ~written), np.flatnonzero(known & written)
    members = [*reads.tolist(), *writes.tolist()]
    if len(small.row) << len(members) <= _AT_ONCE:
        subsets = _subsets(len(members))
        proving = _proving(small, written, members, subsets)
        kept = [members[at] for at in np.flatnonzero(subsets[int(proving.argmax())]).tolist()]
    else:

        def proves(kept: Sequence[int]) -> bool:
            return bool(_proving(small, written, kept, np.ones((1, len(kept)), bool))[0])

        kept = shrink(members, proves, lambda: False)
    rows: list[int] = small.row[sorted(kept)].tolist()
    return rows


@cache
def _subsets(members: int) -> NDArray[np.bool_]:
    """Return every subset of so many members, a row for each: smaller ones first, then those of later members."""
    numbers = np.arange(1 << members)[::-1, np.newaxis]
    found: NDArray[np.bool_] = (numbers >> np.arange(members)) % 2 == 1
    smallest_first: NDArray[np.bool_] = found[np.argsort(found.sum(axis=1), kind="stable")]
    return smallest_first


def _proving(
    ops: RegisterOps, written: NDArray[np.bool_], members: Sequence[int], subsets: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Say which subsets of the members prove an anomaly: each is a key, with all else that wrote of unknown outcome."""
    certain = np.zeros((len(subsets), len(ops.row)), bool)
    certain[:, members] = subsets
    subset, at = np.nonzero(certain | written)
    picked = ops.pick(at)
    weaker = picked._replace(
        offsets=np.searchsorted(subset, np.arange(len(subsets) + 1)),
        ret=np.where(certain[subset, at], picked.ret, np.int32(NEVER)),
    )
    codes, _ = _decide(weaker, 1 + max(int(ops.value.max()), int(ops.old.max())))
    proving: NDArray[np.bool_] = codes == INVALID
    return proving


def _is_any(column: Ids, few: Ids) -> NDArray[np.bool_]:
    """Say which of a column are one of a few numbers: a comparison for each is much faster than np.isin."""
    found = np.zeros(len(column), bool)
    for number in few.tolist():
        found |= column == number
    return found


def _among(ids: Ids, some: Ids) -> NDArray[np.bool_]:
    """Say which of `ids` are among `some`; by a table, which is faster than any sorting."""
    wanted = np.zeros(1 + int(max(ids.max(initial=0), some.max(initial=0))), bool)
    wanted[some[some >= 0]] = True
    return wanted[ids] & (ids >= 0)


def _writers(ops: RegisterOps) -> NDArray[np.intp]:
    """Return where the writer of each value is, -1 for none."""
    writes = np.flatnonzero((ops.kind == WRITE) | (ops.kind == CAS))
    places = np.full(1 + int(max(ops.value.max(), ops.old.max())), -1, np.intp)
    places[ops.value[writes]] = writes
    return places


def _with_sources(ops: RegisterOps, places: Iterable[int], writer_of: NDArray[np.intp]) -> set[int]:
    """Return some operations, and all that wrote their values, or the values that those replaced, and so on."""
    found = set(places)
    for value in [*ops.value[sorted(found)].tolist(), *ops.old[sorted(found)].tolist()]:
        place = int(writer_of[value]) if value >= 0 else -1
        while place >= 0 and place not in found:
            found.add(place)
            place = int(writer_of[ops.old[place]]) if ops.kind[place] == CAS else -1
    return found


def _compact(ops: RegisterOps) -> RegisterOps:
    """Number the values anew, from 0 for the initial one, so that the kernel needs no room for others."""
    numbers = np.unique(np.concatenate(([0], ops.value, ops.old[ops.old >= 0])))
    old = np.where(ops.old >= 0, np.searchsorted(numbers, ops.old), -1).astype(np.int32)
    return ops._replace(value=np.searchsorted(numbers, ops.value).astype(np.int32), old=old)


def touching(history: History, decision: Decision, key: int, rows: Sequence[int]) -> Operations:
    """Return those operations on a key that have to do with a value of the operations in `rows`."""
    ops = decision.ops.of_key(key)
    chosen = np.searchsorted(ops.row, rows)
    values = np.concatenate((ops.value[chosen], ops.old[chosen]))
    return operations(history, ops.pick(_among(ops.value, values) | _among(ops.old, values)))


def operations(history: History, ops: RegisterOps) -> Operations:
    """Return operations on one key as the forward engine sees them: a failed cas that observed something is a read."""
    kinds, kind = _numbered(history, *(column.astype(np.int64) for column in (ops.kind, ops.value, ops.old)))
    ret = np.where(ops.ret == NEVER, NEVER_COMPLETES, ops.ret.astype(np.int64))
    return Operations(kinds, kind, ops.invoke.astype(np.int64), ret, ops.row.astype(np.int64))


def encoded(history: History, ops: RegisterOps, keys: Sequence[int]) -> Encoded:
    """Number the operations on some keys for the forward engine, without an object for each.

    Operations of unknown outcome that nobody can see are left out, as checkers.models.useful_until_register says.
    """
    parts = [_useful(ops.of_key(key)) for key in keys]
    chosen = [part for part, _ in parts]
    kinds, kind = _numbered(history, *(_joined(chosen, name) for name in ("kind", "value", "old")))
    ret = _joined(chosen, "ret")
    return Encoded(
        kinds=kinds,
        kind=kind,
        invoke=_joined(chosen, "invoke"),
        ret=np.where(ret == NEVER, NEVER_COMPLETES, ret),
        useful=np.concatenate([np.empty(0, np.int64), *(useful for _, useful in parts)]),
        offsets=np.cumsum([0, *(len(part.row) for part in chosen)], dtype=np.int64),
    )


def _numbered(
    history: History, kind: NDArray[np.int64], value: NDArray[np.int64], old: NDArray[np.int64]
) -> tuple[list[ModelOp], NDArray[np.int32]]:
    """Return the different operations, and which of them each is."""
    values = history.columns.values
    span = len(values) + 1
    names, numbers = np.unique((kind * span + value) * span + old + 1, return_inverse=True)
    kinds = [_model_op(name // span // span, name // span % span, name % span - 1, values) for name in names.tolist()]
    return kinds, numbers.astype(np.int32)


def _joined(parts: Sequence[RegisterOps], name: str) -> NDArray[np.int64]:
    columns = [getattr(part, name) for part in parts]
    return np.concatenate([np.empty(0, np.int64), *columns]).astype(np.int64)


def _model_op(kind: int, value: int, old: int, values: Sequence[Any]) -> ModelOp:
    this = freeze(values[value])
    if kind == CAS:
        return ModelOp("cas", (freeze(values[old]), this))
    if kind == register_columns.NOT:
        return ModelOp(FAILED_CAS, (this, UNSET))
    if kind == register_columns.REFUTED:
        return ModelOp(FAILED_CAS, (this, this))
    return ModelOp("write" if kind == WRITE else "read", this)


def _useful(ops: RegisterOps) -> tuple[RegisterOps, NDArray[np.int64]]:
    """Leave out what is of no use on one key; return the rest, and the last row at which each can be of use."""
    unknown = ops.ret == NEVER
    if not unknown.any():
        return ops, np.full(len(ops.row), NEVER_COMPLETES)
    small = _compact(ops)
    until = np.full(1 + int(max(small.value.max(), small.old.max())), -1, np.int64)
    for kind, seen in ((register_columns.READ, small.value), (CAS, small.old)):
        certain = (ops.kind == kind) & ~unknown
        np.maximum.at(until, seen[certain], ops.ret[certain])
    unseen = np.full(len(until), -1, np.int64)
    nots = ops.kind == register_columns.NOT
    np.maximum.at(unseen, small.value[nots], ops.ret[nots])
    for old in np.argsort(-unseen, kind="stable")[:2].tolist():  # of two different values, one is not the written one
        others = np.arange(len(until)) != old
        until[others] = np.maximum(until[others], unseen[old])
    chained = unknown & (ops.kind == CAS)
    links = list(zip(small.old[chained].tolist(), small.value[chained].tolist(), strict=True))
    changed = bool(links)
    while changed:
        changed = False
        for old, new in links:
            if until[new] > until[old]:
                until[old] = until[new]
                changed = True
    useful = until[small.value]
    kept = ~unknown | (useful > ops.invoke)
    return ops.pick(kept), useful[kept]


__all__ = [
    "ENGINE", "INELIGIBLE", "INVALID", "VALID", "Decision", "RegisterOps", "decide", "encoded", "is_register",
    "operations", "touching", "witness",
]  # fmt: skip
