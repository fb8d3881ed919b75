"""Members in memory: correct by themselves, and each bug shows itself in a scene of its own."""

from __future__ import annotations

from typing import Any

import pytest
from test_memory_watches import play

from clusters.memory.member_bugs import MEMBER_BUGS
from harness.errors import Definite

NODES = ["n1", "n2", "n3"]
ROUNDS = 60


async def names(client: Any) -> list[str]:
    return [member.name for member in await client.members()]


def test_members_come_and_go_and_every_node_knows() -> None:
    """An id is never given again; who is in the list already, or not, cannot be added, or removed; nor can a node."""

    async def scene(clients: list[Any]) -> None:
        leader, follower, _ = clients
        first = await leader.join("s1", "s1")
        assert await names(follower) == [*NODES, "s1"]
        with pytest.raises(Definite, match="a member already"):
            await follower.join("s1", "s1")
        assert await follower.leave("s1") == first.id
        assert await names(leader) == NODES
        with pytest.raises(Definite, match="no member"):
            await follower.leave("s1")
        with pytest.raises(Definite, match="a node"):
            await leader.leave("n2")
        assert (await leader.join("s1", "s1")).id != first.id
        assert await follower.leader() == leader._node.name

    play(scene, "membership")


def test_a_node_that_is_cut_off_tells_what_it_knew() -> None:
    """Of the others it says that they are not healthy; the rest goes on without it."""

    async def scene(clients: list[Any]) -> None:
        leader, _, alone = clients
        await leader.join("s1", "s1")
        await alone._node.block([client._node.ip for client in clients if client is not alone])
        await leader.leave("s1")
        assert {each.name: each.healthy for each in await alone.health()} == {
            name: name == alone._node.name for name in [*NODES, "s1"]
        }
        assert {each.name: each.healthy for each in await leader.health()} == {
            name: name != alone._node.name for name in NODES
        }
        await alone._node.block([])
        assert await names(alone) == NODES

    play(scene, "membership")


@pytest.mark.parametrize("bug", MEMBER_BUGS)
def test_each_bug_breaks_what_the_correct_form_keeps(bug: str) -> None:
    """Within a few changes somebody is told what is not so; without the bug nobody is."""

    async def wrong(clients: list[Any]) -> bool:
        leader, follower, other = clients
        ids = set()
        for number in range(ROUNDS):
            member = await leader.join(f"s{number}", f"s{number}")
            if member.id in ids or await names(follower) != [*NODES, f"s{number}"]:
                return True
            ids.add(member.id)
            if any(each.healthy for each in await other.health() if each.name not in NODES):
                return True
            if [each.name for each in await other.health()] != [*NODES, f"s{number}"]:
                return True
            if await leader.leave(f"s{number}") != member.id or await names(follower) != NODES:
                return True
        return False

    found: list[bool] = []

    async def scene(clients: list[Any]) -> None:
        found.append(await wrong(clients))

    play(scene, "membership", bug)
    play(scene, "membership")
    assert found == [True, False]
