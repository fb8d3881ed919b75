"""Generators, driven by simulated workers on a virtual clock."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator import MS, Done, NeverEndsError, World

from harness.generator import (
    Context,
    Generator,
    calls,
    clients,
    each_process,
    every,
    limit,
    mix,
    nemesis,
    on_keys,
    once,
    phases,
    repeat,
    sequence,
    sleep,
    stagger,
    then,
    time_limit,
    timeline,
    until_ok,
)
from harness.op import NEMESIS, Call

seeds = st.integers(0, 10_000)
worlds = st.builds(
    World,
    clients=st.integers(1, 6),
    nemesis=st.booleans(),
    seed=seeds,
    duration_ms=st.sampled_from([0, 1, 20]),
    info=st.sampled_from([0, 0.2]),
    fail=st.sampled_from([0, 0.2]),
)


def numbered(name: str) -> Generator:
    """Name name, without end; each call's value is its number."""
    numbers = itertools.count()
    return calls(lambda random: Call(name, None, next(numbers)))


def names(done: Sequence[Done]) -> list[str]:
    """The operations in the order of their invocations."""
    return [each.call.f for each in done]


def finite(*more: Callable[[Generator], Generator]) -> st.SearchStrategy[Generator]:
    """Any nesting of generators that has an end, whatever becomes of the operations."""
    leaves = st.one_of(
        st.builds(lambda count: sequence([Call("s")] * count), st.integers(0, 4)),
        st.builds(lambda count: limit(count, calls(lambda random: Call("c"))), st.integers(0, 6)),
        st.builds(lambda ms: sleep(ms / 1000), st.integers(0, 30)),
        st.builds(lambda ms: timeline([(ms / 1000, Call("t"))]), st.integers(0, 30)),
    )

    def wrapped(inner: st.SearchStrategy[Generator]) -> st.SearchStrategy[Generator]:
        several = st.lists(inner, min_size=0, max_size=3)
        return st.one_of(
            st.builds(lambda parts: mix(*parts), several),
            st.builds(lambda parts: then(*parts), several),
            st.builds(lambda parts: phases(*parts), several),
            st.builds(lambda count, part: repeat(part, count), st.integers(0, 3), inner),
            st.builds(limit, st.integers(0, 8), inner),
            st.builds(lambda ms, part: time_limit(ms / 1000, part), st.integers(0, 60), inner),
            st.builds(lambda ms, part: stagger(ms / 1000, part), st.integers(0, 5), inner),
            st.builds(until_ok, inner),
            st.builds(nemesis, inner, inner),
            st.builds(clients, inner),
            *(st.builds(wrapper, inner) for wrapper in more),
            st.builds(lambda group, part: on_keys(lambda: "abc", group, lambda _: part), st.integers(1, 4), inner),
        )

    return st.recursive(leaves, wrapped, max_leaves=8)


@given(finite(), worlds)
def test_any_nesting_of_finite_generators_ends(generator: Generator, world: World) -> None:
    """However they are nested, no workers wait for each other for ever."""
    world.run(generator)


@given(finite(each_process), worlds)
def test_any_nesting_ends_with_copies_for_each_process(generator: Generator, world: World) -> None:
    """Neither do they where processes have barriers of their own (with processes that last)."""
    replace(world, info=0.0).run(generator)


@given(finite(), worlds)
def test_the_same_seed_gives_the_same_sequence(generator: Generator, world: World) -> None:
    """A generator is a value: started twice from one seed, in the same world, it asks for the same at the same time."""
    assert world.run(generator) == world.run(generator)


@given(finite(), st.integers(0, 5), worlds)
def test_limit_is_never_exceeded(inner: Generator, count: int, world: World) -> None:
    """At most so many calls come through, whatever is inside."""
    assert len(world.run(limit(count, inner))) <= count


@given(st.integers(0, 50), worlds)
def test_limit_is_reached(count: int, world: World) -> None:
    """Of a generator without end exactly so many calls come through."""
    assert len(world.run(limit(count, numbered("c")))) == count


