"""Which leader each term had, and who saw it: of the cluster itself and of the clients' elections."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from harness.errors import HistoryError
from harness.history import History
from harness.leaders import reigns
from reports import words

ROWS_MAX: Final = 300
_OBSERVERS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Term:
    """One leader of one term.

    Attributes:
        election: its name, "" where the leader is the cluster's own.
        term, leader: which.
        first_ns, last_ns: when it was seen first and last.
        observers: by whom.
        twice: the term has another leader, too.
    """

    election: str
    term: int
    leader: str
    first_ns: int
    last_ns: int
    observers: str
    twice: bool


def terms(history: History) -> tuple[Term, ...]:
    """Return a row for each leader of each term, at most ROWS_MAX; none where the statuses cannot be read."""
    try:
        found = reigns(history)
    except HistoryError:  # whoever checks the history is told; a report shows what there is
        return ()
    names = ["" if reign.election is None else words.key_text(reign.election) for reign in found]
    leaders = Counter((name, reign.term) for name, reign in zip(names, found, strict=True))
    return tuple(
        Term(
            election=name,
            term=reign.term,
            leader=words.cut(reign.leader),
            first_ns=reign.first_ns,
            last_ns=reign.last_ns,
            observers=_observers(reign.observers),
            twice=leaders[name, reign.term] > 1,
        )
        for name, reign in list(zip(names, found, strict=True))[:ROWS_MAX]
    )


def _observers(names: tuple[str, ...]) -> str:
    shown = ", ".join(words.cut(name) for name in names[:_OBSERVERS_MAX])
    more = len(names) - _OBSERVERS_MAX
    return f"{shown} and {more} more" if more > 0 else shown
