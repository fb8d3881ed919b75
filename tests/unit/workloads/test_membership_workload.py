"""The workload membership: what it asks of clients, and what its client makes of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address
from random import Random
from typing import Any

import pytest

from harness.errors import ContractError, Definite, Indefinite
from harness.facets import Member
from harness.generator import Context, Wait
from harness.op import Call
from workloads.membership import MembershipWorkload


class Scripted:
    """Both facets: one member, and failures as they are asked for; it notes what is called."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.present = [Member("a", "n1", healthy=True, load=0.5)]
        self.calls: list[tuple[Any, ...]] = []
        self.open_count = 0

    async def open(self) -> None:
        self.open_count += 1

    async def close(self) -> None:
        self.open_count -= 1

    async def members(self) -> Sequence[Member]:
        return self.present

    async def health(self) -> Sequence[Member]:
        return self.present

    async def leader(self) -> str | None:
        return "n1"

    async def join(self, name: str, address: str, voting: bool = True) -> Member:
        self.calls.append(("join", name, address, voting))
        if self.failure:
            raise self.failure
        return Member("b", name)

    async def leave(self, name: str) -> Any:
        self.calls.append(("leave", name))
        if self.failure:
            raise self.failure
        return "b"

    async def read(self, key: Any) -> Any:
        return 7


def changes(workload: MembershipWorkload, count: int = 1) -> list[Call]:
    """Return the next changes that are asked for; nothing is told of how they end."""
    source = workload.generator().start(Random(1))
    context = Context(0, 0, 1, 1)
    found: list[Call] = []
    while len(found) < count:
        context.time_ns += 2_000_000_000
        call = source.next(context)
        assert isinstance(call, Call)
        found.append(call)
    return found


def do(workload: MembershipWorkload, facet: Scripted, call: Call) -> Any:
    """Do one call on a client."""
    return asyncio.run(workload.client(facet, facet).invoke(call))  # type: ignore[arg-type]


def test_what_each_call_records() -> None:
    """The ids and names of members, their health as the facet has it, and the register's values."""
    workload, facet = MembershipWorkload({}), Scripted()
    assert do(workload, facet, Call("members")) == [["a", "n1"]]
    assert do(workload, facet, Call("health")) == [{"id": "a", "name": "n1", "healthy": True, "load": 0.5}]
    assert do(workload, facet, Call("leader")) == "n1"
    assert do(workload, facet, Call("join", "127.1.0.1")) == {"id": "b"}
    assert do(workload, facet, Call("leave", "127.1.0.1")) == {"id": "b"}
    assert do(workload, facet, Call("read", "k1")) == 7
    with pytest.raises(ContractError, match="no operation 'dance'"):
        do(workload, facet, Call("dance"))


@pytest.mark.parametrize(("options", "voting"), [({}, False), ({"voting": "yes"}, True)])
def test_a_spare_votes_only_where_that_was_asked_for(options: dict[str, str], voting: bool) -> None:
    """Its name is its address."""
    workload, facet = MembershipWorkload(options), Scripted()
    (call,) = changes(workload)
    do(workload, facet, call)
    assert facet.calls == [("join", call.key, call.key, voting)]


def test_spares_come_one_at_a_time_each_at_an_address_of_its_own_on_the_node_itself() -> None:
    """One that may be a member is removed before the next is added; no name is used twice."""
    workload, facet = MembershipWorkload({}), Scripted()
    names = []
    for _ in range(300):
        (come,) = changes(workload)
        assert come.f == "join"
        assert ip_address(come.key).is_loopback
        names.append(come.key)
        do(workload, facet, come)
        (go,) = changes(workload)
        assert (go.f, go.key) == ("leave", come.key)
        do(workload, facet, go)
    assert len(set(names)) == 300


def test_what_may_have_become_a_member_is_removed_and_what_certainly_did_not_is_not() -> None:
    """A join of unknown outcome counts as one; a leave of unknown outcome is asked for again if the member is seen."""
    workload, facet = MembershipWorkload({}), Scripted(Definite("no"))
    (first,) = changes(workload)
    with pytest.raises(Definite):
        do(workload, facet, first)
    (second,) = changes(workload)
    assert (second.f, second.key != first.key) == ("join", True)
    facet.failure = Indefinite("lost")
    with pytest.raises(Indefinite):
        do(workload, facet, second)
    (third,) = changes(workload)
    assert (third.f, third.key) == ("leave", second.key)
    with pytest.raises(Indefinite):
        do(workload, facet, third)
    assert changes(workload)[0].f == "join"
    facet.present = [Member("b", second.key)]
    do(workload, facet, Call("members"))
    assert changes(workload)[0] == third


def test_the_mix() -> None:
    """Half of the operations are those of registers, the other half are looks of three kinds."""
    source = MembershipWorkload({}).generator().start(Random(1))
    context = Context(0, 0, 1, 1)
    context.time_ns = 1
    count = Counter(call.f for _ in range(4000) if not isinstance(call := source.next(context), Wait) and call)
    looks = count["members"] + count["health"] + count["leader"]
    assert looks / 4000 == pytest.approx(0.5, abs=0.05)
    assert count["members"] / looks == pytest.approx(0.5, abs=0.05)
    assert count["read"] > count["write"] > 0


def test_the_last_change_is_tried_by_one_process_until_it_is_done() -> None:
    """The others have nothing to do there."""
    workload = MembershipWorkload({})
    one, two = workload._last_change(Random(1)), workload._last_change(Random(2))
    first = next(one)
    assert isinstance(first, Call)
    with pytest.raises(StopIteration):
        next(two)
    assert isinstance(one.send("fail"), float)
    assert isinstance(one.send(None), Call)
    with pytest.raises(StopIteration):
        one.send("ok")


def test_both_facets_are_opened_and_closed() -> None:
    """The second one is closed although the first fails to close."""

    class Stubborn(Scripted):
        async def close(self) -> None:
            raise OSError("no")

    async def main() -> None:
        first, second = Stubborn(), Scripted()
        client = MembershipWorkload({}).client(first, second)  # type: ignore[arg-type]
        await client.open()
        assert (first.open_count, second.open_count) == (1, 1)
        with pytest.raises(OSError, match="no"):
            await client.close()
        assert second.open_count == 0

    asyncio.run(main())
