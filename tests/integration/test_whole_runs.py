"""Whole runs of the command on real etcd: what they say, and that nothing is left of them however they end."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from judged import judged
from waiting import until_now

from clusters import engine
from harness.op import DIGEST, NEMESIS
from harness.store import RunFolder

COMMAND = Path(sys.executable).with_name("kingslayer")
ETCD = ("run", "etcd", "--nemesis", "partition,pause,kill", "--interval", "3", "--seed", "7", "--rate", "200")
AT_FULL_RATE = ("--rate", "500")
UNPAUSED = ("--nemesis", "partition,kill")
"""For what rests on leases: a leader of etcd that was paused for as long as they live takes them away (findings.md)."""
FAULT_ON = re.compile(r"(partition|pause|kill) on")


def kingslayer(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in a folder and return what it printed; it must end with this exit code."""
    done = subprocess.run([COMMAND, *words], cwd=folder, env=environment(folder), capture_output=True, text=True)
    assert done.returncode == code, done.stderr + done.stdout
    return done


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which whatever a run leaves on disk would be below `folder`."""
    return os.environ | {"TMPDIR": str(folder)}


@contextmanager
def running(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command and wait until a fault is on; kill it at the end, if it still runs."""
    log = folder / "stderr"
    with log.open("wb") as stderr:
        argv = [COMMAND, *words]
        run = subprocess.Popen(argv, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        until_now(lambda: bool(FAULT_ON.search(log.read_text())) or run.poll() is not None, "a fault is on", 60)
        assert run.poll() is None, log.read_text()
        yield run
    finally:
        run.kill()
        run.wait()


def servers_on_host(folder: Path) -> list[str]:
    """Return the command lines of processes whose files are below `folder`: a netns run's servers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"{folder}/" in words and "--data-dir" in words:
            found.append(words)
    return found


def containers_of(pid: int) -> list[str]:
    """Return the containers of a harness process."""
    client = engine.connect()
    try:
        rows = client.api.containers(all=True, filters={"label": f"kingslayer.pid={pid}"})
        return [row["Id"] for row in rows]
    finally:
        client.close()


def latest(folder: Path) -> RunFolder:
    """Return the newest run in a folder's store."""
    return RunFolder(folder / "store/latest")


def test_a_correct_system_under_faults_is_valid(tmp_path: Path, backend_name: str) -> None:
    """etcd stays valid under partitions, pauses and kills, all of them verified, and the store holds everything."""
    words = (*ETCD[1:], *AT_FULL_RATE, "--backend", backend_name)
    _, summary = judged(tmp_path, *words, limit_s=12, interval_s=3, ok=1000)
    assert summary["verdict"] == "valid"
    assert {fault["kind"] for fault in summary["faults"]} == {"partition", "pause", "kill"}
    assert all(fault["verified"] for fault in summary["faults"])
    folder = latest(tmp_path)
    names = {path.name for path in folder.path.iterdir()}
    assert names == {"run.json", "history.jsonl", "schedule.json", "verdict.json", "report.html", "nodes"}
    assert set(folder.logs(1000)) == {"n1", "n2", "n3", "n4", "n5"}
    assert not servers_on_host(tmp_path)
    again = json.loads(kingslayer(tmp_path, "check", "store/latest", "--json").stdout)
    assert (again["verdict"], again["ops"]) == ("valid", summary["ops"])


@pytest.mark.netns
@pytest.mark.parametrize("variety", ["native", "recipe"])
def test_the_locks_of_etcd_keep_their_promise(tmp_path: Path, variety: str) -> None:
    """Both varieties stay valid under faults, and the record says which one it was, for a replay too."""
    words = (*UNPAUSED, "--workload", "lock", "--facet", f"lock={variety}", "--nodes", "3", "--backend", "netns")
    _, summary = judged(tmp_path, *ETCD[1:], *words, limit_s=8, interval_s=3, ok=50)
    assert (summary["verdict"], summary["engine"]) == ("valid", "certain holds + lifetimes of leases")
    record = latest(tmp_path).record()
    assert record is not None
    assert record.config.facets == {"lock": variety}
    assert f"--facet lock={variety}" in record.config.command()


@pytest.mark.netns
def test_tasks_on_etcd_are_claimed_by_one_and_all_done(tmp_path: Path) -> None:
    """Under faults no promise is broken, claims run out and are taken over, and the drain reaches every task."""
    words = ["--workload", "task-claim", "--nodes", "3", "--backend", "netns", "--nemesis", "pause,kill"]
    _, summary = judged(tmp_path, *ETCD[1:], *words, "--seed", "3", limit_s=9, interval_s=3)
    assert summary["verdict"] == "valid"
    oks = [op for op in latest(tmp_path).history().events if op.type == "ok" and isinstance(op.process, int)]
    claimed = Counter(op.value["task"] for op in oks if op.f == "claim")
    assert max(claimed.values()) >= 2
    last = {op.key: op.value["state"] for op in oks if op.f == "status" and op.value is not None}
    assert {last[op.key] for op in oks if op.f == "submit"} == {"completed", "failed"}


@pytest.mark.netns
def test_the_elections_of_etcd_keep_their_promise(tmp_path: Path) -> None:
    """Under faults nobody is accused, and in the end the nodes' data is compared and found the same."""
    words = (*UNPAUSED, "--workload", "election", "--nodes", "3", "--backend", "netns")
    _, summary = judged(tmp_path, *ETCD[1:], *words, limit_s=6, interval_s=3)
    assert (summary["verdict"], summary["anomalies"]) == ("valid", [])
    digests = [op.value for op in latest(tmp_path).history().events if op.f == DIGEST and op.value]
    assert len(digests) >= 3
    assert digests[-1] == digests[-2] == digests[-3]


def test_the_positive_control_is_invalid(tmp_path: Path, backend_name: str) -> None:
    """Serializable reads are found out, with witnesses in the history, and the history checks invalid again."""
    words = ("--time-limit", "12", "--backend", backend_name, "--reads", "serializable", *AT_FULL_RATE)
    done = kingslayer(tmp_path, *ETCD, *words, code=1)
    assert "INVALID" in done.stdout
    summary = latest(tmp_path).summary()
    assert summary is not None
    events = latest(tmp_path).history().events
    for anomaly in summary.anomalies:
        assert 2 <= len(anomaly.witness) <= 60
        assert {events[index].key for index in anomaly.witness} == {anomaly.key}
    kingslayer(tmp_path, "check", "store/latest/history.jsonl", "--model", "cas-register", code=1)


@pytest.mark.netns
def test_clients_are_frozen_and_go_on(tmp_path: Path) -> None:
    """Clients in processes of their own stop and go on, measured; what they saw is valid, and none of them is left."""
    words = (*ETCD, "--backend", "netns", "--nemesis", "freeze", "--time-limit", "8")
    summary = json.loads(kingslayer(tmp_path, *words, "--json").stdout)
    assert (summary["verdict"], summary["faults"]) == ("valid", [{"kind": "freeze", "verified": True}] * 2)
    history = latest(tmp_path).history()
    injected = [event.value for event in history.events if event.f == "inject" and event.type == "ok"]
    assert {state for value in injected for state in value["evidence"]["states"].values()} == {"paused"}


@pytest.mark.docker
def test_what_kill_9_leaves_checks_and_is_cleaned_away(tmp_path: Path) -> None:
    """After a kill -9 in a fault the history checks, and clean removes the machines, if no other run has already.

    That nothing is left on the machines themselves is for test_killed_harness.py, for each fault.
    """
    with running(tmp_path, *ETCD, "--nodes", "3", "--time-limit", "60", "--backend", "docker") as run:
        assert len(containers_of(run.pid)) == 3
        run.kill()
        run.wait()
    summary = json.loads(kingslayer(tmp_path, "check", "store/latest", "--json").stdout)
    assert summary["verdict"] == "valid"
    assert summary["ops"]["ok"] > 100
    kingslayer(tmp_path, "report", "store/latest")
    kingslayer(tmp_path, "clean")
    assert containers_of(run.pid) == []


@pytest.mark.netns
def test_kill_9_leaves_nothing_in_namespaces(tmp_path: Path) -> None:
    """After a kill -9 in a fault no server is left within 5 s, the history checks, and clean removes the folders."""
    with running(tmp_path, *ETCD, "--time-limit", "60", "--backend", "netns") as run:
        assert len(servers_on_host(tmp_path)) >= 3  # the present fault may have killed some
        run.kill()
        run.wait()
        until_now(lambda: not servers_on_host(tmp_path), "no server is left", 5)
    assert json.loads(kingslayer(tmp_path, "check", "store/latest", "--json").stdout)["verdict"] == "valid"
    assert "removed folder" in kingslayer(tmp_path, "clean").stdout
    assert not list(tmp_path.glob("kingslayer-*/*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_early_stop_heals_and_checks(tmp_path: Path, backend_name: str, number: signal.Signals) -> None:
    """Ctrl-C in a fault heals it, checks and stores what there is, removes all, and exits with 130."""
    with running(tmp_path, *ETCD, "--nodes", "3", "--time-limit", "60", "--backend", backend_name) as run:
        run.send_signal(number)
        assert run.wait(timeout=20) == 130
    summary, history = latest(tmp_path).summary(), latest(tmp_path).history()
    assert summary is not None
    assert summary.verdict == "valid"
    assert all(fault.verified for fault in summary.faults)
    assert [op.type for op in history.events if op.process == NEMESIS][-1] == "ok"
    assert not servers_on_host(tmp_path)
    if backend_name == "docker":
        assert containers_of(run.pid) == []


def test_two_runs_at_once_do_not_meet(tmp_path: Path, backend_name: str) -> None:
    """Two runs in one store at the same time are both valid, each in a folder of its own."""
    words = [COMMAND, *ETCD, "--nodes", "3", "--time-limit", "8", "--backend", backend_name, "--json"]
    runs = [
        subprocess.Popen(words, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    ended = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], ended
    assert len({json.loads(stdout)["store"] for stdout, _ in ended}) == 2


def test_a_full_disk_ends_the_run_with_one_error(tmp_path: Path) -> None:
    """Where the history cannot grow, the run ends with exit 4 and one error, and what was written checks."""
    limit = 200_000
    done = subprocess.run(
        [COMMAND, "run", "memory", "--rate", "0", "--nemesis", "pause", "--time-limit", "20"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 4, done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    summary = json.loads(kingslayer(tmp_path, "check", "store/latest", "--json").stdout)
    assert summary["verdict"] == "valid"
    assert summary["ops"]["ok"] > 100
