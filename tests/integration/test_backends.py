"""Both backends, as a run uses them: machines, network, and nothing left behind, however the harness ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from outliving import SIGN, remove, signed_environment
from waiting import until, until_now

from clusters import engine, leftovers, owner
from clusters.carrier import AgentGone, Carrier
from clusters.docker import DockerBackend
from clusters.node import RemoteNode
from harness.errors import ClusterError, UsageError
from harness.protocols import Backend, Right

Run = Callable[..., Any]
Nodes = Sequence[RemoteNode]

SILENT_CLIENT = """
import socket, sys
connection = socket.create_connection((sys.argv[1], 8000), timeout=20)
open("connected", "w").close()
try:
    print("closed" if connection.recv(1) == b"" else "data")
except ConnectionError as error:
    print(type(error).__name__)
"""


async def hears(node: RemoteNode, others: Iterable[RemoteNode]) -> frozenset[str]:
    """Return whom `node` hears when every other node sends it a packet."""
    await node.probe_reset()
    for other in others:
        await other.probe_send([node.ip])
    return (await node.probe()).heard


async def serves(node: RemoteNode) -> None:
    """Start a server on port 8000 and wait until this process reaches it."""
    await node.start(["python3", "-m", "http.server", "8000", "--bind", node.ip])

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection(node.ip, 8000)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    await until(answers, f"{node.name} serves", 10)


async def machines(backend: Backend, nodes: Nodes, path: str, content: str) -> None:
    assert [node.name for node in nodes] == ["n1", "n2", "n3", "n4", "n5"]
    assert len({node.ip for node in nodes}) == 5
    for node in nodes:
        assert await hears(node, nodes) == frozenset(other.ip for other in nodes)
        assert await node.run(["ls", "-A"]) == (0, "")
        assert await node.run(["cat", path]) == (0, content)
    await serves(nodes[2])
    assert backend.describe().startswith(backend.name)


def test_machines_reach_each_other_and_the_harness_reaches_them(on_backend: Run, tmp_path: Path) -> None:
    """Five fresh nodes hear each other, read the given paths at the same place, and serve this process."""
    path = tmp_path / "given"
    path.write_text("content")
    on_backend(machines, str(path), "content", nodes=5, paths=[path])


async def partition(_: Backend, nodes: Nodes) -> None:
    first, second, third = nodes
    await first.block([second.ip])
    assert await first.blocked() == {second.ip}
    assert await hears(first, [second, third]) == {third.ip}
    assert (await first.probe()).dropped == {second.ip}
    await first.probe_reset()
    assert await first.probe() == (frozenset(), frozenset())
    assert await hears(second, [first, third]) == {first.ip, third.ip}
    await first.block([third.ip])
    assert await first.blocked() == {third.ip}
    assert await hears(first, [second, third]) == {second.ip}
    await first.block([])
    assert await first.blocked() == frozenset()
    assert await hears(first, [second, third]) == {second.ip, third.ip}
    assert (await first.probe()).dropped == frozenset()


def test_a_block_drops_exactly_its_sources_and_is_evident(on_backend: Run) -> None:
    """Blocked sources are listed, unheard and counted as dropped, one way only; a new set replaces the old one."""
    on_backend(partition)


async def cut_connections(_: Backend, nodes: Nodes) -> None:
    server, client = nodes
    await serves(server)
    reader, writer = await asyncio.open_connection(server.ip, 8000)
    silent = asyncio.create_task(client.run(["python3", "-c", SILENT_CLIENT, server.ip], timeout_s=20))

    async def connected() -> bool:
        return "connected" in (await client.run(["ls"]))[1]

    await until(connected, "the client is connected")
    await client.reset_connections()
    assert await silent == (0, "ConnectionAbortedError\n")
    await server.reset_connections()
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.0 200")
    writer.close()
    await writer.wait_closed()


def test_a_reset_cuts_the_connections_between_nodes_only(on_backend: Run) -> None:
    """A node's connections to its peers are cut at once; the harness's own to the node live on."""
    on_backend(cut_connections, nodes=2)


async def nothing(*_: Any) -> None:
    """Do nothing on the cluster."""


async def another(backend: Backend, nodes: Nodes) -> None:
    second = type(backend)("feed" + backend.run_id)  # type: ignore[call-arg]
    try:
        others = await second.up(["n1", "n2"], [])
        assert not {node.ip for node in others} & {node.ip for node in nodes}
        assert await hears(nodes[0], nodes) == {node.ip for node in nodes}
        await others[0].run(["touch", "mark"])
        assert await nodes[0].run(["ls"]) == (0, "")
        assert [line for line in leftovers.clean() if backend.run_id in line] == []
    finally:
        await second.down()
    assert await hears(nodes[0], nodes) == {node.ip for node in nodes}


def test_two_clusters_at_once_do_not_meet(on_backend: Run) -> None:
    """A second cluster has its own names, addresses and folders; neither it nor a clean-up touches a living one."""
    on_backend(another, nodes=2)


def test_a_cluster_that_cannot_be_says_why(on_backend: Run, tmp_path: Path) -> None:
    """A path that is not there, and a cluster of no nodes, are refused by name before anything is made."""
    with pytest.raises(ClusterError, match="missing is not there"):
        on_backend(nothing, paths=[tmp_path / "missing"])
    with pytest.raises(UsageError, match="0 nodes"):
        on_backend(nothing, nodes=0)


def ours(run_id: str) -> list[str]:
    """Return what Docker has of a run."""
    client = engine.connect()
    mine = {"label": f"{owner.PREFIX}run={run_id}"}
    try:
        return [row["Id"] for row in client.api.containers(all=True, filters=mine) + client.api.networks(filters=mine)]
    finally:
        client.close()


@pytest.mark.docker
def test_an_up_that_is_cut_off_leaves_nothing() -> None:
    """Whenever `up` is cancelled, in the midst of making containers too, everything it made is gone when it returns."""

    async def cut_off(run_id: str, delay_s: float) -> None:
        backend = DockerBackend(run_id)
        going_up = asyncio.create_task(backend.up(["n1", "n2", "n3"], []))
        await asyncio.wait([going_up], timeout=delay_s)
        if going_up.cancel():
            with pytest.raises(asyncio.CancelledError):
                await going_up
        else:
            await backend.down()

    for delay_s in (0.05, 0.4, 0.8):
        run_id = f"cut{int(delay_s * 100)}x{os.getpid():x}"
        asyncio.run(cut_off(run_id, delay_s))
        assert ours(run_id) == []


HARNESS = (
    SIGN
    + """
