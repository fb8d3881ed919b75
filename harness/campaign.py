"""Campaigns: many runs, some at a time, and what each combination of system, workload and faults gave.

Each run is a command of its own, `kingslayer run … --json`: one that crashes, or whose process enters namespaces,
leaves the others alone, and whatever a row says can be had again by pasting its line.
"""

from __future__ import annotations

import contextlib
import itertools
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median_low
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

import workloads
from harness.config import RunConfig
from harness.errors import UsageError
from harness.registry import find_system, split_system
from harness.verdict import Summary

COMMAND: Final = (sys.executable, "-c", "from harness.cli import main; main()")

SEVERITY: Final = ("invalid", "error", "unknown", "valid")
"""The verdicts, the one that decides a campaign first."""


class Outcome(msgspec.Struct, frozen=True):
    """One run of a campaign: what was asked for, and what it gave."""

    config: RunConfig
    summary: Summary

    @property
    def combination(self) -> tuple[str, str, str]:
        """The system with its version, the workload, and the faults."""
        config = self.config
        system = f"{config.system}:{config.version}" if config.version else config.system
        return system, config.workload, ",".join(config.nemesis) or "none"

    def line(self) -> str:
        """Return what happened, in one line."""
        summary = self.summary
        what = f"{' '.join(self.combination)} seed {self.config.seed}: {summary.verdict}, {summary.ops.ok:,} ok"
        why = summary.error or (summary.anomalies[0].summary if summary.anomalies else "")
        return f"{what}: {why}" if why else what


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs of one combination gave.

    Attributes:
        system: with its version, where one was asked for.
        nemesis: the families of faults, joined by commas, or "none".
        runs: how many.
        verdicts: how many runs ended in each verdict, the worst first.
        ok: median of the runs' successful operations.
        faults: faults that were injected in all, each verified unless a run was an error.
        anomalies: how many of each kind.
        replay: the command of the first run that was not valid.
    """

    system: str
    workload: str
    nemesis: str
    runs: int
    verdicts: dict[str, int]
    ok: int
    faults: int
    anomalies: dict[str, int]
    replay: str = ""


def plan(
    systems: Sequence[str], chosen: Sequence[str], nemeses: Sequence[tuple[str, ...]], seeds: int, base: RunConfig
) -> list[RunConfig]:
    """Return every run of a campaign.

    Args:
        systems: as people type them, such as "etcd:3.5.1".
        chosen: workloads; none means all that a system has the facet for.
        nemeses: families of faults of a run, once for each.
        seeds: runs of each combination, with seeds from `base.seed` on.
        base: all the rest.

    Raises:
        UsageError: a name is unknown.
    """
    for workload in chosen:
        workloads.find(workload)
    configs = []
    for text in systems:
        name, version = split_system(text)
        names = chosen or _fitting(name, version)
        for workload, nemesis, number in itertools.product(names, nemeses, range(seeds)):
            given = {"system": name, "version": version, "workload": workload, "nemesis": nemesis}
            configs.append(msgspec.structs.replace(base, seed=base.seed + number, **given))
    return configs


def _fitting(name: str, version: str) -> list[str]:
    facets = set(find_system(name)(version, {}).facets)
    return [workload for workload, make in workloads.WORKLOADS.items() if facets.issuperset(make({}).facets)]


def execute(configs: Sequence[RunConfig], store: Path, jobs: int = 1) -> Iterator[Outcome]:
    """Do the runs, `jobs` at a time, and yield what each gave, in their order; after an interrupt no other begins.

    Raises:
        UsageError: a run could not start, for something that was asked for is not possible.
    """
    children = _Children()
    with children.stopping(), ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(_run, config, store, children) for config in configs]
        for future in running:
            code, outcome = future.result()
            if code == UsageError.exit_code:
                children.stop()
                raise UsageError(outcome.summary.error or "", f"it was in: {outcome.config.command()}")
            if code is not None:
                yield outcome


class _Children:
    """The commands that run now; being told to stop is passed on to them instead of ending on it."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def stop(self, number: int = signal.SIGINT, _: object = None) -> None:
        """Stop what runs, and begin nothing more."""
        self._stopped = True
        for child in tuple(self._running):
            child.send_signal(number)

    @contextlib.contextmanager
    def stopping(self) -> Iterator[None]:
        """Do so on Ctrl-C and SIGTERM."""
        before = {number: signal.signal(number, self.stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def run(self, argv: Sequence[str]) -> tuple[int, bytes, str] | None:
        """Run a command to its end; None where nothing is begun any more."""
        if self._stopped:
            return None
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as child:  # noqa: S603 (an argv list)
            self._running.add(child)
            if self._stopped:  # just now
                child.send_signal(signal.SIGINT)
            output, errors = child.communicate()
            self._running.discard(child)
        return child.returncode, output, errors.decode(errors="replace")


def _run(config: RunConfig, store: Path, children: _Children) -> tuple[int | None, Outcome]:
    """Return a run's exit code, None where it was not begun, and what it gave."""
    argv = [*COMMAND, *shlex.split(config.command())[1:], "--store", str(store), "--json"]
    done = children.run(argv)
    if done is None:
        return None, Outcome(config, Summary(verdict="error"))
    code, output, errors = done
    try:
        summary = msgspec.json.decode(output, type=Summary)
    except msgspec.DecodeError:
        last = (errors.strip().splitlines() or ["it said nothing"])[-1]
        summary = Summary(verdict="error", error=f"the run ended with code {code}: {last}", seed=config.seed)
    return code, Outcome(config, summary)


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """Sum the runs up by combination, in the order in which they came."""
    groups: dict[tuple[str, str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.combination, []).append(outcome)
    return [_row(*names, group) for names, group in groups.items()]


def _row(system: str, workload: str, nemesis: str, group: Sequence[Outcome]) -> Row:
    summaries = [outcome.summary for outcome in group]
    return Row(
        system=system,
        workload=workload,
        nemesis=nemesis,
        runs=len(group),
        verdicts=_counts([summary.verdict for summary in summaries], SEVERITY.index),
        ok=median_low(summary.ops.ok for summary in summaries),
        faults=sum(len(summary.faults) for summary in summaries),
        anomalies=_counts([anomaly.kind for summary in summaries for anomaly in summary.anomalies], str),
        replay=next((each.config.command() for each in group if each.summary.verdict != "valid"), ""),
    )


def _counts(names: Sequence[str], key: Callable[[str], Any]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names), key=key)}


def worst(outcomes: Sequence[Outcome]) -> int:
    """Return the exit code of the verdict that decides: an anomaly, then an error, then unknown."""
    return min((each.summary for each in outcomes), key=lambda each: SEVERITY.index(each.verdict)).exit_code


_COLOURS: Final = {"valid": "green", "invalid": "red"}
_WIDTH: Final = 160
"""Columns of a table that goes to a file: nothing in it is cut short."""


def show(found: Sequence[Row]) -> None:
    """Print the table, and below it the line that replays each combination that was not valid."""
    table = Table("system", "workload", "nemesis", "verdicts", "anomalies", box=None)
    table.add_column("ok ops", justify="right")
    table.add_column("faults", justify="right")
    for row in found:
        verdict = Text(_listed(row.verdicts), _COLOURS.get(next(iter(row.verdicts)), "yellow"))
        cells = (row.system, row.workload, row.nemesis)
        table.add_row(*cells, verdict, _listed(row.anomalies) or "—", f"{row.ok:,}", str(row.faults))
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(table)
    for row in found:
        if row.replay:
            console.print(row.replay, markup=False, highlight=False, soft_wrap=True)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" if count > 1 else name for name, count in counts.items())
