"""What an observer of an election is told, where a system shows who leads and not what happened."""

from __future__ import annotations

from typing import Any

from harness.facets import ElectionEvent, Leadership


def change(before: Any, now: Leadership | None) -> ElectionEvent:
    """Return what to tell of a change between two looks.

    Args:
        before: who led, None for nobody, () at the first look.
        now: who leads.
    """
    if now is None:
        return ElectionEvent("resigned")
    return ElectionEvent("elected" if before in ((), None) else "changed", now)
