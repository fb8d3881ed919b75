"""The register in memory is linearizable whatever happens; it fails, hangs and tells its leader as a real one does."""

from __future__ import annotations

import asyncio
import signal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_stage import Stage, on_stage, turns

from clusters.memory import Memory, MemoryBackend
from clusters.memory.replicas import Replica, Replicas
from clusters.noop import Noop
from harness.errors import ClusterError, Definite, Indefinite, UsageError
from harness.protocols import HasStatus, Node


class Checked(Replicas):
    """The correct form, each of whose effects is compared with one plain dictionary at the same instant.

    An effect lies between its operation's invocation and completion, so that agreement means linearizability.
    """

    def __init__(self, nodes: Any, random: Random) -> None:
        super().__init__(nodes, random)
        self.plain: dict[Any, Any] = {}
        self.led: dict[int, str] = {}

    def read(self, replica: Replica, key: Any) -> Any:
        value = super().read(replica, key)
        assert value == self.plain.get(key)
        return value

    def write(self, replica: Replica, key: Any, value: Any) -> None:
        super().write(replica, key, value)
        self.plain[key] = value

    def cas(self, replica: Replica, key: Any, old: Any, new: Any) -> None:
        before = self.plain.get(key)
        if before == old:
            super().cas(replica, key, old, new)
            return
        with pytest.raises(Definite) as caught:
            super().cas(replica, key, old, new)
        assert caught.value.observed == before

    def regroup(self) -> None:
        super().regroup()
        serving = [replica for replica in self._replicas.values() if replica.group is not None]
        assert len({id(replica.group) for replica in serving}) <= 1
        assert not serving or len(serving) >= self.quorum
        assert all(replica.node.running for replica in serving)
        for replica in serving:
            assert replica.leader is not None
            assert self.led.setdefault(replica.term, replica.leader) == replica.leader


five = {"min_size": 5, "max_size": 5}
scenes = st.tuples(
    st.lists(st.sampled_from("aaabc"), **five),  # the side of each node
    st.lists(st.sampled_from(["running", "running", "running", "paused", "dead"]), **five),
    st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=3),  # one-way cuts: receiver, source
    st.lists(st.tuples(st.sampled_from(["read", "write", "cas"]), st.integers(0, 4), st.integers(0, 3)), max_size=5),
)


@given(st.lists(scenes, max_size=12), st.integers(0, 2**32))
def test_the_correct_form_is_one_register(scenes: list[Any], seed: int) -> None:
    """Whatever operations and faults come, and whoever is elected, every effect is as on one plain register."""

    async def story(stage: Stage) -> None:
        checked = Checked(list(stage.nodes.values()), Random(seed))
        checked.regroup()
        for sides, states, one_way, operations in scenes:
            await arrange(stage, sides, states, one_way)
            for what, number, value in operations:
                act(checked, what, f"n{number + 1}", value)

    on_stage(story)


async def arrange(stage: Stage, sides: list[str], states: list[str], one_way: set[tuple[int, int]]) -> None:
    """Give every node its rules and its server's state."""
    nodes = list(stage.nodes.values())
    for at, (node, state) in enumerate(zip(nodes, states, strict=True)):
        cut = {source for source, side in enumerate(sides) if side != sides[at]}
        cut |= {source for receiver, source in one_way if receiver == at != source}
        await node.block([nodes[source].ip for source in cut])
        if state == "dead":
            await node.signal(signal.SIGKILL)
        elif node.dead():
            await stage.system.start(node)
        if state != "dead":
            await node.signal(signal.SIGSTOP if state == "paused" else signal.SIGCONT)


def act(checked: Checked, what: str, name: str, value: int) -> None:
    """Do an operation, if the node serves."""
    replica = checked[name]
    if replica.group is None:
        return
    if what == "read":
        checked.read(replica, "k")
    elif what == "write":
        checked.write(replica, "k", value)
    else:
        checked.cas(replica, "k", value, value + 1)


