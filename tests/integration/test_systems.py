"""Every other system than etcd on real machines: it boots, replaces its leader, keeps its data, and a run judges it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from judged import judged
from waiting import until

from harness.errors import OpError
from harness.protocols import Backend, Node, NodeStatus
from harness.registry import find_system, split_system

PATIENCE_S: Final = 40.0
OPERATION_S: Final = 2.0

Run = Callable[..., Any]


class Subject(NamedTuple):
    """A system under test, as `kingslayer run` names it.

    Attributes:
        nodes: of its cluster.
        elects: within a second or two; elections of NATS take from four to nine.
    """

    name: str
    nodes: int = 3
    elects: bool = True

    def make(self) -> Any:
        name, version = split_system(self.name)
        return find_system(name)(version, {})


SUBJECTS: Final = (
    Subject("zookeeper:3.8.0"),
    Subject("zookeeper:3.9.3"),
    Subject("zookeeper:3.9.6"),
    Subject("consul"),
    Subject("redis"),
    Subject("nats:2.9.10", elects=False),
    Subject("nats:2.10.27", elects=False),
    Subject("nats:2.15.1", elects=False),
)


async def statuses_of(system: Any, nodes: Sequence[Node]) -> dict[str, NodeStatus]:
    """Return the status of every node that answers."""
    answers = await asyncio.gather(*(system.status(node) for node in nodes), return_exceptions=True)
    return {node.name: answer for node, answer in zip(nodes, answers, strict=True) if isinstance(answer, NodeStatus)}


async def read(system: Any, node: Node, key: str) -> Any:
    register = system.facets["register"](node, {})
    try:
        async with asyncio.timeout(OPERATION_S):
            await register.open()
            return await register.read(key)
    finally:
        await register.close()


async def write(system: Any, node: Node, key: str, value: Any) -> None:
    register = system.facets["register"](node, {})
    try:
        async with asyncio.timeout(OPERATION_S):
            await register.open()
            await register.write(key, value)
    finally:
        await register.close()


async def kill(nodes: Sequence[Node]) -> None:
    async def dead() -> bool:
        return {await node.state() for node in nodes} == {"dead"}

    for node in nodes:
        await node.signal(signal.SIGKILL)
    await until(dead, "killed servers are dead", PATIENCE_S)


class Watcher:
    """Looks at every node's status, and holds what must be true of all answers together."""

    def __init__(self, system: Any, nodes: Sequence[Node]) -> None:
        self.system, self.nodes = system, nodes
        self.terms: dict[str, int] = {}
        self.leaders: dict[int, str] = {}
        self.nameless: str | None = None

    async def leader(self, after: int = -1) -> str | None:
        """Return who leads in a term that is newer than `after`."""
        for name, status in (await statuses_of(self.system, self.nodes)).items():
            if status.term is not None:
                assert status.term >= self.terms.get(name, 0), f"{name} went back in its terms"
                self.terms[name] = status.term
            if status.role == "leader":
                assert status.leader == name
                if status.term is None:  # nothing tells its leaderships apart
                    self.nameless = name
                    continue
                assert self.leaders.setdefault(status.term, name) == name, f"two leaders in term {status.term}"
        newest = max(self.leaders, default=-1)
        return self.leaders[newest] if newest > after else self.nameless


