"""What a decision may cost, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.verdict import Status


@dataclass(frozen=True, slots=True)
class Budget:
    """What one search may use.

    Attributes:
        clock: seconds, monotonic.
        deadline_s: by that clock.
        max_configurations: held at once; about 200 bytes each.
    """

    clock: Callable[[], float]
    deadline_s: float
    max_configurations: int

    def spent(self) -> bool:
        """Whether the time is over."""
        return self.clock() >= self.deadline_s


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search found.

    Attributes:
        status: of these operations.
        row: invalid: a completion by which no order was left. Unknown: the event that was too hard.
        since: unknown: the invocation of the oldest operation that was open then.
        limit: unknown: which limit was met, "time" or "memory".
    """

    status: Status
    row: int = -1
    since: int = -1
    limit: str = ""
