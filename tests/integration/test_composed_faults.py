"""Faults beside one another on real etcd: each takes effect, is measured and healed whatever else is on."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from waiting import until, until_now

from clusters.etcd import Etcd
from harness.cluster import Cluster
from harness.errors import FaultError
from harness.op import NEMESIS, Call
from harness.protocols import Backend, Node
from harness.store import RunFolder
from nemesis import Nemesis

COMMAND = Path(sys.executable).with_name("kingslayer")
ETCD = ("run", "etcd", "--backend", "netns", "--nodes", "3", "--rate", "200")
NAMES = ["n1", "n2", "n3"]
HOUR_MS = 3_600_000
SKEW_N1: dict[str, Any] = {
    "kind": "clock", "target": "one", "nodes": ["n1"], "shape": "offset", "offset_ms": HOUR_MS
}  # fmt: skip
KILL_N1: dict[str, Any] = {"kind": "kill", "target": "one", "nodes": ["n1"]}
PAUSE_N1: dict[str, Any] = {"kind": "pause", "target": "one", "nodes": ["n1"]}
SLOW: dict[str, Any] = {"kind": "packets", "shape": "all", "order": NAMES, "delay_ms": 20}
CUT: dict[str, Any] = {"kind": "partition", "shape": "one", "order": NAMES}

Story = Callable[[Cluster, Nemesis], Awaitable[None]]


async def staged(backend: Backend, nodes: Sequence[Node], story: Story) -> None:
    """Boot etcd, tell the story, and see that all is as before."""
    cluster = Cluster(backend, Etcd(), [node.name for node in nodes])
    cluster.nodes = {node.name: node for node in nodes}
    await cluster.boot()
    nemesis = Nemesis(cluster)
    await story(cluster, nemesis)
    assert nemesis.active() == []
    assert await cluster.recover(20) == []
    for node in nodes:
        assert (await node.state(), await node.blocked(), (await node.shaped()).rules) == ("running", frozenset(), 0)
        assert all(clock.intact for clock in await node.clock())


@pytest.fixture
def tell(on_netns: Callable[..., Any]) -> Callable[[Story], None]:
    """Tell a story on a fresh etcd of three nodes in namespaces."""

    def run(story: Story) -> None:
        paths = asyncio.run(Etcd().install())
        on_netns(staged, story, nodes=3, paths=paths)

    return run


async def inject(nemesis: Nemesis, number: int, value: dict[str, Any]) -> dict[str, Any]:
    """Inject a fault and return what was measured."""
    result = await nemesis.invoke(Call("inject", number, value))
    evidence: dict[str, Any] = result["evidence"]
    return evidence


async def heal(nemesis: Nemesis, number: int) -> dict[str, Any]:
    """Heal a fault and return what was measured."""
    evidence: dict[str, Any] = (await nemesis.invoke(Call("heal", number, {})))["evidence"]
    return evidence


async def offset_ms(cluster: Cluster, name: str) -> float:
    """Return how far a server's clock is off, as one of its threads reads it."""
    clocks = await cluster.nodes[name].clock()
    return clocks[0].readings["realtime"].offset_ns / 1e6


async def skew_outlives_a_kill(cluster: Cluster, nemesis: Nemesis) -> None:
    await inject(nemesis, 0, SKEW_N1)
    await inject(nemesis, 1, KILL_N1)
    await heal(nemesis, 1)
    assert await offset_ms(cluster, "n1") == pytest.approx(HOUR_MS, abs=10)
    assert (await heal(nemesis, 0))["last_ms"]["n1"] == pytest.approx(HOUR_MS, abs=10)
    assert await offset_ms(cluster, "n1") == pytest.approx(0, abs=10)


