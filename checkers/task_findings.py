"""Findings about tasks, and the words for them."""

from __future__ import annotations

from typing import NamedTuple

from checkers.task_acts import Act
from checkers.words import seconds


class Finding(NamedTuple):
    """One anomaly of one task.

    Attributes:
        kind, summary: as in harness.verdict.Anomaly.
        task: its id.
        proof: what proves it.
        at: when it was certain, in ns.
    """

    kind: str
    summary: str
    task: str
    proof: tuple[Act, ...]
    at: int


def finding(kind: str, summary: str, task: str, *proof: Act | None) -> Finding:
    """Return a finding that is certain when the last of its proof, all of which happened, had ended."""
    acts = tuple(act for act in proof if act is not None)
    return Finding(kind, summary, task, acts, max(act.end for act in acts if act.happened))


def span(act: Act) -> str:
    """Write "0.10 s to 0.12 s" for an act that ended."""
    return " to ".join(seconds(act.begin, act.end))


def granted(act: Act) -> str:
    """Write "granted to w3 at epoch 2 (claim from 0.10 s to 0.12 s)"."""
    return f"granted to {act.taker} at epoch {act.epoch} ({act.f} from {span(act)})"
