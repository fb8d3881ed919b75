"""Histories: read back from disk, whole, cut off or damaged; paired into columns; folded into faults."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HistoryError
from harness.history import FAIL, INFO, NEVER, OK, FaultWindow, History, HistoryWarning
from harness.op import NEMESIS, Op

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def op(index: int, process: int | str, kind: Any, f: str = "read", **more: Any) -> Op:
    """An event at `index` milliseconds."""
    return Op(index, index * 1_000_000, process, kind, f, **more)


def written(folder: Path, *lines: bytes | Op, end: bytes = b"\n") -> Path:
    """A history file of these lines."""
    path = folder / "history.jsonl"
    encoded = [line if isinstance(line, bytes) else msgspec.json.encode(line) for line in lines]
    path.write_bytes(b"\n".join(encoded) + end)
    return path


GOOD = [op(0, 0, "invoke", key="k"), op(1, 0, "ok", key="k", value="é")]


@given(st.lists(st.tuples(json_values, json_values, json_values, st.none() | st.text(max_size=3)), min_size=1))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, events: list[tuple[Any, Any, Any, Any]]) -> None:
    """What was written is read back, any JSON in any place."""
    ops = [
        op(number, number, "fail", key=key, value=value, observed=observed, error=error)
        for number, (key, value, observed, error) in enumerate(events)
    ]
    path = written(tmp_path_factory.mktemp("round"), *ops)
    assert History.load(path).events == ops


def test_an_unset_observed_is_told_from_null(tmp_path: Path) -> None:
    """A failed cas that observed null is not one that observed nothing."""
    nothing, null = op(0, 0, "fail"), op(1, 1, "fail", observed=None)
    read = History.load(written(tmp_path, nothing, null)).events
    assert read[0].observed is msgspec.UNSET
    assert read[1].observed is None


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_half_written_last_line_is_left_out(tmp_path: Path, cut: int) -> None:
    """Wherever a kill cut the last line, also in the middle of a letter, the lines before it are the history."""
    last = msgspec.json.encode(GOOD[1])
    path = written(tmp_path, GOOD[0], last[: min(cut, len(last) - 1)], end=b"")
    with pytest.warns(HistoryWarning, match="the last line is half-written"):
        assert History.load(path).events == GOOD[:1]


def test_a_last_line_without_its_newline_counts(tmp_path: Path) -> None:
    """A whole line is an event, also where only the newline is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert History.load(written(tmp_path, *GOOD, end=b"")).events == GOOD


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"index": 2, "time"', "truncated"),
        (b"\xff\xfe\x00", "malformed"),
        (b'{"index":2,"time":2,"process":0,"type":"ok","f":"\xff"}', "can't decode byte 0xff"),
        (b'{"index":2,"time":2,"process":0,"type":"done","f":"read"}', "type"),
        (b'{"index":2,"time":2,"process":1.5,"type":"ok","f":"read"}', "process"),
        (b'{"index":2,"process":0,"type":"ok","f":"read"}', "time"),
        (b'{"index":2,"time":2,"process":0,"type":"ok","f":"read","value":' + b"[" * 99_999 + b"]" * 99_999 + b"}",
         "recursion"),
        (b"null", "null"),
        (b"not json", "malformed"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [2, 20_000])
def test_a_corrupt_line_is_named(tmp_path: Path, line: bytes, reason: str, before: int) -> None:
    """The error names the file, the line and the reason, at the beginning of a file and far into it."""
    path = written(tmp_path, *GOOD[:1] * before, line, *GOOD)
    with pytest.raises(HistoryError) as caught:
        History.load(path)
    assert caught.value.message.startswith(f"{path}:{before + 1}: not an event of a history")
    assert reason in caught.value.message
    assert caught.value.exit_code == 2
    assert caught.value.hint


@pytest.mark.parametrize("data", [b"", b"\n", b"\n\n\n", b"  "])
def test_an_empty_history_is_an_error(tmp_path: Path, data: bytes) -> None:
    """Nothing recorded is no history to judge."""
    (tmp_path / "history.jsonl").write_bytes(data)
    with pytest.raises(HistoryError, match="no event in it"):
        History.load(tmp_path / "history.jsonl")


