"""From a history to the one result that is stored and printed."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from checkers import kernels
from checkers.stats import Stats
from harness.errors import HarnessError
from harness.history import History
from harness.lines import without_collections
from harness.op import CONDITION, FINAL, RUN
from harness.protocols import Checker
from harness.verdict import Seconds, Summary, Verdict, merge
from reports.coverage import coverage

_told_plain: list[str] = []  # what this process has said of kernels that are not compiled


def judge(
    history: History,
    checkers: Sequence[Checker],
    *,
    errors: Sequence[str] = (),
    remarks: Sequence[str] = (),
    complete: bool = True,
    of_run: bool = True,
    parse_s: float = 0.0,
    seed: int | None = None,
    store: Path | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Summary:
    """Check a history, and weigh whether the run means anything.

    An anomaly is true whatever else went wrong, so invalid comes first. Otherwise a fault that was not verified, or
    too little success, makes the run an error: it proves nothing.

    Args:
        history: of a run, whole or cut off.
        checkers: what decides.
        errors: what else makes the run an error.
        remarks: what a reader should know.
        complete: the run came to its end; in one that was killed, a fault that was still on is only a remark.
        of_run: it is the record of a run; of any other file nobody can say how much should have succeeded.
        parse_s: seconds it took to read the history.
        seed, store: of the run.
        warn: told about a checker that crashed, with its traceback, and once about checkers that are slow.
    """
    if not kernels.compiled() and not _told_plain:
        _told_plain.append(kernels.PLAIN)
        warn(kernels.PLAIN)
    start = time.perf_counter()
    with without_collections():
        verdict = merge(_check(checker, history, warn) for checker in checkers)
    check_s = time.perf_counter() - start
    cut_off = _cut_off(history)
    problems = [*errors, *_unverified(history), *_changed(history), *_lost(history), *(cut_off if complete else ())]
    shortfall = Stats().shortfall(history) if of_run else ()
    problems += shortfall
    status = "error" if problems and verdict.status != "invalid" else verdict.status
    return Summary(
        verdict=status,
        anomalies=verdict.anomalies,
        ops=history.counts(),
        faults=history.fault_outcomes(),
        coverage=coverage(history) if history.faults else (),
        engine=verdict.engine,
        seconds=Seconds(parse=round(parse_s, 3), check=round(check_s, 3)),
        seed=seed,
        store=None if store is None else str(store),
        error="; ".join(problems) or None,
        shortfall=shortfall,
        reasons=(*verdict.reasons, *remarks, *_missed(history), *(() if complete else cut_off)),
    )


def _check(checker: Checker, history: History, warn: Callable[[str], None]) -> Verdict:
    """Run one checker; one that crashes says nothing of the history, so the answer is unknown."""
    try:
        return checker.check(history)
    except HarnessError:
        raise
    except Exception as error:  # a plugged-in checker may raise anything
        warn(f"checker {checker.name} crashed:\n{traceback.format_exc()}")
        reason = f"checker {checker.name} crashed: {type(error).__name__}: {error}"
        return Verdict(status="unknown", engine=checker.name, reasons=(reason,))


def _unverified(history: History) -> list[str]:
    return [
        f"fault {fault.fault} ({fault.kind}) was not verified: {fault.error}"
        for fault in history.faults
        if fault.error is not None
    ]


def _lost(history: History) -> list[str]:
    """Say so where no node served when all was healed: such a run tells nothing of what was kept."""
    for op in history.strangers:
        if (op.process, op.f, op.type) == (RUN, FINAL, "invoke") and isinstance(op.value, dict):
            late, nodes = op.value.get("late"), op.value.get("nodes")
            if isinstance(late, list) and late and len(late) == nodes:
                return ["no node served again after the last heal: look at their logs"]
    return []


def _changed(history: History) -> list[str]:
    return [
        f"{op.node} is not as it was before the faults: {op.error}"
        for op in history.strangers
        if op.f == CONDITION and op.error is not None
    ]


def _missed(history: History) -> list[str]:
    return [f"fault {missed.fault} ({missed.kind}) did not come: {missed.why}" for missed in history.missed]


def _cut_off(history: History) -> list[str]:
    return [
        f"fault {fault.fault} ({fault.kind}) was still on when the record ended"
        for fault in history.faults
        if fault.error is None and not fault.verified
    ]
