"""The workload lock: what its client believes and does, and that it finds each bug and accuses no correct lock."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import virtual_runs

from clusters.memory.lock_bugs import LOCK_BUGS
from harness.config import RunConfig
from harness.errors import ContractError, Definite, UsageError
from harness.facets import Grant
from harness.history import History
from harness.op import Call
from harness.verdict import Summary
from tests import virtual_time
from workloads.lock import LockWorkload

SEEDS_MAX = 20
CORRECT_SEEDS = 5


def run(seed: int, folder: Path, **options: str) -> tuple[Summary, History]:
    """Twenty seconds of load under every family of faults, in virtual time."""
    nemesis = ("partition", "pause", "kill")
    return virtual_runs.run(
        RunConfig(
            system="memory",
            workload="lock",
            nemesis=nemesis,
            time_limit_s=20.0,
            interval_s=5.0,
            seed=seed,
            options=options,
        ),
        folder,
    )


@pytest.mark.parametrize("bug", LOCK_BUGS)
def test_every_bug_is_found(bug: str, tmp_path: Path) -> None:
    """One of the first seeds is enough for each."""
    assert any(run(seed, tmp_path, bug=bug)[0].verdict == "invalid" for seed in range(SEEDS_MAX))


def test_correct_locks_are_not_accused(tmp_path: Path) -> None:
    """Under every family of faults the verdict is valid, and what a frozen holder did is told."""
    runs = [run(seed, tmp_path) for seed in range(CORRECT_SEEDS)]
    assert [(summary.verdict, summary.error) for summary, _ in runs] == [("valid", None)] * CORRECT_SEEDS
    reasons = [summary.reasons for summary, _ in runs]
    assert all(len(each) == 1 and each[0].startswith("unsafe but fenced: ") for each in reasons)


def test_a_run_has_all_that_the_promise_is_about(tmp_path: Path) -> None:
    """Every operation succeeds, extends and questions are answered with both yes and no, and holders freeze."""
    history = run(1, tmp_path)[1]
    answers = {
        (op.f, op.value["held"])
        for op in history.events
        if op.type == "ok" and op.f in ("extend", "is_held", "release")
    }
    assert len(answers) == 6
    done = {op.f for op in history.events if op.type == "ok" and isinstance(op.process, int)}
    assert done == {"acquire", "try_acquire", "extend", "is_held", "release", "freeze", "write"}


class Told:
    """A lock that answers as it is told, after a while of virtual time."""

    def __init__(self, *, held: bool = True, takes_s: float = 0.0, ttl_s: float | None = None) -> None:
        self.held, self.takes_s, self.ttl_s = held, takes_s, ttl_s
        self.calls: list[str] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def acquire(self, key: str, ttl_s: float) -> Grant:
        await asyncio.sleep(self.takes_s)
        self.calls.append("acquire")
        return Grant(key=key, id="x", token=5, ttl_s=self.ttl_s)

    try_acquire = acquire

    async def extend(self, grant: Grant, ttl_s: float) -> bool:
        await asyncio.sleep(self.takes_s)
        self.calls.append(f"extend {ttl_s:g}")
        return self.held

    async def release(self, grant: Grant) -> bool:
        self.calls.append("release")
        return self.held

    async def is_held(self, grant: Grant) -> bool:
        self.calls.append("is_held")
        return self.held


TAKE = Call("acquire", "l", {"ttl_s": 2.0})


async def believes(client: Any) -> bool:
    """Say whether the client would write."""
    try:
        await client.invoke(Call("write", "l"))
    except Definite as reason:
        return reason.error != "it does not believe that it holds the lock"
    return True


def test_a_client_believes_from_before_it_asked_until_its_ttl_is_over() -> None:
    """A slow reply shortens the belief, an extend renews it, and the TTL that the service gave counts."""

    async def story() -> None:
        facet = Told(takes_s=0.5)
        client = LockWorkload({}).client(facet)
        assert await client.invoke(TAKE) == {"token": 5, "ttl_s": 2.0, "id": "x"}
        await asyncio.sleep(1.4)
        assert await believes(client)
        assert await client.invoke(Call("extend", "l")) == {"token": 5, "held": True}
        await asyncio.sleep(1.4)
        assert await believes(client)
        await asyncio.sleep(0.2)
        assert not await believes(client)
        assert facet.calls == ["acquire", "extend 2"]
        longer = LockWorkload({}).client(Told(ttl_s=3.0))
        await longer.invoke(TAKE)
        await asyncio.sleep(2.9)
        assert await believes(longer)

    virtual_time.run(story())


@pytest.mark.parametrize("f", ["extend", "is_held"])
def test_a_client_that_is_told_of_its_loss_believes_it(f: str) -> None:
    """The answer no ends the belief at once."""

    async def story() -> None:
        client = LockWorkload({}).client(Told(held=False))
        await client.invoke(TAKE)
        assert await client.invoke(Call(f, "l")) == {"token": 5, "held": False}
        assert not await believes(client)

    virtual_time.run(story())


def test_a_frozen_client_writes_without_another_look_and_only_once() -> None:
    """It looks before it freezes: who does not believe then does not freeze."""

    async def story() -> None:
        client = LockWorkload({}).client(Told())
        await client.invoke(TAKE)
        assert await client.invoke(Call("freeze", "l")) == {"token": 5}
        await asyncio.sleep(9)
        assert await believes(client)
        assert not await believes(client)
        with pytest.raises(Definite, match="does not believe"):
            await client.invoke(Call("freeze", "l"))

    virtual_time.run(story())


def test_the_fence_refuses_what_the_unfenced_resource_takes() -> None:
    """Both resources are shared by a run's clients; each access has the next number."""

    async def story() -> None:
        workload = LockWorkload({})
        one, two = workload.client(Told()), workload.client(Told())
        await one.invoke(TAKE)
        await two.invoke(TAKE)
        two._holdings["l"].grant = Grant(key="l", id="y", token=6)  # type: ignore[attr-defined]
        assert await two.invoke(Call("write", "l")) == {"token": 6, "sequence": 1, "fenced": True}
        assert await one.invoke(Call("write", "l")) == {"token": 5, "sequence": 2, "fenced": False}

    virtual_time.run(story())


def test_without_a_grant_nothing_is_sent() -> None:
    """After a release the client has nothing to extend; and a lock has no other operations."""

    async def story() -> None:
        facet = Told()
        client = LockWorkload({}).client(facet)
        await client.invoke(TAKE)
        with pytest.raises(ContractError, match="no operation 'read'"):
            await client.invoke(Call("read", "l"))
        assert await client.invoke(Call("release", "l")) == {"token": 5, "held": True}
        with pytest.raises(Definite, match="no grant of this lock"):
            await client.invoke(Call("extend", "l"))
        assert facet.calls == ["acquire", "release"]

    virtual_time.run(story())


@pytest.mark.parametrize("text", ["0", "x", "-1", "nan", "1e9"])
def test_a_time_to_live_is_a_number_of_seconds(text: str) -> None:
    """Anything else is refused before a run begins."""
    with pytest.raises(UsageError, match="is no time to live"):
        LockWorkload({"ttl_s": text})
