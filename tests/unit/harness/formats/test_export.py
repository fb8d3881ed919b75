"""What is exported is what was recorded: read back, it gets the same verdict."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from harness import check as checking
from harness.errors import ClusterError, UsageError
from harness.formats.detect import load
from harness.formats.edn import Map
from harness.formats.edn_atoms import Keyword, Symbol
from harness.formats.export import export
from harness.formats.records import Imported
from harness.formats.values import to_json
from harness.history import History
from harness.op import Op
from harness.protocols import Checker


def test_what_json_lacks_becomes_text_that_nothing_else_becomes() -> None:
    """A keyword, a symbol and strings that look like them are different values."""
    values = [Keyword("a"), ":a", '":a"', Symbol("a"), "'a", "a", (Keyword("a"),), frozenset({1.5}), 2**70, str(2**70)]
    texts = [to_json(value) for value in values]
    assert texts[:6] == [":a", '":a"', '"\\":a\\""', "'a", '"\'a"', "a"]
    assert len({json.dumps(text) for text in texts}) == len(values)
    assert to_json(Map({Keyword("a"): 1, "a": math.nan, ":a": (2,)})) == {":a": 1, "a": "###NaN", '":a"': [2]}
    assert to_json(Map({1: 2})) == "#{1 2}"


_VALUES = st.sampled_from([None, 0, 1, [0, 1], ":a", '":a"'])


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw a small history of a cas-register: some keys, every outcome, failed cas with and without what they saw."""
    keys: list[Any] = draw(st.sampled_from([[None], ["x", 7], [None, ["y"]]]))
    events: list[Op] = []
    running: dict[int, Op] = {}
    for _ in range(draw(st.integers(1, 12))):
        process = draw(st.integers(0, 2))
        at, time = len(events), 10 * len(events)
        if process not in running:
            f = draw(st.sampled_from(["read", "write", "cas"]))
            value = {"read": None, "write": draw(_VALUES), "cas": [draw(_VALUES), draw(_VALUES)]}[f]
            running[process] = Op(at, time, process, "invoke", f, "n1", draw(st.sampled_from(keys)), value)
            events.append(running[process])
        else:
            call = running.pop(process)
            kind = draw(st.sampled_from(["ok", "ok", "fail", "info"]))
            value = draw(_VALUES) if call.f == "read" and kind == "ok" else call.value
            seen = draw(_VALUES | st.just(UNSET)) if call.f == "cas" and kind == "fail" else UNSET
            error = draw(st.sampled_from([None, "timeout"])) if kind == "info" else None
            events.append(Op(at, time, process, kind, call.f, "n1", call.key, value, seen, error))
    return History(events, "drawn")


def _verdict(source: Imported) -> str:
    checker: Checker = checking.checkers_of(source, "cas-register")[0]
    return checker.check(source.history).status


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(), st.booleans())
def test_the_verdict_survives(tmp_path: Path, history: History, comparing: bool) -> None:
    """Exported to EDN and read back, a history has its keys, and the same verdict in the same reading."""
    path = tmp_path / "history.edn"
    source = Imported(history, "drawn", comparing=comparing)
    export(source, "jepsen-edn", path)
    back = load(path)
    assert _verdict(back) == _verdict(source)
    assert [op.key for op in back.history.events] == [op.key for op in history.events]


def test_jepsens_edn_looks_like_jepsens(tmp_path: Path) -> None:
    """Keys are tuples with the value, the nemesis is a keyword, and what Jepsen does not know comes last."""
    events = [
        Op(0, 5, 3, "invoke", "cas", "n1", "k", [1, 2]),
        Op(1, 6, "nemesis", "info", "inject", None, 0, {"kind": "kill"}),
        Op(2, 7, 3, "fail", "cas", "n1", "k", [1, 2], observed=4, error="no"),
    ]
    path = tmp_path / "history.edn"
    export(Imported(History(events), "jsonl"), "jepsen-edn", path)
    assert path.read_text().splitlines() == [
        "; kingslayer keyed",
        '{:index 0, :time 5, :process 3, :type :invoke, :f :cas, :value ["k" [1 2]], :node "n1"}',
        '{:index 1, :time 6, :process :nemesis, :type :info, :f :inject, :value {"kind" "kill"}, :key 0}',
        '{:index 2, :time 7, :process 3, :type :fail, :f :cas, :value ["k" [1 2]], :observed 4, :node "n1", '
        ':error "no"}',
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["history.edn"]


def test_parquet_without_pyarrow_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyarrow is missing, the error has the line that installs it, and no file is left."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'kingslayer\[parquet\]'"):
        export(Imported(History([]), "jsonl"), "parquet", tmp_path / "history.parquet")
    assert list(tmp_path.iterdir()) == []


def test_parquet_holds_every_event(tmp_path: Path) -> None:
    """The table has one row for each event, with values as JSON."""
    parquet = pytest.importorskip("pyarrow.parquet")
    events = [Op(0, 5, 3, "invoke", "write", "n1", "k", [1, None]), Op(1, 6, "nemesis", "info", "inject")]
    path = tmp_path / "history.parquet"
    export(Imported(History(events), "jsonl"), "parquet", path)
    rows = parquet.read_table(path).to_pylist()
    assert rows[0] == {
        "index": 0, "time_ns": 5, "process": "3", "client": True, "node": "n1", "type": "invoke", "f": "write",
        "key": '"k"', "value": "[1, null]", "observed": None, "error": None,
    }  # fmt: skip
    assert [row["client"] for row in rows] == [True, False]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that is not there is an error with the path; an unknown format one with the names."""
    with pytest.raises(ClusterError, match="No such file"):
        export(Imported(History([]), "jsonl"), "jepsen-edn", tmp_path / "no" / "history.edn")
    with pytest.raises(UsageError, match="jepsen-edn, parquet"):
        export(Imported(History([]), "jsonl"), "csv", tmp_path / "history.csv")
