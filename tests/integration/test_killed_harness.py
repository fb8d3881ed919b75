"""kill -9 of the harness in the middle of each fault: nothing of the fault is left 5 s later, on each backend."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from conftest import BACKENDS
from outliving import SIGN, remove, signed_environment
from waiting import until_now

from clusters import engine
from clusters.agent.processes import descendants, parents
from nemesis import FAMILIES, family

COMMAND = SIGN + "from harness.cli import main\nmain()"
NODES = ["n1", "n2", "n3"]
SEED = 4
VOLUME = "/var/lib/kingslayer/node "
BEGIN_S, END_S = 1.0, 300.0
IMAGE_S = 200.0  # the first run on a machine makes the image

LOOK = """
iptables -S; cat /proc/net/netfilter/nfnetlink_queue 2>/dev/null
cut -d' ' -f4- /proc/1/mountinfo
for process in /proc/[0-9]*; do tr '\\0' ' ' < $process/cmdline 2>/dev/null && echo; done
"""


@contextmanager
def run_with(kind: str, backend: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a run whose only fault is of this kind and would last for minutes; remove all of it at the end."""
    params = family(kind).plan(Random(SEED), NODES)
    step = {"fault": 0, "kind": kind, "start_s": BEGIN_S, "stop_s": END_S, "params": params}
    (folder / "schedule.json").write_text(json.dumps({"steps": [step]}))
    words = ["etcd", "--nodes", "3", "--backend", backend, "--rate", "100", "--time-limit", str(END_S + 10)]
    argv = [sys.executable, "-c", COMMAND, "run", *words, "--schedule", "schedule.json"]
    environment = signed_environment() | {"TMPDIR": str(folder)}
    with (folder / "said").open("wb") as said:
        run = subprocess.Popen(argv, cwd=folder, env=environment, stdout=said, stderr=said)
    try:
        yield run
    finally:
        run.kill()
        run.wait()
        remove()


def is_on(folder: Path) -> bool:
    """Say whether the fault was injected and verified."""
    history = folder / "store/latest/history.jsonl"
    events = history.read_text().splitlines() if history.exists() else ()
    return any('"process":"nemesis","type":"ok","f":"inject"' in event for event in events)


def started_at(pid: int) -> str | None:
    """Return what tells a process from a later one of the same number; None where it is gone, or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def containers() -> list[str]:
    """Return the names of the running containers that this process has signed."""
    client = engine.connect()
    try:
        rows = client.api.containers(filters={"label": f"kingslayer.pid={os.getpid()}"})
        return sorted(row["Names"][0].lstrip("/") for row in rows)
    finally:
        client.close()


def inside(container: str) -> str:
    """Return what a container has of rules, queues, mounts and processes."""
    argv = ["docker", "exec", container, "sh", "-c", LOOK]
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True).stdout


def left_on(before: str, after: str) -> list[str]:
    """Return what a container has that it should not: servers, agents, rules, queues, or other mounts than before.

    The node's own volume, where it had one, must be gone.
    """
    wrong = [line for line in after.splitlines() if re.search(r"--data-dir|python3|KINGSLAYER|DROP|NFQUEUE", line)]
    usual = {line for line in mounts(before) if VOLUME not in line}
    return wrong + sorted(usual ^ set(mounts(after)))


def mounts(look: str) -> list[str]:
    """Return the lines of a look that are mounts."""
    return sorted(line for line in look.splitlines() if " - " in line and line.startswith("/"))


@pytest.mark.parametrize("kind", FAMILIES)
def test_whatever_was_on_is_healed_within_5_s(kind: str, backend_name: str, tmp_path: Path) -> None:
    """Every process of the run is gone, and a container that is left has its rules, queues and mounts of before."""
    if why := BACKENDS[backend_name]("0").lacks.get(kind):
        pytest.skip(why)
    with run_with(kind, backend_name, tmp_path) as run:
        on_docker = backend_name == "docker"
        if on_docker:
            until_now(lambda: len(containers()) == len(NODES) or run.poll() is not None, "the containers run", IMAGE_S)
        machines = containers() if on_docker else []
        before = {machine: inside(machine) for machine in machines}
        until_now(lambda: is_on(tmp_path) or run.poll() is not None, f"{kind} is on", 60)
        assert run.poll() is None, (tmp_path / "said").read_text()
        assert all("python3" in inside(machine) for machine in machines)  # what is left would be seen
        living = {pid: started_at(pid) for pid in descendants(run.pid, parents())}
        assert len([start for start in living.values() if start]) >= len(NODES)
        run.send_signal(signal.SIGKILL)
        run.wait()

        left: list[str] = []

        def healed() -> bool:
            left[:] = [f"process {pid}" for pid, start in living.items() if start and started_at(pid) == start]
            for machine in machines if not left else ():
                left.extend(left_on(before[machine], inside(machine)))
            return not left

        try:
            until_now(healed, f"{kind} is healed")
        except AssertionError as error:
            raise AssertionError(f"{error}; left: {left}") from None