@given(finite(), st.integers(0, 50), worlds)
def test_time_limit_is_never_late(inner: Generator, ms: int, world: World) -> None:
    """No call comes at or after the limit, whatever is inside."""
    assert all(done.invoke_ns < ms * MS for done in world.run(time_limit(ms / 1000, inner)))


@given(seeds)
def test_time_limit_ends_what_has_no_end(seed: int) -> None:
    """A generator without end goes on until the limit, and no longer."""
    done = World(seed=seed, duration_ms=2).run(time_limit(0.1, numbered("c")))
    assert 95 * MS < done[-1].invoke_ns < 100 * MS


@pytest.mark.parametrize("count", [1, 5, 50])
@pytest.mark.parametrize("duration_ms", [0, 1])
def test_stagger_keeps_the_mean_rate(count: int, duration_ms: float) -> None:
    """All workers together start an operation every interval on average, and never more than twice it apart."""
    world = World(clients=count, seed=count, duration_ms=duration_ms)
    starts = [done.invoke_ns for done in world.run(limit(4000, stagger(0.002, numbered("c"))))]
    gaps = [after - before for before, after in itertools.pairwise(starts)]
    assert sum(gaps) / len(gaps) == pytest.approx(2 * MS, rel=0.05)
    assert max(gaps) <= 4 * MS + duration_ms * MS


def test_stagger_does_not_catch_up_in_a_burst() -> None:
    """After a stall the rate is as before: what was missed is lost."""
    source = stagger(0.01, numbered("c")).start(Random(1))
    context = Context(0, 0, 1, 1)
    given_at = []
    for ms in [0, *range(1000, 2000)]:
        context.time_ns = ms * MS
        if isinstance(source.next(context), Call):
            given_at.append(ms)
    first_100_ms = [ms for ms in given_at if 1000 <= ms < 1100]
    assert 5 <= len(first_100_ms) <= 20


@given(st.lists(finite(), min_size=2, max_size=4), worlds)
def test_phases_have_a_barrier(parts: list[Generator], world: World) -> None:
    """No operation of a phase is invoked before every operation of the phases before it has ended."""
    done = world.run(phases(*(then(_marked(part, number), sleep(0)) for number, part in enumerate(parts))))
    for earlier, later in itertools.permutations(done, 2):
        if earlier.call.key < later.call.key:
            assert earlier.end_ns <= later.invoke_ns


def _marked(part: Generator, number: int) -> Generator:
    """The calls of `part`, with the phase's number as their key."""

    class Marked(Generator):
        def start(self, random: Random):  # type: ignore[no-untyped-def]
            source = part.start(random)
            ask = source.next

            class Source:
                def next(self, context: Context):  # type: ignore[no-untyped-def]
                    found = ask(context)
                    return Call(found.f, number) if isinstance(found, Call) else found

            return Source()

    return Marked()


@given(st.integers(2, 6), seeds)
def test_every_worker_takes_part_after_a_barrier(count: int, seed: int) -> None:
    """A barrier that opens wakes everybody, also under a time limit and between phases without operations."""
    each = each_process(once(Call("x")))
    quiet = phases(sleep(0.1), sleep(0.1), sequence(()))
    done = World(clients=count, seed=seed).run(time_limit(10, phases(each, quiet, phases(sequence(()), each))))
    assert Counter(op.worker for op in done) == dict.fromkeys(range(count), 2)
    assert done[-1].end_ns < 1000 * MS


@given(worlds)
def test_then_goes_on_by_itself(world: World) -> None:
    """Each worker does its own sequences in order, without waiting for others."""
    parts = [each_process(sequence([Call(f"{part}{number}") for number in range(3)])) for part in "ab"]
    world = replace(world, nemesis=False, info=0.0)
    done = world.run(then(*parts))
    for worker in range(world.clients):
        assert names([each for each in done if each.worker == worker]) == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_then_has_no_barrier() -> None:
    """A slow worker's first part and a quick worker's second part overlap."""
    first, second = (each_process(limit(20, numbered(name))) for name in "ab")
    done = World(clients=5, seed=3, duration_ms=20).run(then(first, second))
    assert min(d.invoke_ns for d in done if d.call.f == "b") < max(d.end_ns for d in done if d.call.f == "a")


