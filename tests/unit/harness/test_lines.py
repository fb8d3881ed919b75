"""The scan of history.jsonl, compiled and plain, gives what the general way gives, or nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from harness.columns import ABSENT, Columns, pair
from harness.errors import HistoryError
from harness.history import History
from harness.lines import Lines, decoded, scanned
from harness.op import Op, freeze
from tests import kernel_forms

PLAIN_VALUES = [None, True, False, 0, 1, -1, 10**18 - 1, "", "a", "1", "null", [0, 1], [None, True], ["x", -7], [1, 1]]
OTHER_VALUES = [
    1.0,
    0.5,
    -0.0,
    10**18,
    -(10**30),
    1e300,
    "é",
    "a\n",
    'q"',
    "\\",
    [],
    [1],
    [1, 2, 3],
    [[1, 1], 1.0],
    [[0, 1], None],
]
OTHER_VALUES += [{}, {"a": 1, "b": [2]}, {"b": [2.0], "a": 1}, [{"]": "["}, "}"], [[], []], [1.0, 1], ["a", "A\u0000"]]
ERRORS = [None, "timeout", 'a "quote" and \\', "héllo", "tab\t"]


def lines(events: list[Op]) -> bytes:
    """Return the events as the recorder writes them."""
    return b"".join(msgspec.json.encode(event) + b"\n" for event in events)


def random_events(rng: random.Random, length: int, values: Sequence[Any] = PLAIN_VALUES) -> list[Op]:
    """Return events of a few clients, the nemesis and a node, that pair."""
    events: list[Op] = []
    idle, open_calls, fresh = list(range(-1, 4)), [], 10**9
    for _ in range(length):
        at = len(events)
        if rng.random() < 0.1:
            process, value = rng.choice([("nemesis", {"kind": "pause"}), ("status:n1", [1, {"x": []}])])
            events.append(Op(at, at, process, "invoke", "inject", key=0, value=value))
        elif idle and rng.random() < 0.6:
            process = idle.pop(rng.randrange(len(idle)))
            node, f = rng.choice([None, "n1", "n2"]), rng.choice(["read", "cas", "write"])
            call = Op(at, at, process, "invoke", f, node, rng.choice(PLAIN_VALUES[:11]), rng.choice(values))
            open_calls.append(call)
            events.append(call)
        elif open_calls:
            call = open_calls.pop(rng.randrange(len(open_calls)))
            kind: Any = rng.choice(["ok", "fail", "info"])
            observed = rng.choice([msgspec.UNSET, *values])
            result = {"index": at, "type": kind, "value": rng.choice(values), "observed": observed}
            events.append(msgspec.structs.replace(call, **result, error=rng.choice(ERRORS)))
            idle.append(fresh if kind == "info" else int(call.process))
            fresh += 1
    return events


def meaning(columns: Columns) -> list[Any]:
    """Return the columns with values in place of ids."""

    def values(ids: Any) -> list[Any]:
        return ["absent" if number == ABSENT else freeze(columns.values[number]) for number in ids.tolist()]

    rows = [columns.invoke, columns.complete, columns.outcome, columns.process, columns.f]
    ids = [columns.value, columns.result, columns.observed, columns.old, columns.new]
    keys = [freeze(columns.keys[number]) for number in columns.key.tolist()]
    return [*(column.tolist() for column in rows), *map(values, ids), keys, columns.fs, len(columns.keys)]


def kernel(form: str) -> Any:
    """Return the scan in one of its forms."""
    return kernel_forms.load("scan", form, "harness._kernels")


@pytest.mark.parametrize("form", kernel_forms.FORMS)
@pytest.mark.parametrize("values", [PLAIN_VALUES, PLAIN_VALUES + OTHER_VALUES], ids=["plain", "all"])
@pytest.mark.parametrize("seed", range(20))
def test_the_scan_reads_what_the_general_way_reads(seed: int, values: list[Any], form: str) -> None:
    """Events, columns and the nemesis's events are the same, and equal values have equal ids."""
    events = random_events(random.Random(seed), 300, values)
    data = lines(events)
    found = scanned(data, len(data), kernel(form))
    assert found is not None
    read, columns = found
    assert read == events
    assert [read[at] for at in range(-len(events), len(events))] == events * 2
    assert read[3:-3:7] == events[3:-3:7]
    assert list(read.strangers()) == [event for event in events if isinstance(event.process, str)]
    general = pair(events, "general")
    assert meaning(columns) == meaning(general)
    assert [column.dtype for column in _arrays(columns)] == [column.dtype for column in _arrays(general)]
    names = [freeze(value) for value in columns.values]
    assert len(set(names)) == len(names), "a value has one id"
    assert columns.values[0] is None
    assert list(columns.values[:3]) == [columns.values[at] for at in range(3)]


def _arrays(columns: Columns) -> list[Any]:
    every = [getattr(part, each.name) for part in (columns, columns.numbers) for each in fields(part)]
    return [item for item in every if isinstance(item, np.ndarray)]


def test_a_scan_of_many_values_makes_room() -> None:
    """More values, keys, processes and names than there is room for at first."""
    events = []
    for number in range(0, 40_000, 2):
        call = Op(number, 0, number, "invoke", f"f{number % 7}", key=f"k{number}", value=[number, str(number)])
        events += [call, msgspec.structs.replace(call, index=number + 1, type="info")]
    data = lines(events)
    found = scanned(data, len(data))
    assert found is not None
    assert meaning(found[1]) == meaning(pair(events, "general"))


