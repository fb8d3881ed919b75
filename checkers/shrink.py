"""Leave out of a proof what it does without."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def shrink(kept: Sequence[int], proves: Callable[[Sequence[int]], bool], spent: Callable[[], bool]) -> list[int]:
    """Return a part of `kept` that still proves, and of which every single one is needed.

    Args:
        kept: a proof; what stands first is left out first.
        proves: whether a part is a proof; one that contains a proof is one.
        spent: whether the time is over; then the part is a proof, but may be larger than need be.
    """
    rest = list(kept)
    size = 2 * len(rest)
    while size > 1 and not spent():
        size = (size + 1) // 2
        start = 0
        while start < len(rest) and not spent():
            fewer = rest[:start] + rest[start + size :]
            if proves(fewer):
                rest = fewer
            else:
                start += size
    return rest