def test_it_serves_whatever_majority_is_left() -> None:
    """Whenever a majority of live nodes see each other, each of them serves; a minority never does."""

    async def story(stage: Stage) -> None:
        await stage.split("n1 n2", "n3 n4 n5")
        assert [await stage.system.ready(node) for node in stage.nodes.values()] == [False, False, True, True, True]
        await stage.split("n1 n2 n3", "n4 n5")
        assert [await stage.system.ready(node) for node in stage.nodes.values()] == [True, True, True, False, False]
        await stage.nodes["n1"].signal(signal.SIGKILL)
        assert not any([await stage.system.ready(node) for node in stage.nodes.values()])
        await stage.split()
        assert [await stage.system.ready(node) for node in stage.nodes.values()] == [False, True, True, True, True]

    on_stage(story)


def test_an_old_leader_steps_down() -> None:
    """A leader that was cut off does not lead again when its successor dies, though all the others see it."""

    async def story(stage: Stage) -> None:
        old = await stage.leader()
        others = " ".join(name for name in stage.nodes if name != old)
        await stage.split(old, others)
        new = await stage.leader()
        await stage.clients[new].write("k", 1)
        await stage.nodes[new].block([stage.nodes[old].ip])
        for name in [old, *others.split()]:
            await stage.nodes[name].block([stage.nodes[new].ip] if name == old else [])
        await stage.nodes[new].signal(signal.SIGKILL)
        assert {await stage.clients[name].read("k") for name in stage.nodes if name != new} == {1}
        assert (await stage.system.status(stage.nodes[old])).term == 3

    on_stage(story)


def test_a_minority_hangs_until_the_heal() -> None:
    """A write on the smaller side waits, and takes effect when the partition is gone."""

    async def story(stage: Stage) -> None:
        await stage.clients["n3"].write("k", 1)
        await stage.split("n1 n2", "n3 n4 n5")
        late = asyncio.ensure_future(stage.clients["n1"].write("k", 2))
        await turns()
        assert not late.done()
        assert await stage.clients["n5"].read("k") == 1
        await stage.split()
        await late
        assert [await client.read("k") for client in stage.clients.values()] == [2] * 5

    on_stage(story)


def test_one_way_links_do_not_serve() -> None:
    """A node that is heard but hears nobody serves nobody, though its packets arrive."""

    async def story(stage: Stage) -> None:
        others = [node.ip for node in stage.nodes.values() if node.name != "n1"]
        await stage.nodes["n1"].block(others)
        assert not await stage.system.ready(stage.nodes["n1"])
        assert all([await stage.system.ready(stage.nodes[name]) for name in ("n2", "n3", "n4", "n5")])

    on_stage(story)


def test_dead_nodes_refuse_and_paused_nodes_hang() -> None:
    """An operation on a dead node fails for certain; on a paused one it waits; its data survive both."""

    async def story(stage: Stage) -> None:
        client, node = stage.clients["n1"], stage.nodes["n1"]
        await client.write("k", 1)
        await node.signal(signal.SIGKILL)
        with pytest.raises(Definite, match="the server of n1 is dead"):
            await client.write("k", 2)
        with pytest.raises(ConnectionRefusedError):
            await client.open()
        await stage.system.start(node)
        assert await client.read("k") == 1
        await node.signal(signal.SIGSTOP)
        read = asyncio.ensure_future(client.read("k"))
        await turns()
        assert not read.done()
        await stage.clients["n2"].write("k", 3)
        await node.signal(signal.SIGCONT)
        assert await read == 3

    on_stage(story)


