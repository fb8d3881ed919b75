"""The register workload: what it asks of clients, and what its client makes of it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from random import Random
from typing import Any

import pytest

from checkers import Linearizable
from checkers.liveness import Liveness
from harness.errors import ContractError, Definite, UsageError
from harness.generator import Context, Generator, Wait
from harness.op import Call
from workloads import WORKLOADS, find
from workloads.register import CLIENTS_PER_KEY, OPS_PER_KEY, RegisterWorkload

CLIENTS = 20


def asked(generator: Generator, count: int, seed: int = 1) -> list[tuple[int, Call]]:
    """What CLIENTS workers in turn are asked for, every operation ending before the next; each with its worker."""
    source = generator.start(Random(seed))
    contexts = [Context(worker, worker, CLIENTS, CLIENTS) for worker in range(CLIENTS)]
    found: list[tuple[int, Call]] = []
    while len(found) < count and contexts:
        context = contexts.pop(0)
        call = source.next(context)
        assert not isinstance(call, Wait)
        if call is not None:
            found.append((context.worker, call))
            for ended in context.on_end:
                ended("ok")
            context.on_end = []
            contexts.append(context)
    return found


def test_the_mix() -> None:
    """Half reads, a quarter writes, a quarter cas."""
    count = Counter(call.f for _, call in asked(RegisterWorkload({}).generator(), 20_000))
    assert count["read"] / 20_000 == pytest.approx(0.5, abs=0.02)
    assert count["write"] / 20_000 == pytest.approx(0.25, abs=0.02)
    assert count["cas"] / 20_000 == pytest.approx(0.25, abs=0.02)


def test_keys_rotate_and_several_clients_share_one() -> None:
    """Each key has OPS_PER_KEY operations, by one group of CLIENTS_PER_KEY neighbours; all groups work at once."""
    calls = asked(RegisterWorkload({}).generator(), 20_000)
    workers, count = defaultdict(set), Counter(call.key for _, call in calls)
    for worker, call in calls:
        workers[call.key].add(worker)
    assert all(len({worker // CLIENTS_PER_KEY for worker in each}) == 1 for each in workers.values())
    assert all(len(each) == CLIENTS_PER_KEY for each in workers.values())
    assert sum(each == OPS_PER_KEY for each in count.values()) >= len(count) - CLIENTS // CLIENTS_PER_KEY
    assert max(count.values()) == OPS_PER_KEY
    assert len({call.key for _, call in calls[:CLIENTS]}) == CLIENTS // CLIENTS_PER_KEY


def test_written_values_are_unique_on_their_key() -> None:
    """Every read names the one write that it saw; a cas expects a value that may well be there."""
    sent = defaultdict(list)
    for _, call in asked(RegisterWorkload({}).generator(), 20_000):
        if call.f == "read":
            assert call.value is None
            continue
        old, new = call.value if call.f == "cas" else (None, call.value)
        if call.f == "cas":
            assert old in (sent[call.key] or [None])[-2:] or old is None
        sent[call.key].append(new)
    assert all(values == list(range(1, len(values) + 1)) for values in sent.values())


def test_the_final_reads_are_of_every_key_that_was_used() -> None:
    """One read of each key, and then no more."""
    workload = RegisterWorkload({})
    used = {call.key for _, call in asked(workload.generator(), 5000)}
    final = [call for _, call in asked(workload.final(), 10_000)]
    assert Counter(call.key for call in final) == dict.fromkeys(used, 1)
    assert {call.f for call in final} == {"read"}


def test_the_same_seed_asks_for_the_same() -> None:
    """The workload has no randomness of its own."""
    one, two, other = (asked(RegisterWorkload({}).generator(), 3000, seed) for seed in (1, 1, 2))
    assert one == two != other


class Recorded:
    """A register that notes what is called, and reads 7."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def open(self) -> None:
        self.calls.append(("open",))

    async def close(self) -> None:
        self.calls.append(("close",))

    async def read(self, key: Any) -> Any:
        self.calls.append(("read", key))
        return 7

    async def write(self, key: Any, value: Any) -> None:
        self.calls.append(("write", key, value))

    async def cas(self, key: Any, old: Any, new: Any) -> None:
        self.calls.append(("cas", key, old, new))
        raise Definite("another", observed=7)


def test_the_client_does_each_call_once() -> None:
    """Each operation is one call of the facet; its value is what was read, or else what was asked for."""
    facet = Recorded()
    client = RegisterWorkload({}).client(facet)

    async def story() -> None:
        await client.open()
        assert await client.invoke(Call("read", "k")) == 7
        assert await client.invoke(Call("write", "k", 3)) == 3
        with pytest.raises(Definite) as caught:
            await client.invoke(Call("cas", "k", [3, 4]))
        assert caught.value.observed == 7
        with pytest.raises(ContractError, match="no operation 'append'"):
            await client.invoke(Call("append", "k", 1))
        await client.close()

    asyncio.run(story())
    assert facet.calls == [("open",), ("read", "k"), ("write", "k", 3), ("cas", "k", 3, 4), ("close",)]


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_is_whole(name: str) -> None:
    """Each listed workload has what the lists, the runner and the checkers need."""
    workload = find(name)({})
    assert workload.name == name
    assert 0 < len(workload.summary) <= 120
    assert workload.facets
    assert workload.checkers()


def test_registers_must_be_linearizable() -> None:
    """The workload asks for the exact check, and that no key is stuck in the end."""
    assert [type(checker) for checker in RegisterWorkload({}).checkers()] == [Linearizable, Liveness]


def test_an_unknown_workload_is_an_error() -> None:
    """The error names those that there are."""
    with pytest.raises(UsageError, match="unknown workload 'nothing'") as caught:
        find("nothing")
    assert "register" in caught.value.hint