async def lives(_: Backend, nodes: Sequence[Node], subject: Subject) -> None:
    system = subject.make()
    await asyncio.gather(*(node.wipe() for node in nodes))
    await system.boot(nodes)
    assert all(await asyncio.gather(*(system.ready(node) for node in nodes)))
    for turn, node in enumerate(nodes):
        await write(system, node, "k", turn)
        assert [await read(system, other, "k") for other in nodes] == [turn] * len(nodes)
    watcher, by_name = Watcher(system, nodes), {node.name: node for node in nodes}

    async def led(after: int = -1) -> bool:
        return await watcher.leader(after) is not None

    await until(led, "somebody leads", PATIENCE_S)
    if not subject.elects:
        return
    term, old = max(watcher.leaders, default=-1), by_name[str(await watcher.leader())]
    await kill([old])
    watcher.nameless = None
    assert not await system.ready(old)
    await until(lambda: led(term), "another leads", PATIENCE_S)
    await system.start(old)
    await until(lambda: system.ready(old), "the old leader serves again", PATIENCE_S)

    async def written() -> bool:
        try:
            await write(system, old, "k", "after")
        except (OpError, OSError):  # a time-out too: it may serve before it knows the new leader
            return False
        return True

    await until(written, "the old leader takes a write", PATIENCE_S)
    await kill(nodes)
    await asyncio.gather(*(system.start(node) for node in nodes))
    for node in nodes:
        await until(lambda node=node: system.ready(node), f"{node.name} serves again", PATIENCE_S)  # type: ignore[misc]

    async def kept() -> bool:
        try:
            return bool(await read(system, old, "k") == "after")
        except (OpError, OSError):
            return False

    await until(kept, "what was acknowledged is there", PATIENCE_S)
    assert await led()


@pytest.mark.netns
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_it_boots_replaces_its_leader_and_keeps_its_data(on_netns: Run, subject: Subject) -> None:
    """By the nodes' own word terms only grow and each has one leader; nothing that was acknowledged is lost."""
    on_netns(lives, subject, nodes=subject.nodes, paths=asyncio.run(subject.make().install()))


class Whole(NamedTuple):
    """A whole run of the command.

    Attributes:
        system: with its version.
        words: more of the command line.
        verdicts: that it may end with.
        ok: operations that succeed at least.
        digests: nodes that tell what their data amounts to, at least.
        limit_s, interval_s: of the run, where the machine is fast enough for them.
    """

    system: str
    backend: str
    words: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ("valid",)
    ok: int = 100
    digests: int = 0
    limit_s: float = 4
    interval_s: float = 1.6


NODES: Final = ("--nodes", "3", "--nemesis")
LEASE: Final = ("--workload", "lease", *NODES, "partition,kill")
ELECTION: Final = ("--workload", "election", "--option", "ttl_s=1", *NODES, "partition,kill")

WHOLE: Final = (
    Whole("zookeeper:3.9.6", "docker", (*NODES, "partition,kill"), digests=2, limit_s=10, interval_s=4),
    Whole("zookeeper:3.9.6", "netns", (*NODES, "partition", "--reads", "plain"), ("invalid",)),
    Whole("zookeeper:3.9.6", "netns", LEASE, ok=30),
    Whole("nats", "netns", (*NODES, "kill"), limit_s=8, interval_s=6),
    Whole("redis", "docker", (*NODES, "partition,kill"), ("valid", "invalid")),
    Whole("consul", "netns", (*NODES, "partition,kill")),
    Whole("consul", "netns", ELECTION, ok=20),
)


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(whole, marks=getattr(pytest.mark, whole.backend), id="-".join(whole[:2] + whole.words))
        for whole in WHOLE
    ],
)
def test_a_run_ends_with_its_verdict_and_leaves_nothing_behind(tmp_path: Path, whole: Whole) -> None:
    """Under verified faults it keeps its promises, or is found out where it promises nothing."""
    words = (whole.system, "--backend", whole.backend, "--rate", "200", "--seed", "3", *whole.words)
    done, summary = judged(
        tmp_path, *words, limit_s=whole.limit_s, interval_s=whole.interval_s, verdicts=whole.verdicts, ok=whole.ok
    )
    assert summary["faults"]
    assert all(fault["verified"] for fault in summary["faults"])
    history = tmp_path.joinpath(summary["store"], "history.jsonl").read_text().splitlines()
    assert len({line["process"] for line in map(json.loads, history) if is_digest(line)}) >= whole.digests
    assert "Traceback" not in done.stderr
    assert "never retrieved" not in done.stderr
    assert not servers_below(tmp_path)


def is_digest(event: dict[str, Any]) -> bool:
    return (event["f"], event["type"]) == ("digest", "ok")


def servers_below(folder: Path) -> list[str]:
    """Return the command lines of processes that work below `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cwd").readlink().is_relative_to(folder):
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found
