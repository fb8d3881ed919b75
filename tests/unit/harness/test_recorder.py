"""The recorder: what is on the disk when a process is killed, and when the disk is full."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.errors import ClusterError, ContractError
from harness.history import History
from harness.recorder import Recorder


def ticking() -> Any:
    """A clock that goes on by one nanosecond a look."""
    ticks = iter(range(1000, 10**9))
    return lambda: next(ticks)


def test_events_are_numbered_and_stamped_in_order(tmp_path: Path) -> None:
    """Index and time come from the recorder; the file holds exactly what was recorded."""
    recorder = Recorder(tmp_path / "h.jsonl", ticking())
    times = [
        recorder.record(0, "invoke", "cas", "n1", "k", [4, 9]),
        recorder.record("nemesis", "invoke", "inject", None, 0, {"kind": "kill"}),
        recorder.record(0, "fail", "cas", "n1", "k", [4, 9], 7, "another"),
    ]
    recorder.close()
    events = History.load(tmp_path / "h.jsonl").events
    assert [op.index for op in events] == [0, 1, 2]
    assert [op.time for op in events] == times == sorted(set(times))
    assert (events[2].process, events[2].type, events[2].key, events[2].value) == (0, "fail", "k", [4, 9])
    assert (events[2].observed, events[2].error, events[2].node) == (7, "another", "n1")
    assert recorder.clients == {"invoke": 1, "ok": 0, "fail": 1, "info": 0}


def test_a_line_is_as_the_format_says(tmp_path: Path) -> None:
    """The fields of docs/reference.md, without those that say nothing."""
    recorder = Recorder(tmp_path / "h.jsonl", ticking())
    recorder.record(3, "invoke", "cas", "n1", "k1", [4, 9])
    recorder.close()
    line = msgspec.json.decode((tmp_path / "h.jsonl").read_bytes())
    assert line.pop("time") > 0
    assert line == {
        "index": 0, "process": 3, "node": "n1", "type": "invoke", "f": "cas", "key": "k1", "value": [4, 9],
    }  # fmt: skip


def test_what_is_flushed_survives(tmp_path: Path) -> None:
    """Events wait in memory until a flush, or until there are many."""
    path = tmp_path / "h.jsonl"
    recorder = Recorder(path, ticking())
    recorder.record(0, "invoke", "read", None, None, None)
    assert path.read_bytes() == b""
    recorder.flush()
    assert len(History.load(path)) == 1
    for number in range(1, 2000):
        recorder.record(number, "invoke", "read", None, None, "x" * 100)
    assert len(path.read_bytes().splitlines()) > 1000
    recorder.close()
    assert len(History.load(path)) == 2000


@pytest.mark.parametrize("value", [object(), {1, 2}, float("-inf"), b"", {1: 2}, {"a": [{"b": (1, {2})}]}, "\ud800"])
@pytest.mark.parametrize("field", ["key", "value", "observed"])
def test_what_is_not_json_leaves_no_trace(tmp_path: Path, value: Any, field: str) -> None:
    """A refused event takes no index and no byte; the next one follows as if it had never been."""
    recorder = Recorder(tmp_path / "h.jsonl", ticking())
    recorder.record(0, "invoke", "read", None, None, None)
    with pytest.raises(ContractError, match="read ok of process 0 holds something that is not JSON") as caught:
        recorder.record(0, "ok", "read", None, **({"key": None, "value": None} | {field: value}))
    assert caught.value.hint
    recorder.record(0, "info", "read", None, None, None)
    recorder.close()
    assert [(op.index, op.type) for op in History.load(tmp_path / "h.jsonl").events] == [(0, "invoke"), (1, "info")]


def test_a_circle_is_not_json(tmp_path: Path) -> None:
    """A list that holds itself is refused like any other value that is not JSON."""
    circle: list[Any] = []
    circle.append(circle)
    recorder = Recorder(tmp_path / "h.jsonl")
    with pytest.raises(ContractError):
        recorder.record(0, "ok", "read", None, None, circle)
    recorder.close()


def test_a_file_is_never_written_twice(tmp_path: Path) -> None:
    """An existing file, or a missing folder, is a ClusterError that names it; nothing is overwritten."""
    (tmp_path / "h.jsonl").write_text("precious")
    for path in (tmp_path / "h.jsonl", tmp_path / "no" / "h.jsonl"):
        with pytest.raises(ClusterError, match="the history cannot be written") as caught:
            Recorder(path)
        assert str(path) in caught.value.message
    assert (tmp_path / "h.jsonl").read_text() == "precious"


FOR_EVER = """
import sys
from pathlib import Path
from harness.recorder import Recorder
recorder = Recorder(Path(sys.argv[1]))
for number in range(10**9):
    recorder.record(number % 7, "invoke" if number // 7 % 2 == 0 else "ok", "write", "n1", "k", "é" * 20)
    if number == 20_000:
        print("go", flush=True)
"""


def test_a_kill_leaves_a_history(tmp_path: Path) -> None:
    """After kill -9 in the middle of recording, the file holds a prefix of the events, at most its end cut off."""
    path = tmp_path / "h.jsonl"
    child = subprocess.Popen([sys.executable, "-c", FOR_EVER, path], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "go\n"
    child.kill()
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    data = path.read_bytes()
    if not data.endswith(b"\n"):
        path.write_bytes(data[: data.rfind(b"\n") + 1])
    history = History.load(path)
    assert len(history) > 10_000
    assert [op.index for op in history.events] == list(range(len(history)))
    assert history.counts().invoke >= history.counts().ok > 4_000


UNTIL_FULL = """
import resource, sys
from pathlib import Path
from harness.errors import ClusterError
from harness.recorder import Recorder
if sys.argv[2]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
recorder = Recorder(Path(sys.argv[1]))
messages = []
for number in range(100_000):
    try:
        recorder.record(number, "invoke", "write", "n1", "k", number)
    except ClusterError as error:
        messages.append(str(error))
        if len(messages) == 3:
            break
recorder.close()
print(len(set(messages)), number)
print(messages[0])
sys.stdout.write(Path(sys.argv[1]).read_text())
"""


def _full(output: str) -> None:
    """Check what a child said that wrote until there was no room."""
    count, message, hint, *lines = output.splitlines()
    distinct, number = map(int, count.split())
    assert distinct == 1
    assert "the history cannot be written: " in message
    assert "make room" in hint
    events = [msgspec.json.decode(line) for line in lines[:-1]]
    assert 500 < len(events) < number
    assert [event["index"] for event in events] == list(range(len(events)))


def test_a_file_that_cannot_grow_ends_the_run(tmp_path: Path) -> None:
    """At the limit of a file's size every further event fails with one clear error; what is there is a prefix."""
    argv = [sys.executable, "-c", UNTIL_FULL, str(tmp_path / "h.jsonl"), "100000"]
    _full(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


def _mount_works() -> bool:
    argv = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(argv, capture_output=True).returncode == 0


@pytest.mark.skipif(not _mount_works(), reason="no user namespaces here, so no small disk can be mounted")
def test_a_full_disk_ends_the_run(tmp_path: Path) -> None:
    """On a disk that is full (ENOSPC) every further event fails with one clear error; what is there is a prefix."""
    mount = 'mount -t tmpfs -o size=100k tmpfs "$1" && exec "$2" -c "$3" "$1/h.jsonl" ""'
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    argv = [*unshare, str(tmp_path), sys.executable, UNTIL_FULL]
    output = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert os.strerror(28) in output
    _full(output)
