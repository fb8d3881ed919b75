"""The command: exit codes, messages on stderr, results on stdout, one JSON object whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from harness import session
from harness.cli import cli, main
from harness.op import Op
from harness.registry import SYSTEMS
from nemesis import FAMILIES
from workloads import WORKLOADS

COMMAND = Path(sys.executable).with_name("kingslayer")
HELP_S = 3.0
"""Far above the target of 0.2 s, which benchmarks/startup.py measures: this bound holds on a busy machine."""


class Said(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


Kingslayer = Callable[..., Said]


@pytest.fixture
def kingslayer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kingslayer:
    """Run the command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["kingslayer", *words])
        code: Any = 0
        try:
            main()
        except SystemExit as done:
            code = done.code
        return Said(code, *capsys.readouterr())

    return run


def event(index: int, process: int, kind: Any, f: str, value: Any = None) -> bytes:
    """A line of a history, on the key k."""
    return msgspec.json.encode(Op(index, index * 1000, process, kind, f, key="k", value=value))


def write_history(*lines: bytes) -> None:
    """Write h.jsonl with twenty writes that were ok, and these lines after them."""
    types = ("invoke", "ok")
    events = [event(2 * number + at, 0, types[at], "write", number) for number in range(20) for at in (0, 1)]
    Path("h.jsonl").write_bytes(b"\n".join([*events, *lines]) + b"\n")


STALE = (event(40, 1, "invoke", "read"), event(41, 1, "ok", "read", 3))
RUN = ("run", "memory", "--time-limit", "0.5", "--rate", "1000")
CHECK = ("check", "h.jsonl", "--model", "cas-register")

ERRORS = [
    (("run", "nothing"), 2, "unknown system 'nothing'"),
    (("run", "no_module:Class"), 2, "cannot be imported"),
    (("run", "memory:9"), 2, "memory has no version '9'"),
    (("run", "etcd:9.9.9"), 2, "9.9.9"),
    (("run", "memory", "--workload", "nothing"), 2, "unknown workload 'nothing'"),
    (("run", "memory", "--nemesis", "pause,nothing"), 2, "nothing"),
    (("run", "memory", "--backend", "nothing"), 2, "unknown backend 'nothing'"),
    (("run", "memory", "--backend", "docker"), 2, "memory does not run on docker"),
    (("run", "memory", "--option", "nothing=1"), 2, "has an option 'nothing'"),
    (("run", "memory", "--option", "bug=nothing"), 2, "bug=nothing is not possible"),
    (("run", "memory", "--option", "bug"), 2, "'bug' is not NAME=VALUE"),
    (("run", "etcd", "--reads", "psychic"), 2, "psychic"),
    (("run", "memory", "--nodes", "0"), 2, "--nodes"),
    (("run", "memory", "--nodes", "1", "--nemesis", "partition"), 2, "partition"),
    (("run", "memory", "--colour"), 2, "No such option"),
    (("run", "memory", "--schedule", "nothing.json"), 2, "nothing.json"),
    (("run", "memory", "--schedule", "file"), 2, "file: not a schedule"),
    (("run", "memory", "--store", "file/store"), 4, "file/store: cannot be written"),
    (("run",), 2, "Missing argument 'SYSTEM'"),
    (("check",), 2, "Missing argument 'PATH...'"),
    (("check", "nothing"), 2, "nothing: no such file or folder"),
    (("check", "h.jsonl"), 2, "which model"),
    (("check", "h.jsonl", "--model", "nothing"), 2, "nothing"),
    (("check", "."), 2, "history.jsonl: No such file"),
    (("check", ".", "--model", "cas-register"), 2, "history.jsonl: No such file"),
    (("check", "file", "--model", "cas-register"), 2, "file:1: not a history in any format that is known"),
    (("check", "empty", "--model", "cas-register"), 2, "empty: no event in it"),
    (("fly",), 2, "No such command 'fly'"),
]


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(("words", "code", "message"), ERRORS, ids=[" ".join(words) for words, _, _ in ERRORS])
def test_errors_have_their_exit_code_and_say_what_to_do(
    kingslayer: Kingslayer, words: tuple[str, ...], code: int, message: str, as_json: bool
) -> None:
    """The message goes to stderr; nothing to stdout but, where it was asked for, one JSON object; nothing is stored."""
    write_history()
    Path("file").write_text("no JSON\n")
    Path("empty").write_text("")
    said = kingslayer(*words, *(["--json"] if as_json else []))
    assert said.code == code
    assert "Traceback" not in said.err
    assert not Path("store").exists()
    if as_json and words != ("fly",):
        printed = json.loads(said.out)
        assert printed["verdict"] == "error"
        assert message in printed["error"]
    else:
        assert message in said.err
        assert "hint: " in said.err or "Usage: " in said.err


def test_a_valid_run_and_all_that_can_be_done_with_it(kingslayer: Kingslayer) -> None:
    """Exit 0; the words, the JSON, the check of the folder and of the file, and the report agree."""
    said = kingslayer(*RUN, "--nemesis", "pause", "--interval", "0.5", "--seed", "3", "--json")
    printed = json.loads(said.out)
    assert (said.code, printed["verdict"], printed["seed"]) == (0, "valid", 3)
    assert printed["faults"] == [{"kind": "pause", "verified": True}]
    assert list(printed) == [
        "verdict", "anomalies", "ops", "faults", "coverage", "engine", "seconds", "seed", "store", "error", "shortfall",
        "reasons",
    ]  # fmt: skip
    again = json.loads(kingslayer("check", "store/latest", "--json").out)
    assert (again["verdict"], again["ops"], again["seed"]) == ("valid", printed["ops"], 3)
    file = kingslayer("check", "store/latest/history.jsonl", "--model", "cas-register")
    assert (file.code, file.out.strip().split(":")[0].split(" ")[0].lower()) == (0, "valid")
    Path("store/latest/report.html").unlink()
    report = kingslayer("report", "store/latest")
    assert report.code == 0
    assert Path(report.out.strip()).is_file()