@pytest.mark.parametrize("form", kernel_forms.FORMS)
def test_what_is_mostly_lists_is_decoded_at_once(form: str) -> None:
    """The events are kept as they are, and the columns are those of the general way; damage is left to that."""
    lists = [[number, *range(100)] for number in range(300)]
    events = random_events(random.Random(1), 300, [*lists, 1.0, 1, None, [0, 1]])
    data = lines(events)
    found = scanned(data, len(data), kernel(form))
    assert found is not None
    read, columns = found
    assert read[7] is read[7], "decoded once"
    assert read == events
    assert meaning(columns) == meaning(pair(events, "general"))
    names = [freeze(value) for value in columns.values]
    assert len(set(names)) == len(names), "a value has one id"
    damaged = data.replace(b",98,99]", b",098,99]", 1)
    assert damaged != data
    assert scanned(damaged, len(damaged), kernel(form)) is None


@pytest.mark.parametrize("form", kernel_forms.FORMS)
@pytest.mark.parametrize(
    "line",
    [
        b'{"index":0,"time":0,"process":1,"type":"invoke","f":"read","key":1.5}',
        b'{"index":0,"time":0,"process":1,"type":"invoke","f":"read","key":[1,2]}',
        '{"index":0,"time":0,"process":1,"type":"invoke","f":"read","key":"é"}'.encode(),
        b'{"index":0,"time":0,"process":1,"type":"invoke","f":"re\\u0061d"}',
        b'{"index":0,"time":1234567890123456789,"process":1,"type":"invoke","f":"read"}',
        b'{"index":0,"time":0,"process":1,"type":"invoke","f":"read","value":"a","value":"b"}',
        b'{"index":0,"time":0,"process":"n","process":1,"type":"invoke","f":"read"}',
        b'{"index":0,"time":0,"process":1,"type":"invoke","f":"read","more":1}',
        b'{"index":0,"time":0,"process":"n","type":"ok","f":"x"}{"index":1,"time":0,"process":1,"type":"invoke","f":"read"}',
        b"",
    ],
)
def test_other_lines_go_the_general_way(line: bytes, form: str, tmp_path: Path) -> None:
    """A good line of another shape is not for the scan, and read all the same."""
    data = line + b"\n" + lines([Op(1, 1, 7, "invoke", "read")])
    assert scanned(data, len(data), kernel(form)) is None
    (tmp_path / "history.jsonl").write_bytes(data)
    history = History.load(tmp_path / "history.jsonl")
    assert not isinstance(history.events, Lines)
    assert len(history.columns) == (2 if line else 1)


def spelled_anew(events: list[Op], rng: random.Random) -> bytes:
    """Return the events as other tools write them: members in any order, blanks, nulls that say nothing."""
    written = []
    for event in events:
        members = list(msgspec.to_builtins(event).items())
        members += [(name, None) for name in ("node", "error") if rng.random() < 0.2 and name not in dict(members)]
        rng.shuffle(members)
        colon, comma = rng.choice([(":", ","), (": ", ", "), (" :\t", " ,")])
        text = comma.join(
            f'"{name}"{colon}{json.dumps(value, ensure_ascii=rng.random() < 0.5, separators=(comma, colon))}'
            for name, value in members
        )
        written.append(rng.choice(["{%s}\n", " { %s } \n", "{%s}\r\n"]) % text)
    return "".join(written).encode()


@pytest.mark.parametrize("form", kernel_forms.FORMS)
@pytest.mark.parametrize("seed", range(20))
def test_other_spellings_mean_the_same(seed: int, form: str) -> None:
    """Members in another order, and with blanks between them, are read by the scan, into the same columns."""
    rng = random.Random(seed)
    events = random_events(rng, 200, PLAIN_VALUES + OTHER_VALUES)
    data = spelled_anew(events, rng)
    found = scanned(data, len(data), kernel(form))
    assert found is not None
    assert found[0] == events
    assert meaning(found[1]) == meaning(pair(events, "general"))


@pytest.mark.parametrize("form", kernel_forms.FORMS)
@pytest.mark.parametrize("seed", range(60))
def test_damage_is_never_read(seed: int, form: str) -> None:
    """One byte changed, lost or added: the scan reads what the general way reads, or leaves it to that."""
    rng = random.Random(seed)
    events = random_events(rng, 12, PLAIN_VALUES + OTHER_VALUES * (seed % 3))
    whole = spelled_anew(events, rng) if seed % 2 else lines(events)
    for _ in range(60):
        at, byte = rng.randrange(len(whole) - 1), bytes([rng.choice(b'\x00\n "\\,:{}[]01-.ae\xc3\xff')])
        data = whole[:at] + rng.choice([byte, b"", byte + whole[at : at + 1]]) + whole[at + 1 :]
        found = scanned(data, len(data), kernel(form))
        if found is None:
            continue
        read, columns = found
        events = decoded(data, Path("damaged"))
        assert read == events
        assert meaning(columns) == meaning(pair(events, "damaged"))


@pytest.mark.parametrize("form", kernel_forms.FORMS)
@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        (["ok"], "read of process 1 is ok without an invocation"),
        (["invoke", "invoke"], "is invoked while another operation of this process is open"),
        (["invoke", "ok", "fail"], "is fail without an invocation"),
    ],
)
def test_events_that_do_not_pair_are_named(kinds: list[Any], reason: str, form: str, tmp_path: Path) -> None:
    """The scan leaves the error to the general way, which names the event and its line."""
    data = lines([Op(at, at, 1, kind, "read") for at, kind in enumerate(kinds)])
    assert scanned(data, len(data), kernel(form)) is None
    (tmp_path / "history.jsonl").write_bytes(data)
    with pytest.raises(HistoryError, match=rf"event {len(kinds) - 1} \(line {len(kinds)}\): .*{reason}"):
        _ = History.load(tmp_path / "history.jsonl").columns
