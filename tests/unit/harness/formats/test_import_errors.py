"""A malformed file is an error that names file, line and reason: never a traceback, never a verdict."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.check import check
from harness.errors import HistoryError
from harness.formats.detect import FORMATS, load
from harness.history import HistoryWarning

OK = "{:process 0 :type :invoke :f :write :value 1}\n{:process 0 :type :ok :f :write :value 1}\n"
LOG = "INFO  jepsen.util - 0\t:invoke\t:write\t1\nINFO  jepsen.util - 0\t:ok\t:write\t1\n"
KV = """{:process 0, :type :invoke, :f :put, :key "k", :value "a"}
{:process 0, :type :ok, :f :put, :key "k", :value "a"}
"""
ELLE = '[{"process":0,"type":"invoke","f":"write","value":1},\n{"process":0,"type":"ok","f":"write","value":1}]\n'
OWN = (
    '{"index":0,"time":1,"process":0,"type":"invoke","f":"write","value":1}\n'
    '{"index":1,"time":2,"process":0,"type":"ok","f":"write","value":1}\n'
)
STARTED = "{:process 3 :type :invoke :f :read}"
GOOD = [OK, LOG, KV, ELLE, OWN]

MALFORMED = {
    "unclosed map": (OK + "{:process 1 :type :invoke", r":3:1: .*\{ is never completed"),
    "unclosed string": (OK + '{:process 1 :f "wri', ":3:16: .*string is never closed"),
    "unclosed vector": ("[" + OK, r":1:1: .*never closed by \]"),
    "stray bracket": (OK + "]", r":3:1: .*\] closes nothing"),
    "after the vector": (f"[{OK}]\n{{:process 1}}", ":4:1: .*something follows"),
    "no map": (OK + "[1 2]", r":3: an operation is a map, and not \[1, 2\]"),
    "key without a value": (OK + "{:process}", ":3:1: .*without a value"),
    "no process": (OK + "{:type :invoke :f :read}", ":3: the operation has no process"),
    "no type": (OK + "{:process 1 :f :read}", ":3: the operation has no type"),
    "no f": (OK + "{:process 1 :type :invoke}", ":3: the operation has no name"),
    "unknown type": (OK + "{:process 1 :type :began :f :read}", ":3: the type began is none of invoke"),
    "process of a wrong type": (OK + "{:process 1.5 :type :invoke :f :read}", ":3: the process is 1.5"),
    "process by name": (OK + '{:process "1" :type :invoke :f :read}', ':3: the process is "1"'),
    "f of a wrong type": (OK + "{:process 1 :type :invoke :f [1]}", r":3: \[1\] stands where a name"),
    "time of a wrong type": (OK + "{:process 1 :type :invoke :f :read :time 1.5}", ":3: the time is 1.5"),
    "index of a wrong type": (OK + "{:process 1 :type :invoke :f :read :index :a}", ':3: the index is ":a"'),
    "cas of one value": (OK + "{:process 1 :type :invoke :f :cas :value 1}", ":3: the value of a cas is 1"),
    "never invoked": (OK + "{:process 1 :type :ok :f :read}", ":3: read of process 1 is ok, but was never invoked"),
    "other f": (f"{STARTED}\n{{:process 3 :type :ok :f :write}}", ":2: write of process 3 is ok, but was never"),
    "twice open": (f"{STARTED}\n\n{STARTED}", ":3: process 3 invokes read while its operation of line 1"),
    "key lost": (
        "{:process 0 :type :invoke :f :read :value [1 nil]}\n{:process 0 :type :ok :f :read :value 5}",
        ":2: the value of an operation on key 1 is 5",
    ),
    "EDN, then JSON": (OK + OWN, ":3"),
    "JSON, then EDN": (OWN + OK, ":3: not an event of a history"),
    "EDN, then a log": (OK + LOG, ":3"),
    "log, then half a line": (LOG + "INFO  jepsen.util - 1\t:invoke\t:wri", ":3: an operation has a process"),
    "log, wrong type": (LOG + "INFO  jepsen.util - 1\t:begin\t:write\t1", ":3: the type begin is none of"),
    "log, no EDN": (LOG + "INFO  jepsen.util - 1\t:invoke\t:write\t[1", r":3: the value \[1 is no EDN"),
    "kv, then EDN": (KV + OK, ":3: not of the form"),
    "JSON, cut short": (ELLE[:-3], r":2:\d+: no JSON"),
    "JSON, no array of maps": ('[{"process":0,"type":"invoke","f":"read"}, 1]', ":1: an operation is a map"),
    "JSON, constant": ('[{"process":0,"type":"invoke","f":"write","value":NaN}]', ":1: no JSON: NaN"),
    "JSON, half a pair": ('[{"process":0,"type":"invoke","f":"write","value":"\\ud800"}]', ":1: no JSON"),
    "JSON, deep": (
        f'[{{"process":0,"type":"invoke","f":"write","value":{"[" * 500}{"]" * 500}}}]',
        ":1: no JSON: more than 100 levels",
    ),
    "JSON, very deep": (f'[{{"process":{"[" * 100_000}', ":1: no JSON"),
    "JSON, after the array": (ELLE + "[]", ":3:1: no JSON: something follows"),
    "ours, very deep": (OWN + '{"index":' + "[" * 100_000 + "\n", ":3: "),
    "only names": ('{"index":0,"time":1,"process":"a","type":"invoke","f":"read"}\n', "no operation of a client"),
    "empty": ("", "no event in it"),
    "blank": (" \n\n", "no event in it"),
    "an empty vector": ("[]", "no operation in it"),
    "only comments": ("; nothing\n", "not a history in any format|no operation in it"),
    "prose": ("Dear reader,\n", ":1: not a history in any format .* begins with 'Dear reader,'"),
}


def silent(text: str) -> None:
    """Fail on a warning."""
    raise AssertionError(text)


@pytest.mark.parametrize("case", MALFORMED)
def test_the_error_names_the_place(tmp_path: Path, case: str) -> None:
    """Each kind of damage is a HistoryError with file, line, reason and hint."""
    text, reason = MALFORMED[case]
    path = tmp_path / "history"
    path.write_text(text)
    with pytest.raises(HistoryError, match=reason) as caught:
        check(path, "cas-register", 5.0, silent)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """What is not UTF-8 is refused with line and column, a compressed file with what to do."""
    path = tmp_path / "history"
    path.write_bytes(OK.encode() + b'{:process "\xff"}')
    with pytest.raises(HistoryError, match=":3:12: not UTF-8: byte 0xff"):
        check(path, "register", 5.0, silent)
    path.write_bytes(gzip.compress(OK.encode())[:40])
    with pytest.raises(HistoryError, match="compressed by gzip"):
        check(path, "register", 5.0, silent)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    """A folder without a history is an error that names the file that is missing."""
    with pytest.raises(HistoryError, match=r"history\.jsonl"):
        check(tmp_path, "register", 5.0, silent)


def read(path: Path, data: bytes, form: str) -> str:
    """Read `data` and pair its events; return the error's text, or "" where it is a history."""
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HistoryWarning)  # of a half-written last line, in our own format
        try:
            assert len(load(path, form).history.columns) >= 0
        except HistoryError as error:
            return error.message
    return ""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(GOOD), st.sampled_from(FORMATS), st.integers(0, 300), st.integers(0, 8), st.binary(max_size=6))
@example(OK, "auto", 0, 0, b"\xef\xbb\xbf")
def test_damage_is_an_error_or_harmless(
    tmp_path: Path, text: str, form: str, start: int, removed: int, added: bytes
) -> None:
    """Whatever is cut out of a file and put in its place, reading it raises nothing but HistoryError."""
    data = text.encode()
    path = tmp_path / "history"
    error = read(path, data[:start] + added + data[start + removed :], form)
    assert not error or str(path) in error


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.sampled_from(FORMATS))
def test_any_bytes_are_an_error_or_a_history(tmp_path: Path, data: bytes, form: str) -> None:
    """Random bytes raise nothing but HistoryError, in every format."""
    path = tmp_path / "history"
    error = read(path, data, form)
    assert not error or str(path) in error
