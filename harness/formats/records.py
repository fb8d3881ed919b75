"""From the operations that other tools record to a History, in the reading of the tool that recorded them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from msgspec import UNSET

from harness.errors import HistoryError
from harness.history import History
from harness.op import EventType, Op

HINT: Final = "docs/how-to-import.md shows what each format looks like"
_TYPES: Final = ("invoke", "ok", "fail", "info")
_APART_NS: Final = 1_000_000  # between events of a file without times


@dataclass(frozen=True, slots=True)
class Reading:
    """What a tool means by its records, where tools differ.

    Attributes:
        nil_is_unknown: an ok read of nil tells nothing (Knossos); otherwise it saw that nothing had been written.
        failed_cas_compares: a cas fails only because its comparison did (Porcupine's etcd logs); otherwise a failed
            one says nothing of the value (Knossos).
        keyed: values are [key value]; None: to be seen from their shape.
    """

    nil_is_unknown: bool = False
    failed_cas_compares: bool = False
    keyed: bool | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """A history of another tool.

    Attributes:
        history: in the terms of this one.
        format: what it was read as.
        comparing: its failed cas are failed comparisons (checkers.models.COMPARING_CAS_REGISTER).
        model: the one that the format itself implies, or "".
        remarks: what a reader of the verdict should know.
    """

    history: History
    format: str
    comparing: bool = False
    model: str = ""
    remarks: tuple[str, ...] = ()


class Record(NamedTuple):
    """One event as a file tells it, its values as JSON.

    Attributes:
        line: where it stands, from 1.
        process: an integer for a client, text for anything else.
        type: as it is written; checked in `imported`.
        f: "" where there is none.
        key: UNSET where the format leaves keys to the value, as Jepsen's independent tuples.
        observed: what it saw, where that is told apart from the value.
        number, time_ns: its index and its time; None where the file has none.
    """

    line: int
    process: int | str
    type: str
    f: str
    value: Any
    key: Any = UNSET
    observed: Any = UNSET
    error: str | None = None
    number: int | None = None
    time_ns: int | None = None


class Place(NamedTuple):
    """Where something is wrong: a file, and a line of it."""

    path: str
    line: int

    def error(self, reason: str, hint: str = HINT) -> HistoryError:
        """Return the error that names the file, the line and the reason."""
        return HistoryError(f"{self.path}:{self.line}: {reason}", hint)


def imported(records: Sequence[Record], path: str, reading: Reading, name: str) -> Imported:
    """Pair what a file tells, and return it as a History.

    Args:
        records: in the order of the file.
        path: for messages.
        reading: of the tool that wrote it.
        name: the format's.

    Raises:
        HistoryError: there is nothing, or a record contradicts another.
    """
    if not records:
        raise HistoryError(f"{path}: no operation in it, read as {name}", HINT)
    keyed = _look_keyed(records) if reading.keyed is None else reading.keyed
    indexed = _strictly_growing([record.number for record in records])
    timed = all(record.time_ns is not None for record in records)
    read: dict[int, Record] = {at: record for at, record in enumerate(records) if type(record.process) is not int}
    for invoked, completed in _pairs(records, path):
        invocation = records[invoked]
        completion = records[completed] if completed >= 0 else None
        if keyed:
            invocation, completion = _unwrapped(invocation, completion, path)
        if completion is not None:
            invocation, completion = _completed(invocation, completion, reading)
            if reading.failed_cas_compares and not _is_evidence(invocation, completion):
                continue
            read[completed] = completion
        if invocation.f == "cas" and not _is_pair(invocation.value):
            reason = f"the value of a cas is {invocation.value!r} and not [old new]"
            raise Place(path, invocation.line).error(reason)
        read[invoked] = invocation
    events = [_op(read[at], at, indexed, timed) for at in sorted(read)]
    remarks = () if timed else ("the file has no times: its events are shown one millisecond apart",)
    return Imported(History(events, path), name, comparing=reading.failed_cas_compares, remarks=remarks)


def _pairs(records: Sequence[Record], path: str) -> Iterator[tuple[int, int]]:
    """Yield the clients' operations: positions of invocation and completion, -1 where there is none.

    Raises:
        HistoryError: a completion without its invocation, or two operations of a process at once.
    """
    running: dict[int | str, int] = {}
    for at, record in enumerate(records):
        process = record.process
        if record.type not in _TYPES:
            raise Place(path, record.line).error(f"the type {record.type} is none of {', '.join(_TYPES)}")
        if type(process) is not int:
            continue
        if not record.f:
            raise Place(path, record.line).error("the operation has no name (:f)")
        if record.type == "invoke":
            if process in running:
                before = records[running[process]].line
                reason = f"process {process} invokes {record.f} while its operation of line {before} is open"
                raise Place(path, record.line).error(reason, "was the file edited, or joined from two runs?")
            running[process] = at
            continue
        invoked = running.pop(process, None)
        if invoked is None or records[invoked].f != record.f:
            reason = f"{record.f} of process {process} is {record.type}, but was never invoked"
            raise Place(path, record.line).error(reason, "is the beginning of the file missing?")
        yield invoked, at
    yield from ((at, -1) for at in running.values())


def _completed(invocation: Record, completion: Record, reading: Reading) -> tuple[Record, Record]:
    """Return both ends of an operation in the tool's reading."""
    f, value = invocation.f, completion.value
    if completion.type == "ok":
        if f == "read" and reading.nil_is_unknown and value is None:
            return invocation, completion._replace(type="info", error="nil: the read is unknown")
        if value != invocation.value and (f == "write" or (f == "cas" and _is_pair(value))) and value is not None:
            # As knossos.history/complete has it: what was written is what the completion says.
            return invocation._replace(value=value), completion
    return invocation, completion


def _is_evidence(invocation: Record, completion: Record) -> bool:
    """Whether an operation may stay in a history whose failed cas are all taken for failed comparisons."""
    if completion.type != "fail" or completion.f != "cas" or completion.observed is not UNSET:
        return True
    return bool(completion.value == invocation.value) and completion.error is None


def _is_pair(value: Any) -> bool:
    return type(value) is list and len(value) == 2


def _look_keyed(records: Sequence[Record]) -> bool:
    """Whether values are the [key value] tuples of jepsen.independent.

    They are vectors like any other, so all invocations must have that shape, and one an operation that, unkeyed, it
    could not be: [k nil] of what is asked for nothing, or a cas [k [old new]].
    """
    evidence = False
    for record in records:
        if record.type != "invoke" or type(record.process) is not int:
            continue
        value = record.value
        if record.key is not UNSET or not _is_pair(value):
            return False
        if record.f == "cas":
            if not _is_pair(value[1]):
                return False
            evidence = True
        evidence = evidence or (record.f != "write" and value[1] is None)
    return evidence


def _strictly_growing(indexes: Sequence[int | None]) -> bool:
    last = -1
    for index in indexes:
        if index is None or index <= last:
            return False
        last = index
    return True


def _unwrapped(invocation: Record, completion: Record | None, path: str) -> tuple[Record, Record | None]:
    """Take the key out of an operation's [key value]."""
    if not _is_pair(invocation.value):
        reason = f"the value of an operation is {invocation.value!r} and not [key value]"
        raise Place(path, invocation.line).error(reason)
    key, value = invocation.value
    invocation = invocation._replace(key=key, value=value)
    if completion is None:
        return invocation, None
    if _is_pair(completion.value) and completion.value[0] == key:
        return invocation, completion._replace(key=key, value=completion.value[1])
    if completion.type == "ok":
        reason = f"the value of an operation on key {key!r} is {completion.value!r} and not [key value]"
        raise Place(path, completion.line).error(reason)
    return invocation, completion._replace(key=key, value=None)


def _op(record: Record, at: int, indexed: bool, timed: bool) -> Op:
    return Op(
        index=cast(int, record.number) if indexed else at,
        time=cast(int, record.time_ns) if timed else at * _APART_NS,
        process=record.process,
        type=cast(EventType, record.type),
        f=record.f,
        key=None if record.key is UNSET else record.key,
        value=record.value,
        observed=record.observed,
        error=record.error,
    )
