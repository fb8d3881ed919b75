"""Each bug of the register in memory shows itself in a scene of its own; the correct form does not."""

from __future__ import annotations

import asyncio

import pytest
from memory_stage import Stage, on_stage

from clusters.memory import BUGS, Memory
from harness.errors import Definite, UsageError


def test_bug_stale_reads() -> None:
    """After an acknowledged write a follower still gives the value before it, and the leader does not."""

    async def story(stage: Stage) -> None:
        leader = await stage.leader()
        await stage.clients["n1"].write("k", 1)
        found = {name: await client.read("k") for name, client in stage.clients.items()}
        assert found == {name: 1 if name == leader else None for name in stage.nodes}

    on_stage(story, "stale-reads")


def test_bug_lost_writes() -> None:
    """Some of the writes that were acknowledged are not there, seen by the same client; most are."""

    async def story(stage: Stage) -> None:
        lost = 0
        for value in range(500):
            await stage.clients["n1"].write("k", value)
            lost += await stage.clients["n1"].read("k") != value
        assert 0 < lost < 50

    on_stage(story, "lost-writes")


def test_bug_split_brain() -> None:
    """Without a partition it is correct; in one each side serves its own value; after it one side's write is gone."""

    async def story(stage: Stage) -> None:
        one, two = stage.clients["n1"], stage.clients["n5"]
        await one.write("k", 0)
        assert await two.read("k") == 0
        await stage.split("n1 n2", "n3 n4 n5")
        await one.write("k", 1)
        await two.write("k", 2)
        assert [await client.read("k") for client in stage.clients.values()] == [1, 1, 2, 2, 2]
        await stage.split()
        after = {await client.read("k") for client in stage.clients.values()}
        assert after in ({1}, {2})

    for seed in range(10):
        on_stage(story, "split-brain", seed=seed)


def test_bug_dirty_reads() -> None:
    """A write that failed for certain is read by everybody, until the next write."""

    async def story(stage: Stage) -> None:
        refused = 0
        for value in range(500):
            try:
                await stage.clients["n1"].write("k", value)
            except Definite:
                refused += 1
            assert {await client.read("k") for client in stage.clients.values()} == {value}
        assert 0 < refused < 50

    on_stage(story, "dirty-reads")


def test_bug_non_atomic_cas() -> None:
    """Two concurrent cas from the same value both succeed."""

    async def story(stage: Stage) -> None:
        both = await asyncio.gather(stage.clients["n1"].cas("k", None, 1), stage.clients["n2"].cas("k", None, 2))
        assert both == [None, None]
        with pytest.raises(Definite):
            await stage.clients["n1"].cas("k", None, 3)

    on_stage(story, "non-atomic-cas")


def test_the_correct_form_has_none_of_the_bugs() -> None:
    """The scenes in which the bugs show themselves end well on the correct form."""

    async def story(stage: Stage) -> None:
        await stage.clients["n1"].write("k", 0)
        assert [await client.read("k") for client in stage.clients.values()] == [0] * 5
        cas = (stage.clients[name].cas("k", 0, number) for number, name in enumerate(stage.nodes, 1))
        results = await asyncio.gather(*cas, return_exceptions=True)
        assert sorted(isinstance(result, Definite) for result in results) == [False, True, True, True, True]

    on_stage(story)


def test_bugs_are_listed_and_an_unknown_one_is_refused() -> None:
    """The system lists its bugs with one line each; another one is a UsageError that names them."""
    assert set(Memory.bugs) == set(BUGS) >= {"stale-reads", "lost-writes", "split-brain"}
    assert all(0 < len(summary) <= 100 for summary in Memory.bugs.values())
    with pytest.raises(UsageError, match="memory has no bug 'fire'") as caught:
        Memory("", {"bug": "fire"})
    assert "split-brain" in caught.value.hint
