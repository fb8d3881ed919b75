"""What is left out of a proof, where proving is a matter of some sets of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from checkers.shrink import shortest_end, shrink

MEMBERS = st.integers(0, 30)
REASONS = st.lists(st.frozensets(MEMBERS, max_size=6), min_size=1, max_size=4)


class Proofs:
    """Any set that contains one of the reasons proves; counts how often it was asked."""

    def __init__(self, reasons: Sequence[frozenset[int]]) -> None:
        self.reasons = reasons
        self.asked = 0

    def __call__(self, part: Sequence[int]) -> bool:
        self.asked += 1
        return any(reason <= set(part) for reason in self.reasons)


def never() -> bool:
    return False


@given(REASONS, st.permutations(range(31)))
def test_every_single_one_is_needed(reasons: list[frozenset[int]], order: list[int]) -> None:
    """What is left proves, and nothing can be taken from it."""
    proves = Proofs(reasons)
    found = shrink(order, proves, never)
    assert proves(found)
    assert not any(proves([each for each in found if each != left_out]) for left_out in found)
    assert len(found) == len(set(found))


@given(REASONS, st.permutations(range(31)), st.integers(0, 12))
def test_out_of_time_it_is_still_a_proof(reasons: list[frozenset[int]], order: list[int], questions: int) -> None:
    """Whenever the time is over, what is left proves, and is a part of what there was."""
    proves, ticks = Proofs(reasons), count()
    found = shrink(order, proves, lambda: next(ticks) >= questions)
    assert proves(found)
    assert set(found) <= set(order)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 300))
def test_the_shortest_end_of_what_is_alike(size: int, needed: int, questions: int) -> None:
    """As many as are needed are left, from the end; out of time no fewer than these."""
    alike, needed = list(range(size)), min(size, needed)

    def proves(part: Sequence[int]) -> bool:
        return len(part) >= needed

    assert shortest_end(alike, proves, never) == alike[size - needed :]
    ticks = count()
    assert len(shortest_end(alike, proves, lambda: next(ticks) >= questions)) >= needed


def test_what_stands_first_is_left_out_first() -> None:
    """Of two reasons the one that stands later is kept."""
    assert shrink(range(10), Proofs([frozenset({1, 2}), frozenset({7, 8})]), never) == [7, 8]


def test_few_of_many_and_all_of_many_take_few_questions() -> None:
    """Two of a thousand are found in a few dozen questions; where all are needed, each takes hardly more than one."""
    two = Proofs([frozenset({3, 700})])
    assert sorted(shrink(range(1000), two, never)) == [3, 700]
    assert two.asked < 60
    every = Proofs([frozenset(range(200))])
    assert len(shrink(range(200), every, never)) == 200
    assert every.asked < 220
