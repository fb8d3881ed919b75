"""Ctrl-C and SIGTERM, to a command that runs: what there is gets healed, checked and stored; twice quits at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.op import NEMESIS
from harness.store import RunFolder

SOON_S = 20.0
"""Far more than anything here takes on a busy machine, and less than what it would take if it were not stopped."""

STUCK = '''
"""Systems and a workload that keep the harness waiting."""
import asyncio, sys, time
import workloads
from clusters.memory import Memory
from harness.cli import main
from workloads.register import RegisterWorkload

class NeverBoots(Memory):
    async def boot(self, nodes):
        await asyncio.sleep(1000)

class NeverReady(Memory):
    async def ready(self, node):
        return False

class NeverHeals(Memory):
    async def boot(self, nodes):
        await super().boot(nodes)
        for node in nodes:
            node.block = self.stuck(node.block)
    def stuck(self, block):
        async def patched(sources):
            if not sources:
                await asyncio.sleep(1000)
            await block(sources)
        return patched

class Ponders:
    name = "ponders"
    def check(self, history):
        print("pondering", file=sys.stderr, flush=True)
        while True:
            time.sleep(0.01)

class Pondering(RegisterWorkload):
    def checkers(self):
        return (Ponders(),)

workloads.WORKLOADS = workloads.WORKLOADS | {"pondering": Pondering}
if __name__ == "__main__":
    main()
'''


SCHEDULE = """
{"steps": [{"fault": 0, "kind": "partition", "start_s": 0.1, "stop_s": 30,
            "params": {"shape": "one", "order": ["n1", "n2", "n3", "n4", "n5"], "heal": "quick"}}]}
"""


@contextmanager
def running(folder: Path, until: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start `kingslayer run WORDS` and wait until its progress says something; kill it at the end if it still runs."""
    (folder / "stuck.py").write_text(STUCK)
    (folder / "schedule.json").write_text(SCHEDULE)
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        argv = [sys.executable, "stuck.py", "run", *words]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        child = subprocess.Popen(argv, cwd=folder, stdout=out, stderr=err, env=environment)
    try:
        wait_for(folder, child, until)
        yield child
    finally:
        child.kill()
        child.wait()


def wait_for(folder: Path, child: subprocess.Popen[bytes], text: str) -> None:
    """Wait until the command has said `text` on stderr."""
    deadline = time.monotonic() + SOON_S
    while text not in (folder / "err").read_text():
        assert child.poll() is None, (folder / "err").read_text()
        assert time.monotonic() < deadline, (folder / "err").read_text()
        time.sleep(0.01)


def latest(folder: Path) -> RunFolder:
    """The newest run."""
    return RunFolder(folder / "store" / "latest")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_heals_checks_and_stores(tmp_path: Path, number: signal.Signals) -> None:
    """In the middle of a fault: the fault is healed, the history is checked and stored, the exit code is 130."""
    words = ("memory", "--schedule", "schedule.json", "--time-limit", "30", "--json")
    with running(tmp_path, "partition on", *words) as child:
        child.send_signal(number)
        assert child.wait(SOON_S) == 130
    printed = json.loads((tmp_path / "out").read_text())
    assert printed["verdict"] == "valid"
    assert printed["faults"] == [{"kind": "partition", "verified": True}]
    assert "the run was stopped early" in printed["reasons"]
    assert "stopping: healing" in (tmp_path / "err").read_text()
    last = [op for op in latest(tmp_path).history().events if op.process == NEMESIS][-1]
    assert (last.f, last.type) == ("heal", "ok")
    assert {"verdict.json", "report.html"} <= {path.name for path in latest(tmp_path).path.iterdir()}


def test_a_signal_before_the_clients_start(tmp_path: Path) -> None:
    """There is nothing to check: one message, exit code 130, no traceback."""
    with running(tmp_path, "booting", "stuck:NeverBoots", "--json") as child:
        child.send_signal(signal.SIGINT)
        assert child.wait(SOON_S) == 130
    assert "stopped before the clients started" in (tmp_path / "err").read_text()
    assert json.loads((tmp_path / "out").read_text())["verdict"] == "error"


def test_a_signal_while_nodes_are_waited_for(tmp_path: Path) -> None:
    """What was recorded is checked at once, without the final reads."""
    with running(tmp_path, "waiting for every node", "stuck:NeverReady", "--time-limit", "1", "--json") as child:
        child.send_signal(signal.SIGINT)
        assert child.wait(SOON_S / 2) == 130
    assert json.loads((tmp_path / "out").read_text())["verdict"] == "valid"


def quits_at_once(folder: Path, child: subprocess.Popen[bytes]) -> None:
    """Send a signal; the command ends without a verdict and without a traceback, and its history checks."""
    child.send_signal(signal.SIGINT)
    assert child.wait(SOON_S) == 130
    assert "Traceback" not in (folder / "err").read_text()
    printed = json.loads((folder / "out").read_text())
    assert (printed["verdict"], printed["anomalies"]) == ("error", [])
    assert latest(folder).summary() is None
    assert latest(folder).history().counts().ok > 0


def test_a_second_signal_quits_at_once(tmp_path: Path) -> None:
    """While a fault cannot be healed, a second signal ends the command."""
    words = ("stuck:NeverHeals", "--schedule", "schedule.json", "--time-limit", "30", "--json")
    with running(tmp_path, "partition on", *words) as child:
        child.send_signal(signal.SIGINT)
        wait_for(tmp_path, child, "healing\n")
        quits_at_once(tmp_path, child)


@pytest.mark.parametrize("before", [0, 1])
def test_a_signal_while_checking_quits_at_once(tmp_path: Path, before: int) -> None:
    """A checker that takes long does not keep anybody waiting, whether the run was stopped before or not."""
    limit = "30" if before else "1"
    words = ("memory", "--workload", "pondering", "--time-limit", limit, "--json")
    with running(tmp_path, "ok  " if before else "pondering", *words) as child:
        if before:
            child.send_signal(signal.SIGINT)
            wait_for(tmp_path, child, "pondering")
        quits_at_once(tmp_path, child)
