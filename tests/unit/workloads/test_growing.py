"""The workloads set and append: what they ask of clients, and what their client makes of it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import Any

import pytest
from msgspec import UNSET
from test_register import asked

from checkers.append import Append
from checkers.grow_set import GrowingSet
from checkers.liveness import Liveness
from harness.errors import ContractError, Definite, Indefinite
from harness.op import Call
from workloads import find
from workloads.growing import OPS_PER_KEY

GROW = {"set": "add", "append": "append"}


@pytest.mark.parametrize("name", GROW)
def test_elements_are_unique_on_their_key_and_keys_rotate(name: str) -> None:
    """Half of the operations send 1, 2, … to a key, the others read it, OPS_PER_KEY in all."""
    sent, count = defaultdict(list), Counter[Any]()
    for _, call in asked(find(name)({}).generator(), 4000):
        count[call.key] += 1
        if call.f == GROW[name]:
            sent[call.key].append(call.value)
    assert all(elements == list(range(1, len(elements) + 1)) for elements in sent.values())
    assert max(count.values()) == OPS_PER_KEY
    assert sum(map(len, sent.values())) == pytest.approx(2000, abs=200)


@pytest.mark.parametrize("name", GROW)
def test_the_final_reads_are_of_every_key_that_was_used(name: str) -> None:
    """One read of each key, and then no more."""
    workload = find(name)({})
    used = {call.key for _, call in asked(workload.generator(), 1000)}
    final = [call for _, call in asked(workload.final(), 1000)]
    assert Counter(call.key for call in final) == dict.fromkeys(used, 1)
    assert {call.f for call in final} == {"read"}


class Scripted:
    """A register that holds `value`, notes what is called, and fails a cas as it is told."""

    def __init__(self, value: Any, failure: Exception | None = None) -> None:
        self.value, self.failure = value, failure
        self.calls: list[tuple[Any, ...]] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def read(self, key: Any) -> Any:
        self.calls.append(("read", key))
        return self.value

    async def cas(self, key: Any, old: Any, new: Any) -> None:
        self.calls.append(("cas", key, old, new))
        if self.failure:
            raise self.failure


@pytest.mark.parametrize("name", GROW)
@pytest.mark.parametrize("before", [None, [1, 2]])
def test_growing_is_a_read_and_one_cas_of_what_was_read(name: str, before: list[int] | None) -> None:
    """The new list is the one that was read, and the element; a list that was never written is empty."""
    register = Scripted(before)
    client = find(name)({}).client(register)
    assert asyncio.run(client.invoke(Call(GROW[name], "k", 3))) == 3
    assert register.calls == [("read", "k"), ("cas", "k", before, [*(before or []), 3])]
    assert asyncio.run(client.invoke(Call("read", "k"))) == (before or [])
    with pytest.raises(ContractError, match="no operation 'enqueue'"):
        asyncio.run(client.invoke(Call("enqueue", "k", 3)))


@pytest.mark.parametrize("name", GROW)
@pytest.mark.parametrize("failure", [Definite("the value differs", observed=[1]), Indefinite("connection lost")])
def test_a_lost_race_is_definite_and_an_unknown_cas_is_not(name: str, failure: Exception) -> None:
    """The outcome is the cas's, it is tried once, and it observes nothing of the list as one element."""
    register = Scripted([], failure)
    with pytest.raises(type(failure)) as caught:
        asyncio.run(find(name)({}).client(register).invoke(Call(GROW[name], "k", 1)))
    assert [call[0] for call in register.calls] == ["read", "cas"]
    assert caught.value.observed is UNSET  # type: ignore[attr-defined]


def test_each_is_checked_as_what_it_is() -> None:
    """A set's elements have no order, a list's have."""
    assert [type(checker) for checker in find("set")({}).checkers()] == [GrowingSet, Liveness]
    assert [type(checker) for checker in find("append")({}).checkers()] == [Append, Liveness]