def test_a_history_of_half_a_line_is_an_error(tmp_path: Path) -> None:
    """Where the only line is half-written, nothing is left."""
    with pytest.warns(HistoryWarning), pytest.raises(HistoryError, match="no event in it"):
        History.load(written(tmp_path, b'{"index":0', end=b""))


@pytest.mark.parametrize("name", [".", "missing.jsonl"])
def test_a_path_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    """A folder or a missing file is a HistoryError with a hint."""
    with pytest.raises(HistoryError) as caught:
        History.load(tmp_path / name)
    assert caught.value.hint


def test_a_huge_line_is_read(tmp_path: Path) -> None:
    """A value of many megabytes is a value like any other."""
    big = op(2, 1, "ok", value="x" * (8 << 20))
    assert History.load(written(tmp_path, *GOOD, big, *GOOD)).events[2] == big


def test_blank_lines_are_nothing(tmp_path: Path) -> None:
    """Blank lines between events are skipped."""
    assert History.load(written(tmp_path, GOOD[0], b"", GOOD[1], b"")).events == GOOD


def test_columns_pair_invocations_with_completions() -> None:
    """One row an operation, in the order of the invocations; what never completed is INFO."""
    events = [
        op(0, 0, "invoke", "write", key="a"),
        op(1, 1, "invoke", "read", key="b"),
        op(2, "nemesis", "invoke", "inject", key=0, value={"kind": "pause"}),
        op(3, 1, "fail", "read", key="b"),
        op(4, 0, "ok", "write", key="a"),
        op(5, 1, "invoke", "read", key="a"),
        op(6, 0, "invoke", "read", key="b"),
        op(7, 0, "info", "read", key="b"),
    ]
    history = History(events)
    columns = history.columns
    assert columns.invoke.tolist() == [0, 1, 5, 6]
    assert columns.complete.tolist() == [4, 3, NEVER, 7]
    assert columns.outcome.tolist() == [OK, FAIL, INFO, INFO]
    assert [columns.fs[code] for code in columns.f] == ["write", "read", "read", "read"]
    assert [columns.keys[code] for code in columns.key] == ["a", "b", "a", "b"]
    assert history.completion(2) is None
    assert history.completion(0) is events[4]
    assert history.invocation(3) is events[6]
    assert [(key, rows.tolist()) for key, rows in history.by_key()] == [("a", [0, 2]), ("b", [1, 3])]
    counts = history.counts()
    assert (counts.invoke, counts.ok, counts.fail, counts.info) == (4, 1, 1, 2)


def test_a_part_of_the_operations_is_as_if_there_were_no_others() -> None:
    """Their columns are those of a history without the others, but for the rows of the events."""
    events = [
        op(0, 1, "invoke", "join", key="s1"),
        op(1, 2, "invoke", "write", key="k2", value=5),
        op(2, 1, "ok", "join", key="s1", value=7),
        op(3, 2, "ok", "write", key="k2", value=5),
        op(4, 3, "invoke", "read", key="k1"),
        op(5, 3, "ok", "read", key="k1", value=None),
    ]
    part = History(events).only(("read", "write", "cas"))
    alone = History([each for each in events if each.f != "join"]).columns
    assert (part.columns.fs, list(part.columns.keys)) == (("write", "read"), ["k2", "k1"])
    assert part.columns.invoke.tolist() == [1, 4]
    for name in ("f", "key", "outcome", "process"):
        assert getattr(part.columns, name).tolist() == getattr(alone, name).tolist()
    assert [part.columns.values[value] for value in part.columns.result] == [5, None]
    assert [key for key, _ in part.by_key()] == ["k2", "k1"]
    assert len(History(events).only(("cas",)).columns) == 0