def test_data_survive_the_death_of_all() -> None:
    """After every server was killed and restarted, what was acknowledged is there."""

    async def story(stage: Stage) -> None:
        await stage.clients["n4"].write("k", 1)
        for node in stage.nodes.values():
            await node.signal(signal.SIGKILL)
        for node in stage.nodes.values():
            await stage.system.start(node)
        assert await stage.clients["n2"].read("k") == 1

    on_stage(story)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_reply_that_is_lost_leaves_it_open(number: int) -> None:
    """A node that dies between effect and reply makes the write indefinite; one that is paused answers later."""

    async def story(stage: Stage) -> None:
        node = stage.nodes["n1"]
        write = asyncio.ensure_future(stage.clients["n1"].write("k", 1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # it has taken effect, and is a turn away from its reply
        await node.signal(number)
        await turns()
        assert await stage.clients["n2"].read("k") == 1
        if number == signal.SIGSTOP:
            assert not write.done()
            await node.signal(signal.SIGCONT)
            await write
        else:
            with pytest.raises(Indefinite, match="the server of n1 died"):
                await write

    on_stage(story)


def test_status_tells_one_leader_of_the_term() -> None:
    """All nodes name the leader of the newest term; one that is cut off keeps its old belief; the dead are silent."""

    async def story(stage: Stage) -> None:
        assert isinstance(stage.system, HasStatus)
        old = await stage.leader()
        term = (await stage.system.status(stage.nodes[old])).term or 0
        await stage.split(old, " ".join(set(stage.nodes) - {old}))
        new = await stage.leader()
        assert new != old
        cut_off = await stage.system.status(stage.nodes[old])
        assert (cut_off.role, cut_off.term, cut_off.leader) == ("leader", term, old)
        await stage.split()
        statuses = [await stage.system.status(node) for node in stage.nodes.values()]
        assert {(status.term, status.leader) for status in statuses} == {(term + 1, new)}
        assert sorted(status.role for status in statuses) == ["follower"] * 4 + ["leader"]
        await stage.clients[old].write("k", 1)
        assert {(await stage.system.status(node)).revision for node in stage.nodes.values()} == {1}
        for node in stage.nodes.values():
            await node.signal(signal.SIGKILL)
        await stage.system.start(stage.nodes[new])
        restarted = await stage.system.status(stage.nodes[new])
        assert (restarted.role, restarted.leader) == ("candidate", None)
        with pytest.raises(ClusterError, match=f"{old} does not answer: its server is dead"):
            await stage.system.status(stage.nodes[old])
        assert b"elected" in await stage.nodes[new].read(stage.system.logs[0])

    on_stage(story)


def test_values_and_keys_are_any_json() -> None:
    """Keys and values compare as JSON does: a list is a key, and true is not 1."""

    async def story(stage: Stage) -> None:
        client = stage.clients["n1"]
        await client.write(["a", 1], {"x": [1]})
        assert await client.read(["a", 1]) == {"x": [1]}
        assert await client.read(["a", True]) is None
        await client.cas(["a", 1], {"x": [1]}, 1)
        with pytest.raises(Definite) as caught:
            await client.cas(["a", 1], True, 2)
        assert caught.value.observed == 1

    on_stage(story)


def test_a_second_boot_starts_empty() -> None:
    """Standing machines that were wiped give a fresh register."""

    async def story(stage: Stage) -> None:
        await stage.clients["n1"].write("k", 1)
        for node in stage.nodes.values():
            await node.wipe()
        await stage.system.boot(list(stage.nodes.values()))
        assert await Stage(stage.system, list(stage.nodes.values())).clients["n1"].read("k") is None

    on_stage(story)


@pytest.mark.parametrize("system", [Memory, Noop])
def test_what_is_wrong_to_ask_for(system: type[Memory | Noop]) -> None:
    """An unknown version is a UsageError, and so are nodes of another backend."""
    assert system().version == system("1").version == "1"
    with pytest.raises(UsageError, match="has no version '7'"):
        system("7")

    class Elsewhere:
        name = "n1"

    nodes: list[Node] = [Elsewhere()]  # type: ignore[list-item]
    with pytest.raises(UsageError, match="runs on the backend memory only"):
        asyncio.run(system().boot(nodes))


def test_noop_says_ok_and_reads_nothing() -> None:
    """Every operation succeeds, and a read after a write gives None."""

    async def run() -> None:
        backend = MemoryBackend("test")
        nodes = await backend.up(["n1"], [])
        system = Noop()
        await system.boot(nodes)
        assert await system.ready(nodes[0])
        client: Any = system.facets["register"](nodes[0], {})
        await client.open()
        await client.write("k", 1)
        await client.cas("k", 5, 6)
        assert await client.read("k") is None
        await client.close()

    asyncio.run(run())