async def skew_of_the_dead_waits_for_them(cluster: Cluster, nemesis: Nemesis) -> None:
    await inject(nemesis, 0, KILL_N1)
    skew = asyncio.create_task(inject(nemesis, 1, SKEW_N1))
    both = dict(SKEW_N1, nodes=["n2", "n3"], target="majority")
    assert set((await inject(nemesis, 2, both))["offsets_ms"]) == {"n2", "n3"}
    assert not skew.done()
    await heal(nemesis, 0)
    assert (await skew)["offsets_ms"]["n1"] == pytest.approx(HOUR_MS, abs=10)
    await heal(nemesis, 2)
    await heal(nemesis, 1)


async def skew_is_healed_while_its_server_is_dead(cluster: Cluster, nemesis: Nemesis) -> None:
    await inject(nemesis, 0, SKEW_N1)
    await inject(nemesis, 1, KILL_N1)
    assert (await heal(nemesis, 0))["last_ms"] == {}
    await heal(nemesis, 1)
    assert await offset_ms(cluster, "n1") == pytest.approx(0, abs=10)


async def skew_of_a_paused_server(cluster: Cluster, nemesis: Nemesis) -> None:
    await inject(nemesis, 0, PAUSE_N1)
    await inject(nemesis, 1, SKEW_N1)
    await heal(nemesis, 0)
    await inject(nemesis, 0, PAUSE_N1)
    await heal(nemesis, 1)
    assert await cluster.nodes["n1"].state() == "paused"
    await heal(nemesis, 0)


async def skew_of_a_server_in_restarts(cluster: Cluster, nemesis: Nemesis) -> None:
    restarts = {"kind": "process", "target": "one", "nodes": ["n1"], "action": "restarts", "period_s": 0.6}
    await inject(nemesis, 0, restarts)
    await inject(nemesis, 1, SKEW_N1)
    await heal(nemesis, 1)
    assert (await heal(nemesis, 0))["rounds"]["n1"] >= 1


async def links_beside_servers(cluster: Cluster, nemesis: Nemesis) -> None:
    for number, (links, servers) in enumerate([(SLOW, PAUSE_N1), (CUT, KILL_N1), (SLOW, KILL_N1), (CUT, PAUSE_N1)]):
        await inject(nemesis, 2 * number, links)
        await inject(nemesis, 2 * number + 1, servers)
        await heal(nemesis, 2 * number)
        await heal(nemesis, 2 * number + 1)


async def a_server_that_died_by_itself(cluster: Cluster, nemesis: Nemesis) -> None:
    node = cluster.nodes["n1"]
    await inject(nemesis, 0, PAUSE_N1)
    await node.signal(signal.SIGKILL)

    async def dead() -> bool:
        return await node.state() == "dead"

    await until(dead, "n1 is dead")
    assert (await heal(nemesis, 0))["states"] == {"n1": "dead"}
    with pytest.raises(FaultError, match="the server of n1 is dead before the fault"):
        await inject(nemesis, 1, KILL_N1)
    await heal(nemesis, 1)


STORIES = [
    skew_outlives_a_kill,
    skew_of_the_dead_waits_for_them,
    skew_is_healed_while_its_server_is_dead,
    skew_of_a_paused_server,
    skew_of_a_server_in_restarts,
    links_beside_servers,
    a_server_that_died_by_itself,
]


@pytest.mark.netns
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_faults_beside_one_another(tell: Callable[[Story], None], story: Story) -> None:
    """What a node is hit by at the same time is measured and healed by itself, and nothing of it is left."""
    tell(story)


AIMED = """
[[fault]]
kind = "partition"
at = 2
lasts = 4
params = { shape = "isolate-leader" }

[[fault]]
kind = "pause"
when = "became leader"
delay_ms = 50
lasts = 1
params = { target = "moment" }

[[fault]]
kind = "kill"
when = "log line"
pattern = "this never happens"
until = 5
lasts = 1
params = { target = "moment" }
"""


