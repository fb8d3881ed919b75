"""Each format is recognised and read as the tool that wrote it means it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.check import check
from harness.errors import UsageError
from harness.formats.detect import load
from harness.formats.records import Imported
from harness.op import Op


def silent(text: str) -> None:
    """Fail on a warning."""
    raise AssertionError(text)


def imported(folder: Path, text: str, form: str = "auto") -> Imported:
    """Read `text` from a file."""
    path = folder / "history"
    path.write_text(text, encoding="utf-8")
    return load(path, form)


def verdict(folder: Path, text: str, model: str = "cas-register") -> str:
    """Check `text` from a file."""
    path = folder / "history"
    path.write_text(text, encoding="utf-8")
    return check(path, model, 10.0, silent)[0].verdict


def told(op: Op) -> tuple[object, ...]:
    """Return what an event says, without its place."""
    return op.process, op.type, op.f, op.key, op.value


EDN = """
; a comment with } and "
{:process 0, :type :invoke, :f :write, :value "a } \\" {"}
{:process :nemesis, :type :info, :f :start, :value #{"n1" :n2}}
{:process 0, :type :ok,
 :f :write, :value "a } \\" {"
 :ext {:nested [{:x #inst "2020-01-01T00:00:00Z"}]}}
#jepsen.history.Op{:process 1, :type :invoke, :f :read, :value nil}
{:process 1, :type :ok, :f :read, :value "a } \\" {"}
"""


@pytest.mark.parametrize("text", [EDN, f"[{EDN}]", f"({EDN})\n", f"\ufeff{EDN}"])
def test_edn_as_maps_or_in_a_vector(tmp_path: Path, text: str) -> None:
    """One map after the other, a vector and a list of them, over several lines, are the same history."""
    found = imported(tmp_path, text)
    assert found.format == "jepsen-edn"
    assert [told(op) for op in found.history.events] == [
        (0, "invoke", "write", None, 'a } " {'),
        (":nemesis", "info", "start", None, ["n1", ":n2"]),
        (0, "ok", "write", None, 'a } " {'),
        (1, "invoke", "read", None, None),
        (1, "ok", "read", None, 'a } " {'),
    ]
    assert verdict(tmp_path, text) == "valid"


def test_times_and_indexes_are_the_files_own(tmp_path: Path) -> None:
    """Events keep their :index and :time; without times they are a millisecond apart, and that is said."""
    timed = """{:index 3 :time 70 :process 0 :type :invoke :f :write :value 1}
               {:index 9 :time 80 :process 0 :type :ok :f :write :value 1}"""
    found = imported(tmp_path, timed)
    assert [(op.index, op.time) for op in found.history.events] == [(3, 70), (9, 80)]
    assert found.remarks == ()
    untimed = imported(tmp_path, timed.replace(":time 70 ", "").replace(":index 9", ":index 3"))
    assert [(op.index, op.time) for op in untimed.history.events] == [(0, 0), (1, 1_000_000)]
    assert "no times" in untimed.remarks[0]


NIL_READ = "{:process 0 :type :invoke :f :write :value 1}{:process 0 :type :ok :f :write :value 1}" + (
    "{:process 1 :type :invoke :f :read :value nil}{:process 1 :type :ok :f :read :value nil}"
)


def test_a_nil_read_is_unknown_to_knossos_and_not_to_porcupine(tmp_path: Path) -> None:
    """After a write, an ok read of nil tells nothing in EDN, and is a stale read in a log of etcd."""
    assert verdict(tmp_path, NIL_READ) == "valid"
    log = "0\t:invoke\t:write\t1\n0\t:ok\t:write\t1\n1\t:invoke\t:read\tnil\n1\t:ok\t:read\tnil\n"
    assert verdict(tmp_path, log) == "invalid"


def test_a_nil_read_of_our_own_export_is_known(tmp_path: Path) -> None:
    """What kingslayer exported begins with a line that says so, and then a read of nil did see nil."""
    assert verdict(tmp_path, f"; kingslayer\n{NIL_READ}") == "invalid"


def _failed_cas(error: str) -> str:
    return (
        "INFO  jepsen.util - 0\t:invoke\t:write\t1\nINFO  jepsen.util - 0\t:ok\t:write\t1\n"
        f"INFO  jepsen.util - 1\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 1\t:fail\t:cas\t{error}\n"
    )


@pytest.mark.parametrize(
    ("failure", "expected"),
    [("[1 2]", "invalid"), (":timed-out", "valid"), ("[1 2]\tconnection refused", "valid"), ("{oops", "valid")],
)
def test_a_failed_cas_of_a_log_is_a_failed_comparison(tmp_path: Path, failure: str, expected: str) -> None:
    """A cas that failed with its own value did not find `old`; one that failed with a reason tells nothing."""
    assert verdict(tmp_path, _failed_cas(failure)) == expected


def test_a_failed_cas_of_knossos_tells_nothing(tmp_path: Path) -> None:
    """Knossos leaves out whatever failed."""
    text = """{:process 0 :type :invoke :f :write :value 1}{:process 0 :type :ok :f :write :value 1}
              {:process 0 :type :invoke :f :cas :value [1 2]}{:process 0 :type :fail :f :cas :value [1 2]}"""
    assert verdict(tmp_path, text) == "valid"


def test_the_completion_says_what_was_written(tmp_path: Path) -> None:
    """As in Knossos, the value of an ok write or cas is that of its completion, where it has one."""
    text = """{:process 0 :type :invoke :f :write}{:process 0 :type :ok :f :write :value 3}
              {:process 0 :type :invoke :f :cas :value [3 4]}{:process 0 :type :ok :f :cas :value nil}
              {:process 0 :type :invoke :f :read}{:process 0 :type :ok :f :read :value 4}"""
    assert verdict(tmp_path, text) == "valid"


@pytest.mark.parametrize(
    "prefix",
    [
        "INFO  jepsen.util - ",
        "INFO [2015-03-02 12:11:10,123] jepsen worker 3 - jepsen.util ",
        "2023-01-01 12:00:00,123{GMT}\tINFO\t[jepsen worker 3] jepsen.util: ",
        "",
    ],
)
def test_logs_of_every_age(tmp_path: Path, prefix: str) -> None:
    """Operations are found in logs of old and new Jepsens and in history.txt, among lines of others."""
    lines = ["3\t:invoke\t:cas\t[0 1]", "3\t:info\t:cas\t[0 1]\t:timeout", ":nemesis\t:info\t:start\tCut {off", "4 x"]
    text = "INFO  jepsen.core - Everything looks good! 3 :ok\n" + "".join(f"{prefix}{line}\n" for line in lines)
    found = imported(tmp_path, text)
    assert found.format == "jepsen-log"
    assert found.comparing
    assert [told(op) for op in found.history.events] == [
        (3, "invoke", "cas", None, [0, 1]),
        (3, "info", "cas", None, [0, 1]),
        (":nemesis", "info", "start", None, None),
    ]
    assert found.history.events[1].error == ":timeout"


def test_independent_keys(tmp_path: Path) -> None:
    """[key value] tuples of jepsen.independent are split into keys; a register of vectors is not."""
    text = """{:process 0 :type :invoke :f :write :value [:x [1 2]]}{:process 0 :type :ok :f :write :value [:x [1 2]]}
              {:process 1 :type :invoke :f :read :value [7 nil]}{:process 1 :type :ok :f :read :value [7 nil]}
              {:process 2 :type :invoke :f :cas :value [7 [8 9]]}{:process 2 :type :info :f :cas :value :timeout}"""
    assert [told(op) for op in imported(tmp_path, text).history.events] == [
        (0, "invoke", "write", ":x", [1, 2]),
        (0, "ok", "write", ":x", [1, 2]),
        (1, "invoke", "read", 7, None),
        (1, "info", "read", 7, None),
        (2, "invoke", "cas", 7, [8, 9]),
        (2, "info", "cas", 7, None),
    ]
    vectors = text.replace("[7 nil]", "nil").replace("[7 [8 9]]", "[7 8]")
    assert {op.key for op in imported(tmp_path, vectors).history.events} == {None}


KV = """{:process 0, :type :invoke, :f :put, :key "k", :value "a"b}\\"}
{:process 0, :type :ok, :f :put, :key "k", :value "a"b}\\"}
{:process 1, :type :invoke, :f :append, :key "k", :value "c"}
{:process 0, :type :invoke, :f :get, :key "k", :value nil}
{:process 0, :type :ok, :f :get, :key "k", :value "a"b}\\"}
"""


def test_porcupines_text_has_no_escapes(tmp_path: Path) -> None:
    """Values are what stands between the outer quotation marks; the model is the format's own."""
    found = imported(tmp_path, KV)
    assert (found.format, found.model) == ("porcupine-kv", "kv")
    assert [told(op)[3:] for op in found.history.events[:2]] == [("k", 'a"b}\\')] * 2
    assert verdict(tmp_path, KV, "") == "valid"


def test_kv_appends_and_gets(tmp_path: Path) -> None:
    """A get sees every append that returned before it, in an order that all gets agree on."""
    lines = [
        (0, "invoke", "append", '"x"'), (1, "invoke", "append", '"y"'), (0, "ok", "append", '"x"'),
        (1, "ok", "append", '"y"'), (0, "invoke", "get", "nil"), (0, "ok", "get", '"yx"'), (1, "invoke", "get", "nil"),
    ]  # fmt: skip
    shared = [f'{{:process {p}, :type :{kind}, :f :{f}, :key "0", :value {value}}}' for p, kind, f, value in lines]
    last = '{:process 1, :type :ok, :f :get, :key "0", :value "%s"}'
    assert verdict(tmp_path, "\n".join([*shared, last % "yx"]), "kv") == "valid"
    assert verdict(tmp_path, "\n".join([*shared, last % "xy"]), "kv") == "invalid"
    assert verdict(tmp_path, "\n".join([*shared, last % "y"]), "kv") == "invalid"


ELLE = """[{"type":"invoke","f":"write","value":[1,{"a":":b"}],"process":0,"index":1},
{"type":"ok","f":"write","value":[1,{"a":":b"}],"process":0,"index":2},
{"type":"info","f":"kill","process":"nemesis","index":3}, {"process":0,"type":"invoke","f":"read","index":4}]"""


def test_elles_json(tmp_path: Path) -> None:
    """An array of objects is elle-cli's, and read as its EDN would be."""
    found = imported(tmp_path, ELLE)
    assert found.format == "elle-json"
    assert [(op.index, *told(op)) for op in found.history.events] == [
        (1, 0, "invoke", "write", None, [1, {"a": '":b"'}]),
        (2, 0, "ok", "write", None, [1, {"a": '":b"'}]),
        (3, "nemesis", "info", "kill", None, None),
        (4, 0, "invoke", "read", None, None),
    ]


def test_a_format_can_be_named(tmp_path: Path) -> None:
    """--format overrides the look at the content; a name that is none is a usage error."""
    assert imported(tmp_path, EDN, "jepsen-edn").format == "jepsen-edn"
    with pytest.raises(UsageError, match="no format is called 'edn'"):
        imported(tmp_path, EDN, "edn")


def test_transactions_are_told_apart_from_typing_errors(tmp_path: Path) -> None:
    """A model of elle's is refused with where to take it instead; another name with the names there are."""
    with pytest.raises(UsageError, match="about transactions"):
        verdict(tmp_path, EDN, "list-append")
    with pytest.raises(UsageError, match="no model is called 'registre'"):
        verdict(tmp_path, EDN, "registre")
