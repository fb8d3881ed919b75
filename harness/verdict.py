"""What a checker says, and the one object that a command prints with --json."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

Status = Literal["valid", "invalid", "unknown"]


class Anomaly(msgspec.Struct, frozen=True, kw_only=True):
    """One broken promise.

    Attributes:
        checker: who found it.
        kind: the anomaly's name, such as "stale read".
        summary: one plain sentence: who saw what, when, and why that cannot be.
        witness: indexes of the few events that prove it.
        key: the key it happened on, where there is one.
        file: where its events are; only in the result of several files.
    """

    checker: str
    kind: str
    summary: str
    witness: tuple[int, ...] = ()
    key: Any = None
    file: str | msgspec.UnsetType = msgspec.UNSET


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A checker's answer. `unknown` never hides an `invalid`.

    Attributes:
        status: valid, invalid or unknown.
        anomalies: at least one when invalid, none otherwise.
        engine: the algorithm that decided.
        reasons: why the status is unknown, or what a reader should know of a valid one.
    """

    status: Status
    anomalies: tuple[Anomaly, ...] = ()
    engine: str = ""
    reasons: tuple[str, ...] = ()


def merge(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of `verdicts` (invalid, then unknown, then valid) with the anomalies of all.

    No verdict at all is unknown: nothing was checked.
    """
    parts = list(verdicts)
    statuses = {part.status for part in parts} or {"unknown"}
    return Verdict(
        status="invalid" if "invalid" in statuses else "unknown" if "unknown" in statuses else "valid",
        anomalies=tuple(anomaly for part in parts for anomaly in part.anomalies),
        engine=" + ".join(dict.fromkeys(part.engine for part in parts if part.engine)),
        reasons=tuple(reason for part in parts for reason in part.reasons),
    )


class OpCounts(msgspec.Struct, frozen=True):
    """How many operations of clients were invoked, and how they ended."""

    invoke: int = 0
    ok: int = 0
    fail: int = 0
    info: int = 0


class FaultOutcome(msgspec.Struct, frozen=True):
    """Whether one injected fault was measured to take effect, and to be gone after its heal."""

    kind: str
    verified: bool


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """In which states of the cluster a kind of fault really came: reports/coverage.py says what each state is.

    Attributes:
        kind: the family.
        verified: how many of its faults were; of these, how many:
        leader, follower: hit a node that led, that followed.
        electing: came while nobody led.
        recovering: came while the cluster had not recovered from an earlier one.
        beside: came while another one was on.
        elections: saw a time without a leader while they were on.
    """

    kind: str
    verified: int = 0
    leader: int = 0
    follower: int = 0
    electing: int = 0
    recovering: int = 0
    beside: int = 0
    elections: int = 0


class Seconds(msgspec.Struct, frozen=True):
    """Where the checking time went."""

    parse: float = 0.0
    check: float = 0.0


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run or a check: verdict.json, and what --json prints.

    Attributes:
        verdict: the status, or "error" when the run itself proves nothing (and no anomaly was found).
        error: what made the run an error, with what to do.
        shortfall: the part of it that is of too few successes: without any other part, a longer run may do.
        reasons: why the verdict is unknown, and remarks.
        seed, store: of the run, where there was one.
        files: the verdict of each file; only where several were checked together.
    """

    verdict: Literal["valid", "invalid", "unknown", "error"]
    anomalies: tuple[Anomaly, ...] = ()
    ops: OpCounts = OpCounts()
    faults: tuple[FaultOutcome, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    engine: str = ""
    seconds: Seconds = Seconds()
    seed: int | None = None
    store: str | None = None
    error: str | None = None
    shortfall: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    files: dict[str, str] | msgspec.UnsetType = msgspec.UNSET

    @property
    def exit_code(self) -> int:
        """The command's exit code for this result."""
        return {"valid": 0, "invalid": 1, "unknown": 3, "error": 4}[self.verdict]