@pytest.mark.netns
def test_the_new_leader_is_paused_right_after_its_election(tmp_path: Path) -> None:
    """A run with an aimed fault is valid, hits the new leader after its election, and tells what did not come."""
    (tmp_path / "mine.toml").write_text(AIMED)
    words = [*ETCD, "--nemesis", "mine.toml", "--time-limit", "10"]
    done = subprocess.run(
        [COMMAND, *words, "--seed", "1", "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert {fault["kind"]: fault["verified"] for fault in summary["faults"]} == {"partition": True, "pause": True}
    assert any(
        "(kill) did not come: the moment did not come within" in reason and "this never happens" in reason
        for reason in summary["reasons"]
    )
    folder = RunFolder(tmp_path / "store/latest")
    history, record = folder.history(), folder.record()
    assert record is not None
    (pause,) = [fault for fault in history.faults if fault.kind == "pause"]
    moment = pause.params["moment"]
    assert pause.params["nodes"] == [moment["node"]]
    log = (folder.path / "nodes" / moment["node"] / "server.log").read_text()
    line = re.search(rf'"ts":"([^"]+)".*became leader at term {moment["term"]}"', log)
    assert line is not None
    elected_ns = datetime.fromisoformat(line[1]).timestamp() * 1e9 - record.epoch_ns
    lag_ms = (pause.inject_ns - elected_ns) / 1e6
    assert 49 <= lag_ms < 1000, f"injected {lag_ms:.1f} ms after the election"
    assert [op.type for op in history.strangers if op.process == NEMESIS and op.f == "await"].count("ok") == 1


STORM = """
[[fault]]
kind = "clock"
at = 0.5
lasts = 50
params = { target = "one", shape = "offset", offset_ms = 60000 }

[[fault]]
kind = "partition"
at = 0.5
lasts = 50

[[fault]]
kind = "pause"
at = 0.5
lasts = 50
params = { target = "one" }

[[fault]]
kind = "kill"
when = "log line"
pattern = "this never happens"
lasts = 1
params = { target = "moment" }
"""


@contextmanager
def storming(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a run, and wait until three faults are on and a fourth waits for its moment."""
    (folder / "storm.toml").write_text(STORM)
    words = [*ETCD, "--nemesis", "storm.toml", "--time-limit", "60"]
    log = folder / "stderr"
    with log.open("wb") as stderr:
        environment = os.environ | {"TMPDIR": str(folder)}
        run = subprocess.Popen([COMMAND, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=stderr)
    try:

        def all_on() -> bool:
            on = re.findall(r"(\S+, \S+, \S+) on$", log.read_text(), re.MULTILINE)
            return any(set(text.split(", ")) == {"clock", "partition", "pause"} for text in on)

        until_now(lambda: all_on() or run.poll() is not None, "three faults are on", 60)
        assert run.poll() is None, log.read_text()
        yield run
    finally:
        run.kill()
        run.wait()


def servers(folder: Path) -> list[str]:
    """Return the command lines of the servers whose files are below a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [words] if f"{folder}/" in words and "--data-dir" in words else []
    return found


@pytest.mark.netns
def test_an_early_stop_heals_all_that_is_on(tmp_path: Path) -> None:
    """Ctrl-C under overlapping faults heals each of them, measured, ends the wait of another, and leaves nothing."""
    with storming(tmp_path) as run:
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=40) == 130
    folder = RunFolder(tmp_path / "store/latest")
    summary = folder.summary()
    assert summary is not None
    assert {(fault.kind, fault.verified) for fault in summary.faults} == {
        ("clock", True),
        ("partition", True),
        ("pause", True),
    }
    assert not servers(tmp_path)


@pytest.mark.netns
def test_kill_9_under_overlapping_faults_leaves_nothing(tmp_path: Path) -> None:
    """No server is left 5 s after a kill -9 of the harness, and the prefix of the history checks valid."""
    with storming(tmp_path) as run:
        assert servers(tmp_path)
        run.kill()
        run.wait()
        until_now(lambda: not servers(tmp_path), "no server is left", 5)
    done = subprocess.run([COMMAND, "check", "store/latest", "--json"], cwd=tmp_path, capture_output=True, text=True)
    assert json.loads(done.stdout)["verdict"] == "valid", done.stdout + done.stderr