@given(st.integers(1, 5), seeds)
def test_each_process_starts_afresh(count: int, seed: int) -> None:
    """Every process, also one that follows a retired one, begins its own copy; it stops where it is retired."""
    steps = [Call(f"step {number}") for number in range(4)]
    done = World(clients=count, seed=seed, info=0.3).run(limit(40, each_process(sequence(steps))))
    by_process = defaultdict(list)
    for each in done:
        by_process[each.process].append(each)
    for ops in by_process.values():
        assert names(ops) == [step.f for step in steps][: len(ops)]
        assert len({each.worker for each in ops}) == 1
        assert all(each.outcome == "ok" for each in ops[:-1])


def test_each_process_has_barriers_of_its_own() -> None:
    """Phases inside each_process do not wait for other processes."""
    done = World(clients=4).run(each_process(phases(once(Call("a")), once(Call("b")))))
    for worker in range(4):
        assert names([each for each in done if each.worker == worker]) == ["a", "b"]


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 8), worlds)
def test_on_keys_gives_each_group_a_key_of_its_own(count: int, group: int, keys: int, world: World) -> None:
    """Groups of neighbours work on one key after the other; no key is ever shared, every key gets its operations."""
    world = replace(world, clients=count)
    done = world.run(on_keys(lambda: range(keys), group, lambda key: limit(10, numbered(f"on {key}"))))
    assert Counter(each.call.key for each in done) == dict.fromkeys(range(keys), 10)
    for key in range(keys):
        mine = [each for each in done if each.call.key == key]
        assert len({each.worker // group for each in mine}) == 1
        assert {each.call.f for each in mine} == {f"on {key}"}
        assert min(each.worker for each in mine) >= 0
    first = [each.call.key for each in sorted(done, key=lambda d: d.call.key) if each.call.value == 0]
    assert first == sorted(first)


@given(st.integers(1, 7), seeds)
def test_on_keys_has_barriers_of_the_group(count: int, seed: int) -> None:
    """Phases on a key wait for the group alone, also for the last one, which may be smaller."""
    make = phases(limit(6, numbered("a")), limit(6, numbered("b")))
    world = World(clients=count, nemesis=True, seed=seed)
    done = world.run(on_keys(lambda: range(5), 3, lambda _: make))
    for key in range(5):
        ended = max(each.end_ns for each in done if each.call.key == key and each.call.f == "a")
        assert all(each.invoke_ns >= ended for each in done if each.call.key == key and each.call.f == "b")


@given(worlds)
def test_until_ok_stops_after_the_first_ok(world: World) -> None:
    """Nothing is invoked after an operation was ok, and nothing was given up before."""
    world = replace(world, info=0.4, fail=0.4)
    done = world.run(until_ok(numbered("c")))
    first_ok = min(each.end_ns for each in done if each.outcome == "ok")
    assert all(each.invoke_ns <= first_ok for each in done)


def test_repeat() -> None:
    """The inner generator is started anew so many times; one without any call is not repeated for ever."""
    three = sequence([Call("a"), Call("b"), Call("c")])
    assert names(World(clients=1).run(repeat(three, 3))) == ["a", "b", "c"] * 3
    assert World().run(repeat(three, 0)) == []
    for empty in (sequence(()), repeat(sequence(())), mix(), phases(), sleep(0), limit(0, three)):
        assert World().run(repeat(empty)) == []
    with pytest.raises(NeverEndsError):
        World().run(repeat(three))


def test_sleep_keeps_every_worker_waiting() -> None:
    """Nothing happens for so long, counted from the first question; then the next generator goes on."""
    done = World(clients=3).run(phases(once(Call("a")), sleep(0.5), limit(5, numbered("b"))))
    ended = max(each.end_ns for each in done if each.call.f == "a")
    assert min(each.invoke_ns for each in done if each.call.f == "b") == ended + 500 * MS


@given(st.lists(st.integers(0, 100), max_size=10), worlds)
def test_timeline_is_never_early(times_ms: list[int], world: World) -> None:
    """Each call comes once, in order, not before its time, and at once when somebody is free."""
    times_ms.sort()
    items = [(ms / 1000, Call("t", None, number)) for number, ms in enumerate(times_ms)]
    done = world.run(timeline(items))
    assert [each.call.value for each in done] == list(range(len(times_ms)))
    late_ns = world.duration_ms * MS * (len(times_ms) + 1)
    for each, ms in zip(done, times_ms, strict=True):
        assert 0 <= each.invoke_ns - ms * MS <= late_ns


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), seeds)
def test_mix_is_fair_and_drops_what_is_exhausted(shares: list[int], seed: int) -> None:
    """Every call of every part comes; a part that is named twice comes twice as often."""
    parts = [limit(20 * share, numbered(str(number))) for number, share in enumerate(shares)]
    done = World(seed=seed).run(mix(*parts))
    assert Counter(names(done)) == {str(number): 20 * share for number, share in enumerate(shares)}
    a, b = numbered("a"), numbered("b")
    count = Counter(names(World(seed=seed).run(limit(3000, mix(a, a, b)))))
    assert count["a"] / count["b"] == pytest.approx(2, rel=0.2)


