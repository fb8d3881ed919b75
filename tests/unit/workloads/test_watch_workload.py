"""The workload watch: what it asks of clients, and what its client makes of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec import UNSET
from test_register import asked

from harness.errors import ContractError, Definite, Indefinite
from harness.facets import FROM_NOW, Change
from harness.op import Call
from workloads.watch import PREFIXES, WatchWorkload


class Scripted:
    """A watch that delivers `changes` and then waits, or fails; it notes what is called."""

    def __init__(self, changes: Sequence[Change] = (), failure: Exception | None = None) -> None:
        self.changes, self.failure = changes, failure
        self.late: Sequence[Change] = ()
        self.calls: list[tuple[Any, ...]] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def put(self, key: str, value: Any) -> int:
        self.calls.append(("put", key, value))
        return 7

    async def delete(self, key: str) -> int | None:
        self.calls.append(("delete", key))
        return None

    async def revision(self) -> int:
        self.calls.append(("revision",))
        return 100

    async def compact(self, revision: int) -> None:
        self.calls.append(("compact", revision))

    async def watch(self, prefix: str, start: int | None = None) -> AsyncIterator[Change]:
        self.calls.append(("watch", prefix, start))
        for change in self.changes:
            yield change
        if self.failure:
            raise self.failure
        await asyncio.Event().wait()

    async def cancel(self) -> Sequence[Change]:
        self.calls.append(("cancel",))
        return self.late


def done(facet: Scripted, call: Call, workload: WatchWorkload | None = None) -> Any:
    """Do one call on a client."""
    return asyncio.run((workload or WatchWorkload({})).client(facet).invoke(call))


CHANGES = (Change("a/1", 8, 3), Change("a/2", 9))
WATCH = Call("watch", "a/", {"start": 8, "seconds": 0.01})


def test_each_operation_is_one_call_and_tells_what_the_checker_needs() -> None:
    """Writes tell their revision; a watch all changes, in order, and nothing more where nothing came after."""
    facet = Scripted(CHANGES)
    assert done(facet, Call("put", "a/1", 3)) == {"value": 3, "revision": 7}
    assert done(facet, Call("delete", "a/1")) == {"revision": None}
    assert done(facet, Call("revision")) == 100
    assert done(facet, Call("compact", None, 5)) == 5
    assert done(facet, WATCH) == {"changes": [[8, "a/1", 3], [9, "a/2", None]]}
    assert facet.calls == [
        ("put", "a/1", 3), ("delete", "a/1"), ("revision",), ("compact", 5), ("watch", "a/", 8), ("cancel",),
    ]  # fmt: skip
    with pytest.raises(ContractError, match="no operation 'read'"):
        done(facet, Call("read"))


def test_what_comes_after_the_cancel_is_told_apart() -> None:
    """It is in "late"."""
    facet = Scripted(CHANGES[:1])
    facet.late = CHANGES[1:]
    assert done(facet, WATCH) == {"changes": [[8, "a/1", 3]], "late": [[9, "a/2", None]]}


def test_a_stream_that_breaks_leaves_what_it_had_delivered() -> None:
    """Without any change the failure is the outcome; what a refusal observed is kept."""
    broken = Scripted(CHANGES, Definite("connection lost"))
    assert done(broken, WATCH) == {"changes": [[8, "a/1", 3], [9, "a/2", None]], "ended": "connection lost"}
    with pytest.raises(Definite) as caught:
        done(Scripted((), Definite("compacted", observed=12)), WATCH)
    assert caught.value.observed == 12
    with pytest.raises(Indefinite):
        done(Scripted((), Indefinite("lost")), WATCH)


def test_a_final_watch_must_come_to_the_newest_revision() -> None:
    """It ends with the change that it waits for; without that it is a failure, to be tried again."""
    until = Call("watch", "a/", {"start": 8, "seconds": 0.01, "until": 9})
    assert done(Scripted(CHANGES, Definite("not come to")), until)["changes"][-1][0] == 9
    with pytest.raises(Definite, match="the changes up to revision 9 did not come"):
        done(Scripted(CHANGES[:1]), until)


def test_the_mix_has_every_start() -> None:
    """Half writes; watches from now, from old revisions, from where the last one ended, and from those to come."""
    workload = WatchWorkload({})
    done(Scripted(), Call("revision"), workload)
    done(Scripted(CHANGES), WATCH, workload)
    calls = [call for _, call in asked(workload.generator(), 4000)]
    count = Counter(call.f for call in calls)
    assert count["put"] + count["delete"] == pytest.approx(2000, abs=150)
    assert count["watch"] == pytest.approx(1800, abs=150)
    assert min(count["compact"], count["revision"]) > 10
    starts = {call.value["start"] for call in calls if call.f == "watch" and call.key == "a/"}
    assert {None, 10} < starts
    numbers = starts - {None}
    assert min(numbers) < 100 < max(numbers)
    values = [call.value for call in calls if call.f == "put"]
    assert len(set(values)) == len(values)


def test_the_final_watches_are_of_every_prefix_from_the_first_revision_that_is_kept() -> None:
    """A refusal tells which that is; a prefix that nobody wrote to has nothing that must come."""
    workload = WatchWorkload({})
    done(Scripted(), Call("put", "a/1", 3), workload)
    with pytest.raises(Definite):
        done(Scripted((), Definite("compacted", observed=5)), WATCH, workload)
    final = [call for _, call in asked(workload.final(), 100)]
    assert sorted(call.key for call in final) == sorted(PREFIXES)
    asked_for = {call.key: call.value for call in final}
    assert asked_for["a/"]["start"] == 5
    assert asked_for["a/"]["until"] == 7
    assert "until" not in asked_for["b/"]


def test_where_watches_only_begin_now_no_other_start_is_asked_for_again() -> None:
    """Once the service has said so: no start, no compaction, and at the end a watch that can be begun."""
    workload = WatchWorkload({})
    client = workload.client(Scripted())
    asyncio.run(client.invoke(Call("put", "a/1", 1)))
    asyncio.run(client.invoke(Call("revision")))
    assert {call.value["start"] is None for _, call in asked(workload.generator(), 500) if call.f == "watch"} == {
        True,
        False,
    }
    with pytest.raises(Definite):
        done(Scripted(failure=Definite("watches begin now", observed=FROM_NOW)), WATCH, workload)
    after = [call for _, call in asked(workload.generator(), 1000)]
    assert {call.value["start"] for call in after if call.f == "watch"} == {None}
    assert {call.f for call in after} == {"put", "delete", "watch", "revision"}
    last = [workload._last(prefix) for prefix in PREFIXES]
    assert [call.value["start"] for call in last] == [None] * 3
    assert all("until" not in call.value for call in last)


def test_a_value_that_is_not_told_is_left_out() -> None:
    """A deletion has null, and a change of which only the key is known has no third element."""
    facet = Scripted((Change("a/1", 8, UNSET), Change("a/2", 9)))
    facet.late = (Change("a/1", 10, UNSET),)
    assert done(facet, WATCH) == {"changes": [[8, "a/1"], [9, "a/2", None]], "late": [[10, "a/1"]]}
