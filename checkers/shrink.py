"""Leave out of a proof what it does without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final, TypeVar

T = TypeVar("T")

_GROWTH: Final = 4  # from one size that is tried to the next
_FIRST: Final = 8  # recent members that are tried first
_RECENT: Final = 32  # up to which it is tried to do without old ones
_ONE_BY_ONE: Final = 4  # members up to which asking about each takes the fewest questions

Proves = Callable[[Sequence[int]], bool]
"""Whether a part of a proof is one; whatever contains a proof is one."""

Spent = Callable[[], bool]
"""Whether the time is over; then what is found is a proof, but may be larger than need be."""


Split = Callable[[Sequence[int]], tuple[list[list[int]], list[int]]]
"""Splits a proof into groups whose members are interchangeable in it and in its parts, and the rest."""


def narrow(
    latest_first: Sequence[int], split: Callable[[Sequence[int]], Sequence[list[int]]], proves: Proves, spent: Spent
) -> list[int]:
    """Return the recent members of a proof, and the old ones that it needs: often none, else all of a few kinds.

    Args:
        latest_first: a proof.
        split: splits old members by kind; what stands first is left out first.
        proves, spent: as above.
    """
    size = _FIRST
    while size < min(len(latest_first), _RECENT) and not spent():
        if proves(latest_first[:size]):
            return sorted(latest_first[:size])
        size *= _GROWTH
    recent, kinds = list(latest_first[:size]), split(latest_first[size:])
    needed = shrink(kinds, lambda part: proves([*recent, *chain.from_iterable(part)]), spent)
    return sorted([*recent, *chain.from_iterable(needed)])


def smallest(kept: Sequence[int], split: Split, proves: Proves, spent: Spent) -> list[int]:
    """Return a part of `kept`, in ascending order, that still proves, and of which every single one is needed.

    Of the members of a group it is enough to know how many are needed, so that a proof may have thousands of them.

    Args:
        kept: a proof.
        split: what stands first in the rest is left out first. Groups may depend on a member of the rest.
        proves, spent: as above.
    """
    found, before = sorted(kept), [-1]
    while found != before and not spent():
        before = found
        groups, rest = split(found)
        many = [at for group in groups for at in group]
        rest = shrink(rest, _beside(many, proves), spent)
        for number, group in enumerate(groups):
            others = [at for part in (rest, *groups[:number], *groups[number + 1 :]) for at in part]
            groups[number] = shortest_end(group, _beside(others, proves), spent)
        found = sorted([*rest, *(at for group in groups for at in group)])
    return found


def _beside(others: Sequence[T], proves: Callable[[Sequence[T]], bool]) -> Callable[[Sequence[T]], bool]:
    return lambda part: proves([*others, *part])


def shrink(kept: Sequence[T], proves: Callable[[Sequence[T]], bool], spent: Spent) -> list[T]:
    """Return a part of `kept` that still proves, and of which every single one is needed.

    The first member of the shortest end that proves is needed beside any part of what follows it; so it is kept, and
    the search goes on in what follows (after QuickXplain, Junker 2004). Ends are tried from the shortest on: they are
    the easiest to decide, and most proofs need little.

    Args:
        kept: a proof; what stands first is left out first.
        proves, spent: as above.
    """
    needed: list[T] = []
    rest, dense = list(kept), False
    while rest and not spent():
        if len(rest) <= _ONE_BY_ONE:
            needed += [] if proves([*needed, *rest[1:]]) else rest[:1]
            rest = rest[1:]
            continue
        end = shortest_end(rest, _beside(needed, proves), spent, dense=dense)
        dense = len(end) == len(rest)
        needed += end[:1]
        rest = end[1:]
    return [*needed, *rest]


def shortest_end(
    parts: Sequence[T], proves: Callable[[Sequence[T]], bool], spent: Spent, *, dense: bool = True
) -> list[T]:
    """Return the shortest end of `parts` that still proves: the smallest part, where they are interchangeable.

    Args:
        parts: a proof.
        proves, spent: as above.
        dense: whether it is likely that all are needed.
    """
    if dense and parts and not proves(parts[1:]):
        return list(parts)
    too_few, tried, enough = -1, 0, len(parts)
    while tried < enough and not spent():
        if proves(parts[len(parts) - tried :]):
            enough = tried
        else:
            too_few, tried = tried, max(1, _GROWTH * tried)
    while enough - too_few > 1 and not spent():
        tried = (too_few + enough) // 2
        if proves(parts[len(parts) - tried :]):
            enough = tried
        else:
            too_few = tried
    return list(parts[len(parts) - enough :])