@given(finite(), finite(), worlds)
def test_nemesis_and_clients_are_kept_apart(faults: Generator, others: Generator, world: World) -> None:
    """What is for the nemesis goes to the nemesis alone, and what is for clients to clients alone."""
    done = world.run(nemesis(_marked(faults, 1), _marked(others, 2)))
    assert all((each.process == NEMESIS) == (each.call.key == 1) for each in done)


@given(worlds)
def test_barriers_inside_the_routing_count_those_who_are_sent_there(world: World) -> None:
    """The clients' phases do not wait for the nemesis, nor its for them; however often the routing is nested."""
    of_clients = clients(clients(phases(limit(5, numbered("a")), limit(5, numbered("b")))))
    of_nemesis = phases(timeline([(0.5, Call("f"))]), once(Call("g")))
    done = world.run(nemesis(of_nemesis, of_clients))
    count = Counter(names(done))
    assert count == {"a": 5, "b": 5} | ({"f": 1, "g": 1} if world.nemesis else {})
    a_end = max(each.end_ns for each in done if each.call.f == "a")
    assert all(a_end <= each.invoke_ns < 500 * MS for each in done if each.call.f == "b")


@settings(max_examples=50)
@given(worlds)
def test_a_run_as_the_runner_composes_it(world: World) -> None:
    """Faults beside a paced, time-limited mix on rotating keys; then a quiet while; then final reads by clients."""
    mixed = on_keys(itertools.count, 2, lambda _: limit(20, mix(numbered("r"), numbered("w"))))
    faults = timeline([(0.1, Call("inject")), (0.2, Call("heal"))])
    main = nemesis(faults, time_limit(0.4, stagger(0.002, mixed)))
    final = clients(on_keys(lambda: range(3), 1, lambda _: until_ok(repeat(once(Call("final"))))))
    done = world.run(phases(main, sleep(0.1), final))
    driven = [each for each in done if each.call.f in ("r", "w")]
    finals = [each for each in done if each.call.f == "final"]
    assert max(each.invoke_ns for each in driven) < 400 * MS
    assert {each.call.key for each in finals if each.outcome == "ok"} == {0, 1, 2}
    assert min(each.invoke_ns for each in finals) >= max(each.end_ns for each in driven) + 100 * MS
    assert names([each for each in done if each.process == NEMESIS]) == ["inject", "heal"] * world.nemesis


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_every_gives_the_rare_one_at_its_own_rate(seed: int) -> None:
    """However often it is asked: once in its interval on average, never twice within one slot, the other else."""
    source = every(0.1, calls(lambda _: Call("rare")), calls(lambda _: Call("common"))).start(Random(seed))
    context = Context(0, 0, 1, 1)
    times = []
    for at in range(100_000):
        context.time_ns = at * MS // 10
        found = source.next(context)
        assert isinstance(found, Call)
        if found.f == "rare":
            times.append(context.time_ns)
    assert 70 <= len(times) <= 140
    assert all(two - one <= 201 * MS for one, two in itertools.pairwise(times))
