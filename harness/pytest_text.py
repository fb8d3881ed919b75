"""What the pytest plugin says: a failed test's message, the lines that replay it, JUnit properties and the summary."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from harness.config import RunConfig
from harness.runner import Result
from harness.store import REPORT, SCHEDULE
from reports.text import explain

_PREFIX: Final = "kingslayer."


class RunProperties(NamedTuple):
    """One run as JUnit properties: plain text, which travels with a test's report through xdist too."""

    test: str
    verdict: str
    system: str
    backend: str
    nodes: str
    workload: str
    nemesis: str
    seed: str
    seconds: str
    ok_ops: str = "0"
    faults_verified: str = "0/0"
    store: str = ""

    def as_pairs(self) -> list[tuple[str, object]]:
        """Return them for `item.user_properties`."""
        return [(_PREFIX + name, value) for name, value in self._asdict().items()]

    def line(self) -> str:
        """Return the run as a line of the terminal's summary."""
        return (
            f"{self.verdict.upper():7}  {self.test}  {int(self.ok_ops):,} ok, {self.faults_verified} faults verified, "
            f"{self.seconds} s" + (f"  {near(Path(self.store) / REPORT)}" if self.store else "")
        )


def describe(test: str, config: RunConfig, seconds: float, result: Result | None) -> RunProperties:
    """Return a run's properties.

    Args:
        test: the id of the test that it is of.
        config: with every default filled in.
        seconds: that it took in all.
        result: None where it came to nothing.
    """
    started = RunProperties(
        test=test,
        verdict="error",
        system=f"{config.system}:{config.version}",
        backend=config.backend,
        nodes=str(config.nodes),
        workload=config.workload,
        nemesis=",".join(config.nemesis) or "none",
        seed=str(config.seed),
        seconds=f"{seconds:.1f}",
    )
    if result is None:
        return started
    faults = result.summary.faults
    return started._replace(
        verdict=result.summary.verdict,
        ok_ops=str(result.summary.ops.ok),
        faults_verified=f"{sum(fault.verified for fault in faults)}/{len(faults)}",
        store=str(result.folder.path),
    )


def runs_of(properties: Iterable[tuple[str, object]]) -> list[RunProperties]:
    """Return the runs that a test's properties tell of; other plugins' properties are left out."""
    values = [str(value) for name, value in properties if name.startswith(_PREFIX)]
    size = len(RunProperties._fields)
    return [RunProperties(*values[start : start + size]) for start in range(0, len(values), size)]


def verdict_text(result: Result, replay_test: str) -> str:
    """Return what a failed test says: the verdict with its witnesses, where all of it is, and how to replay it."""
    lines = explain(result.summary, result.history)
    lines += ["", f"report: {near(result.folder.path / REPORT)}"]
    if result.record is not None:
        lines += ["replay this run:", f"  {_replay_run(result, result.record.config)}"]
    return "\n".join([*lines, *_replay_test(replay_test)])


def failure_text(error: Exception, replay_test: str) -> str:
    """Return what a test says whose run came to nothing."""
    return "\n".join([f"ERROR: {error}", *_replay_test(replay_test)])


def stopped_text(result: Result) -> str:
    """Return what is known of a run that a signal stopped, in one line."""
    verdict = explain(result.summary, result.history)[0]
    return f"stopped early; so far {verdict} ({near(result.folder.path / REPORT)})"


def _replay_run(result: Result, config: RunConfig) -> str:
    """Return the command that replays a run, with the very faults that it had."""
    if result.record is not None and result.record.schedule.steps:
        config = msgspec.structs.replace(config, schedule=near(result.folder.path / SCHEDULE))
    return config.command()


def _replay_test(line: str) -> Sequence[str]:
    return "replay this test:", f"  {line}"


def test_command(test: str, pyargs: bool, config: RunConfig, given: Iterable[str]) -> str:
    """Return the command that runs a test again with the same seed.

    Args:
        test: its id.
        pyargs: the id begins with a module's name and not with a path.
        config: of the session.
        given: options of ours that matter besides, as words.
    """
    system = f"{config.system}:{config.version}" if config.version else config.system
    words = ["pytest", *(["--pyargs"] if pyargs else []), test, f"--cluster={config.nodes}"]
    words += [f"--cluster-system={system}", f"--cluster-backend={config.backend}", *given]
    return shlex.join([*words, f"--cluster-seed={config.seed}"])


def near(path: Path) -> str:
    """Return a path as people write it: relative where it is below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
