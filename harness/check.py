"""Checking and reporting what was recorded before."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

import checkers
from checkers.models import COMPARING_CAS_REGISTER
from harness.config import RunRecord
from harness.errors import HistoryError, UsageError
from harness.formats import detect
from harness.formats.records import Imported
from harness.history import History, HistoryWarning
from harness.judge import judge
from harness.protocols import Checker
from harness.store import HISTORY, VERDICT, RunFolder
from harness.verdict import OpCounts, Seconds, Summary

_WORST_FIRST: Final = ("invalid", "error", "unknown", "valid")
_TRANSACTIONAL: Final = ("list-append", "rw-register", "bank", "long-fork", "comments", "sequential")
"""Models of elle-cli whose operations are transactions or span keys."""


def check(
    path: Path, model: str, time_limit_s: float | None, warn: Callable[[str], None], form: str = detect.AUTO
) -> tuple[Summary, History]:
    """Check a run's folder, or one history file.

    Args:
        path: of the folder, or of the file.
        model: by name; "" asks the run's workload, or the file's format.
        time_limit_s: after which the verdict is unknown; None is the checker's own.
        warn: told what is odd about the file.
        form: the file's format, by name.

    Raises:
        UsageError: there is no such path, model or format.
        HistoryError: the history is corrupt or empty.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder", "give a run's folder from the store, or a history file")
    limits = {} if time_limit_s is None else {"time_limit_s": time_limit_s}
    if model:
        _known(model)  # a wrong name is told before a long file is read
    folder = RunFolder(path) if path.is_dir() else None
    start = time.perf_counter()
    source = load(path / HISTORY if folder else path, warn, detect.OWN if folder else form)
    parse_s = time.perf_counter() - start
    if source.format == detect.OWN and folder is None and not len(source.history.columns):
        raise HistoryError(f"{path}: no operation of a client in it", "a client's process is an integer")
    record = folder.record() if folder else None
    summary = judge(
        source.history,
        checkers_of(source, model, record, **limits),
        complete=folder is not None and (path / VERDICT).is_file(),
        of_run=folder is not None,
        remarks=source.remarks,
        parse_s=parse_s,
        seed=record.config.seed if record else None,
        store=path if folder else None,
        warn=warn,
    )
    return summary, source.history


def together(found: Mapping[str, Summary]) -> Summary:
    """Return one summary of several files: the worst verdict, and every anomaly with the file that it is in.

    Args:
        found: summaries by file; at least one.
    """
    summaries = found.values()
    verdicts = {summary.verdict for summary in summaries}
    problems = [f"{file}: {summary.error}" for file, summary in found.items() if summary.error]
    return Summary(
        verdict=next(verdict for verdict in _WORST_FIRST if verdict in verdicts),
        anomalies=tuple(
            msgspec.structs.replace(anomaly, file=file)
            for file, summary in found.items()
            for anomaly in summary.anomalies
        ),
        ops=OpCounts(*map(sum, zip(*(msgspec.structs.astuple(each.ops) for each in summaries), strict=True))),
        faults=tuple(fault for summary in summaries for fault in summary.faults),
        engine=" + ".join(dict.fromkeys(summary.engine for summary in summaries if summary.engine)),
        seconds=Seconds(
            parse=round(sum(summary.seconds.parse for summary in summaries), 3),
            check=round(sum(summary.seconds.check for summary in summaries), 3),
        ),
        error="; ".join(problems) or None,
        reasons=tuple(f"{file}: {reason}" for file, summary in found.items() for reason in summary.reasons),
        files={file: summary.verdict for file, summary in found.items()},
    )


def export(path: Path, to: str, output: Path | None, form: str, warn: Callable[[str], None]) -> Path:
    """Write a run's folder or a history file in another format; return the path of what was written.

    Args:
        path: of the folder, or of the file.
        to: the new format, by name.
        output: the new file; None: beside the history, with the format's ending.
        form: the format of the file, by name.
        warn: told what is odd about the history.

    Raises:
        UsageError: there is no such path or format, or the new file would be the old one.
        HistoryError: the history is corrupt or empty.
        ClusterError: the file cannot be written.
    """
    from harness.formats import export as formats

    history = path / HISTORY if path.is_dir() else path
    target = output or history.with_suffix(formats.ending(to))
    if target.exists() and history.exists() and target.samefile(history):
        raise UsageError(f"{target}: this would overwrite the history itself", "choose another place with --output")
    source = load(history, warn, detect.OWN if path.is_dir() else form)
    formats.export(source, to, target)
    return target


def report(path: Path, warn: Callable[[str], None]) -> Path:
    """Write report.html of a run's folder anew, from its verdict where there is one.

    Raises:
        UsageError: it is not a run's folder.
        HistoryError: its history, run.json or verdict.json is corrupt.
    """
    if not (path / HISTORY).is_file():
        raise UsageError(f"{path}: not a run's folder: no {HISTORY} in it", "give one of store/<name>/<time>")
    folder = RunFolder(path)
    summary, history = folder.summary(), load(path / HISTORY, warn).history
    if summary is None:
        warn(f"no {VERDICT}: the run was cut off, so its history is checked now")
        summary, history = check(path, "", None, warn)
    from harness.runner import write_report  # late: a check needs nothing that runs

    return write_report(folder, history, summary)


def load(path: Path, warn: Callable[[str], None], form: str = detect.OWN) -> Imported:
    """Read a history; what is odd about it goes to `warn`.

    Raises:
        UsageError: there is no such format.
        HistoryError: it is corrupt or empty.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", HistoryWarning)
        source = detect.load(path, form)
    for warning in caught:
        warn(str(warning.message))
    return source


def _known(model: str) -> None:
    """Raise UsageError where no model has that name."""
    if model in _TRANSACTIONAL:
        raise UsageError(f"{model} is about transactions, which are not checked here", "elle-cli checks that")
    checkers.checker_for(model)


def checkers_of(source: Imported, model: str, record: RunRecord | None = None, **limits: Any) -> Sequence[Checker]:
    """Return what decides on a history, in the reading of the tool that recorded it.

    Args:
        source: the history.
        model: by name; "" asks the file's format, or the run's workload.
        record: of the run, where it is one's.
        limits: time_limit_s, max_configurations; see checkers.Linearizable.

    Raises:
        UsageError: there is no such model, or none can be told.
    """
    name = model or source.model
    if name == COMPARING_CAS_REGISTER.name and source.comparing:
        return (checkers.Linearizable(COMPARING_CAS_REGISTER, **limits),)
    if name:
        return (checkers.checker_for(name, **limits),)
    if record is None:
        known = ", ".join(checkers.MODEL_NAMES)
        raise UsageError("which model should the history be checked against?", f"give --model, one of {known}")
    import workloads  # late: a check of a file by a model needs none of them

    return (*workloads.find(record.config.workload)(record.config.options).checkers(), *checkers.of_every_run())