import asyncio, json, os, signal, sys, time
name, run_id = sys.argv[1:]
from clusters.docker import DockerBackend
from clusters.netns import NetnsBackend
backend = {"docker": DockerBackend, "netns": NetnsBackend}[name](run_id)
backend.enter()
async def main():
    nodes = await backend.up(["n1", "n2", "n3"], [], ["filter", "trace"])
    for node in nodes:
        await node.start(["sleep", "4242"])
        await node.block([other.ip for other in nodes if other is not node])
        if os.uname().machine == "x86_64":
            await node.skew([(0.01, 10**12, 0), (0.01, 0, 0)], ["realtime"])
        await node.shape({other.ip: {"loss": 0.5, "delay_ms": 9000} for other in nodes if other is not node})
    await nodes[0].signal(signal.SIGSTOP)
    await nodes[1].duty(0.1, 0.9)
    holder = os.fork()  # a child that holds copies of the pipes
    if holder == 0:
        time.sleep(60)
        os._exit(0)
    spaces = [os.readlink(f"/proc/{node.carrier.pid}/ns/net") for node in nodes]
    print(json.dumps({"holder": holder, "spaces": spaces}), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
)


def live_spaces() -> set[str]:
    """Return the network namespaces that any process is in."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.add(str((process / "ns" / "net").readlink()))
        except OSError:
            continue
    return found


def inside(container: str, *argv: str) -> str:
    """Run a command in a container that may have outlived its harness."""
    return subprocess.run(["docker", "exec", container, *argv], capture_output=True, text=True, timeout=20).stdout


def healed(name: str, run_id: str, spaces: set[str]) -> Callable[[], bool]:
    """Return how to see that no server, rule or paused process of a dead run is left."""

    def in_containers() -> bool:
        machines = [f"kingslayer-{run_id}-n{number}" for number in (1, 2, 3)]
        rules = "".join(inside(machine, "iptables", "-S") for machine in machines)
        running = "".join(inside(machine, "ps", "-eo", "args") for machine in machines)
        assert running.count("sleep infinity") >= 3, "the machines themselves stand"
        return "DROP" not in rules and "NFQUEUE" not in rules and "4242" not in running and "agent" not in running

    return in_containers if name == "docker" else lambda: not spaces & live_spaces()


def test_a_harness_killed_by_force_leaves_no_fault_behind(backend_name: str) -> None:
    """After kill -9, within 5 s, no server, rule, namespace or paused process is left, though a fork of it lives on."""
    run_id = f"dead{os.getpid():x}"
    argv = [sys.executable, "-c", HARNESS, backend_name, run_id]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=signed_environment()) as harness:
        assert harness.stdout is not None
        told = json.loads(harness.stdout.readline())
        try:
            assert [line for line in leftovers.clean() if run_id in line] == []
            assert set(told["spaces"]) <= live_spaces()
            harness.kill()
            harness.wait()
            until_now(healed(backend_name, run_id, set(told["spaces"])), "all is healed")
        finally:
            os.kill(told["holder"], signal.SIGKILL)
            removed = remove()
    assert removed == (4 if backend_name == "docker" else 1)
    if backend_name == "docker":
        assert ours(run_id) == []


@pytest.mark.docker
def test_without_an_engine_docker_says_so_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """No binary and no engine each give a reason and a remedy within a second, from the probe and from `up`."""
    backend = DockerBackend("0")
    started = time.monotonic()
    with monkeypatch.context() as patch, tempfile.TemporaryDirectory() as empty:
        patch.setenv("DOCKER_HOST", f"unix://{empty}/no.sock")
        why = backend.probe()
        assert why is not None
        assert "no Docker engine answers" in why.reason
        assert "DOCKER_HOST" in why.remedy
        with pytest.raises(ClusterError, match="no Docker engine answers"):
            asyncio.run(backend.up(["n1"], []))
        patch.setenv("PATH", empty)
        why = backend.probe()
        assert why is not None
        assert "not installed" in why.reason
    assert time.monotonic() - started < 2


async def killed_agent(backend: Backend, nodes: Nodes) -> None:
    node = nodes[0]
    await node.start(["sleep", "600"])
    await node.block([nodes[1].ip])
    with pytest.raises(AgentGone):
        await node.run(["sh", "-c", "kill -9 $PPID"])
    prefix = ["docker", "exec", "-i", f"kingslayer-{backend.run_id}-n1"]  # type: ignore[attr-defined]
    second = RemoteNode(node.name, node.ip, node.folder, await Carrier.open(prefix, "n1"))
    try:
        assert nodes[1].ip in (await second.run(["iptables", "-S"]))[1]
        await second.setup([other.ip for other in nodes], [Right.FILTER])
        assert await second.blocked() == frozenset()
        assert nodes[1].ip not in (await second.run(["iptables", "-S"]))[1]

        async def alone() -> bool:
            return "sleep 600" not in (await second.run(["ps", "-eo", "args"]))[1]

        await until(alone, "the server died with its agent")
    finally:
        await second.carrier.close()


@pytest.mark.docker
def test_what_a_killed_agent_left_is_healed_by_the_next(on_docker: Run) -> None:
    """An agent that dies by kill -9 takes its server along, and the next agent on the machine clears its rules."""
    on_docker(killed_agent, nodes=2)


ROOTLESS = """
import asyncio, os
from clusters.netns import NetnsBackend
backend = NetnsBackend(f"free{os.getpid():x}")
assert backend.probe() is None, backend.probe()
backend.enter()
async def main():
    first, second = await backend.up(["n1", "n2"], [], ["filter", "trace"])
    try:
        await first.block([second.ip])
        for node in (first, second):
            await node.probe_send([first.ip, second.ip])
        await first.start(["sleep", "600"])
        if os.uname().machine == "x86_64":
            await first.skew([(1000, 10**12, 0)], ["realtime"])
            assert (await first.clock())[0].readings["realtime"].offset_ns > 10**11
            await first.unskew()
        print(sorted((await first.probe()).heard) == [first.ip], (await first.probe()).dropped == {second.ip})
    finally:
        await backend.down()
asyncio.run(main())
"""


@pytest.mark.netns
def test_netns_needs_no_privilege() -> None:
    """A process without CAP_SYS_ADMIN, although numpy has started threads in it, gets its nodes all the same."""
    without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"] if os.getuid() == 0 else []
    done = subprocess.run([*without, sys.executable, "-c", ROOTLESS], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("True True\n", "")