def test_keys_are_told_apart_as_json_does() -> None:
    """1, true, "1" and [1] are four keys; equal lists and objects are one."""
    keys: list[Any] = [1, True, "1", [1], [1], {"a": 1, "b": [2]}, {"b": [2], "a": 1}]
    history = History([op(number, number, "invoke", key=key) for number, key in enumerate(keys)])
    assert [rows.tolist() for _, rows in history.by_key()] == [[0], [1], [2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([op(0, 7, "ok")], "event 0 (line 1): read of process 7 is ok without an invocation"),
        ([op(0, 7, "invoke"), op(1, 7, "invoke")], "is invoked while another operation of this process is open"),
        ([op(0, 7, "invoke", "write"), op(1, 7, "fail", "read")], "read of process 7 is fail without an invocation"),
        ([op(0, 7, "invoke"), op(1, 7, "ok"), op(2, 7, "info")], "event 2 (line 3)"),
    ],
)
def test_events_that_do_not_pair_are_an_error(events: list[Op], message: str) -> None:
    """A completion without invocation, or two open operations of one process, name the event."""
    with pytest.raises(HistoryError) as caught:
        _ = History(events, "h.jsonl").columns
    assert message in caught.value.message
    assert caught.value.message.startswith("h.jsonl")


def nemesis(*steps: tuple[str, str, str | None]) -> tuple[FaultWindow, ...]:
    """The faults of a history in which fault 0 goes through these steps (f, type, error)."""
    events = [
        op(at, NEMESIS, kind, f, key=0, value={"kind": "pause", "step": at}, error=error)
        for at, (f, kind, error) in enumerate(steps)
    ]
    return History(events).faults


INJECT, INJECTED = ("inject", "invoke", None), ("inject", "ok", None)
HEAL, HEALED = ("heal", "invoke", None), ("heal", "ok", None)
NO_EFFECT, NOT_HEALED = ("inject", "info", "no effect"), ("heal", "info", "still on")


@pytest.mark.parametrize(
    ("steps", "active", "ended", "verified", "error"),
    [
        ([INJECT], False, False, False, None),
        ([INJECT, INJECTED], True, False, False, None),
        ([INJECT, INJECTED, HEAL], True, False, False, None),
        ([INJECT, INJECTED, HEAL, HEALED], True, True, True, None),
        ([INJECT, NO_EFFECT], False, False, False, "no effect"),
        ([INJECT, NO_EFFECT, HEAL, HEALED], False, True, False, "no effect"),
        ([INJECT, INJECTED, HEAL, NOT_HEALED], True, True, False, "still on"),
        ([INJECT, INJECTED, HEAL, NOT_HEALED, HEAL, HEALED], True, True, True, "still on"),
    ],
)
def test_faults_are_folded(steps: list[Any], active: bool, ended: bool, verified: bool, error: str | None) -> None:
    """A fault is verified only when inject and heal were; what went wrong stays told."""
    (fault,) = nemesis(*steps)
    assert (fault.fault, fault.kind, fault.inject_ns) == (0, "pause", 0)
    assert (fault.active_ns is not None, fault.end_ns is not None) == (active, ended)
    assert (fault.verified, fault.error) == (verified, error)


def test_faults_hold_what_inject_resolved() -> None:
    """The parameters are those planned, with those of the completion over them."""
    (fault,) = nemesis(INJECT, INJECTED, HEAL, HEALED)
    assert fault.params == {"step": 1}
    assert (fault.active_ns, fault.heal_ns, fault.end_ns) == (1_000_000, 2_000_000, 3_000_000)


def test_a_heal_of_nothing_is_no_fault() -> None:
    """The final heal of what is not on does not make a fault, nor does any other f of the nemesis."""
    assert nemesis(HEAL, HEALED, ("start-partition", "info", None)) == ()


@pytest.mark.parametrize("more", [{"key": 0}, {"key": [1], "value": {"kind": "pause"}}, {"key": 0, "value": [1]},
                                  {"key": True, "value": {"kind": "pause"}},
                                  {"key": 0, "value": {"kind": ["pause"]}}])  # fmt: skip
def test_an_event_of_the_nemesis_without_its_fault_is_an_error(more: dict[str, Any]) -> None:
    """What somebody else's nemesis wrote is a HistoryError, and no crash."""
    with pytest.raises(HistoryError, match="event 0: inject of the nemesis does not tell which fault"):
        _ = History([op(0, NEMESIS, "invoke", "inject", **more)]).faults