def test_a_run_shows_how_it_goes_on_stderr(kingslayer: Kingslayer) -> None:
    """Stdout holds the verdict and the report's path; progress, with the seed to replay it, goes to stderr."""
    said = kingslayer(*RUN, "--seed", "5")
    assert said.code == 0
    assert "VALID" in said.out
    assert said.out.strip().endswith("report.html")
    assert "booting memory 1 on 5 nodes" in said.err
    assert "seed 5" in said.err


def test_an_anomaly_is_exit_1(kingslayer: Kingslayer) -> None:
    """Of a run and of a check, in words and as JSON."""
    write_history(*STALE)
    assert kingslayer(*RUN, "--option", "bug=stale-reads").code == 1
    assert "INVALID" in kingslayer(*CHECK).out
    said = kingslayer(*CHECK, "--json")
    assert (said.code, json.loads(said.out)["anomalies"][0]["kind"]) == (1, "stale read")


def test_unknown_is_exit_3(kingslayer: Kingslayer) -> None:
    """What could not be decided within the time is told apart from both."""
    # which of the additions make up what was read is a knapsack problem, and no set of even ones makes an odd sum
    adds = [(process, 2 * 3**process) for process in range(1, 31)]
    invoked = [event(40, process, "invoke", "add", value) for process, value in adds]
    ended = [event(80, process, "ok", "add", value) for process, value in adds]
    reader = [event(60, 0, "invoke", "read"), event(70, 0, "ok", "read", 3**29)]
    Path("h.jsonl").write_bytes(b"\n".join([*invoked, *reader, *ended]) + b"\n")
    said = kingslayer(*CHECK[:-1], "counter", "--time-limit", "0.01", "--json")
    assert (said.code, json.loads(said.out)["verdict"]) == (3, "unknown")


def test_a_half_written_history_is_checked_with_a_warning(kingslayer: Kingslayer) -> None:
    """What a kill left can be checked."""
    write_history(b'{"index":40,"ti')
    path = Path("h.jsonl")
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    said = kingslayer(*CHECK, "--json")
    assert (said.code, json.loads(said.out)["ops"]["ok"]) == (0, 20)
    assert "warning: h.jsonl: the last line is half-written" in said.err


def test_a_damaged_run_s_folder_is_told(kingslayer: Kingslayer) -> None:
    """A corrupt run.json names itself; what is no run's folder has no report."""
    kingslayer(*RUN)
    Path("store/latest/run.json").write_text("{")
    assert "run.json: cannot be read" in kingslayer("check", "store/latest").err
    said = kingslayer("report", ".")
    assert (said.code, "not a run's folder" in said.err) == (2, True)


def test_no_engine_is_exit_4(kingslayer: Kingslayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no Docker answers the message says so, and what to do."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    said = kingslayer("run", "etcd", "--backend", "docker")
    assert said.code == 4
    assert "no backend works here (docker: " in said.err
    assert "hint: " in said.err


@pytest.mark.parametrize("as_json", [False, True])
def test_a_bug_of_ours_is_exit_5(kingslayer: Kingslayer, monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    """The traceback goes to a file that the message names."""

    def crash(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(session, "run", crash)
    said = kingslayer(*RUN, *(["--json"] if as_json else []))
    assert said.code == 5
    assert "a bug of kingslayer: ZeroDivisionError: oops" in said.err
    report = Path(said.err.split("please report it with ")[1].strip())
    assert "ZeroDivisionError" in report.read_text()
    report.unlink()
    assert not as_json or json.loads(said.out)["verdict"] == "error"


def test_an_interrupt_is_exit_130(kingslayer: Kingslayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C before any event loop runs."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "run", interrupt)
    said = kingslayer(*RUN, "--json")
    assert (said.code, json.loads(said.out)["error"]) == (130, "interrupted")


@pytest.mark.parametrize(("command", "names"), [("systems", SYSTEMS), ("workloads", WORKLOADS), ("nemeses", FAMILIES)])
def test_lists(kingslayer: Kingslayer, command: str, names: dict[str, Any]) -> None:
    """Each thing there is has one line that begins with its name; what more is told of it is indented below."""
    said = kingslayer(command)
    lines = [line for line in said.out.splitlines() if not line.startswith(" ")]
    assert (said.code, said.err) == (0, "")
    assert [line.split()[0] for line in lines] == list(names)
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("command", [(), *((name,) for name in cli.commands)])
def test_help(kingslayer: Kingslayer, command: tuple[str, ...]) -> None:
    """Every command explains itself, and each option that it has."""
    said = kingslayer(*command, "--help")
    assert said.code == 0
    assert "Usage: " in said.out


def test_the_version(kingslayer: Kingslayer) -> None:
    """--version is the package's."""
    assert "kingslayer" in kingslayer("--version").out


def test_help_is_quick_and_light() -> None:
    """--help imports nothing heavy."""
    code = "import sys, harness.cli\nsys.argv[1:] = ['--help']\ntry: harness.cli.main()\nfinally: print(*sys.modules)"
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert time.monotonic() - start < HELP_S
    modules = set(done.stdout.splitlines()[-1].split())
    assert "click" in modules
    assert not modules & {"numpy", "rich", "docker", "plotly", "grpc", "jinja2", "pytest"}


def test_a_reader_that_goes_away_is_no_bug() -> None:
    """`kingslayer systems | head -0` ends without a traceback and without a crash report."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([COMMAND, "systems"], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert "Traceback" not in done.stderr
    assert "bug of kingslayer" not in done.stderr
