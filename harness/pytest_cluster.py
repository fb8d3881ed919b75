"""The pytest plugin, its heavy half: loaded with --cluster alone. The light half (harness.plugin) says when.

One session of pytest is one system on one set of machines; every run boots the system afresh on them. With xdist each
worker has machines of its own, and the controller, which runs no tests, only opens: its workers are started inside the
network namespace that it enters.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pytest

import nemesis as faults
import workloads
from harness.config import RunConfig
from harness.errors import AnomalyFound, ClusterError, ContractError, HarnessError, Inconclusive, UsageError
from harness.interrupt import Interrupted
from harness.pytest_text import RunProperties, describe, failure_text, runs_of, stopped_text, test_command, verdict_text
from harness.registry import split_system
from harness.runner import Progress, Result
from harness.session import Session, lacking, plan
from harness.standing import StandingCluster

Number = TypeVar("Number", int, float)

INTERVAL_SHARE: Final = 1 / 3
"""Of the time limit: short runs get more than one fault all the same."""

_COLOURS: Final = {"valid": "green", "invalid": "red"}


class Log:
    """Tells pytest's logging: shown with a failed test, and live with --log-cli-level=INFO."""

    _logger = logging.getLogger("kingslayer")

    def phase(self, text: str) -> None:
        """Tell what begins now."""
        self._logger.info(text)

    def progress(self, progress: Progress) -> None:
        """Tell how many operations ended how, and which faults are on."""
        self._logger.info("%s %s", dict(progress.clients), " ".join(progress.faults))

    def warn(self, text: str) -> None:
        """Tell what went wrong."""
        self._logger.warning(text)


class ClusterSession:
    """All that the plugin keeps for one session of pytest; a plugin itself, for what the terminal shows.

    Args:
        session: system and backend.
        config: every run's defaults.
        store: where runs are kept.
        given: options that were given besides, for the line that replays a test.
        chosen: families of faults that were asked for; None is all.
    """

    def __init__(
        self, session: Session, config: RunConfig, store: Path, given: Sequence[str], chosen: Sequence[str] | None
    ) -> None:
        self.config = session.fill(config)
        self.given = given
        self._session = session
        self._all = chosen is None
        fitting = self._fitting()
        self._families = fitting if chosen is None else self.config.nemesis
        named = faults.FAMILIES.keys() >= set(self._families)
        rights = faults.rights(self._families if named else fitting)  # a file may name any
        self._cluster = StandingCluster(session, config, store, Log(), rights)

    def bring_up(self) -> StandingCluster:
        """Bring up the machines; without them no test can run, so failing ends the session."""
        try:
            self._cluster.up()
        except HarnessError as error:
            pytest.exit(str(error), returncode=error.exit_code)
        return self._cluster

    def close(self) -> None:
        """Remove the machines."""
        self._cluster.close()

    def cases(self) -> list[tuple[str, str]]:
        """Return each workload that the system has the facets for, with each family of faults and with none."""
        facets = set(self._session.system.facets)
        names = [name for name, make in workloads.WORKLOADS.items() if facets.issuperset(make({}).facets)]
        families = ["none", *self._families] if self._all else self._families or ["none"]
        return list(itertools.product(names, families))

    def _fitting(self) -> list[str]:
        """Return every family of faults that this system can have on these machines."""
        missing = lacking(self.config, self._session.backend, self._session.system)
        return [name for name in faults.FAMILIES if name not in missing]

    def runner(self, item: pytest.Item) -> RunWorkload:
        """Return what a test calls to run workloads."""
        return RunWorkload(self._cluster, self, item)

    def pytest_report_header(self) -> str:
        """Say what is tested, and with which seed."""
        config, backend = self.config, self._session.backend.describe()
        return f"cluster: {config.system} {config.version}, {config.nodes} nodes, {backend}, seed {config.seed}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show one line a run."""
        runs = list(_runs(terminalreporter))
        if not runs:
            return
        terminalreporter.section("consistency")
        for run in runs:
            terminalreporter.write_line(run.line(), **{_COLOURS.get(run.verdict, "yellow"): True})


class RunWorkload:
    """The fixture `run_workload`: call it to run a workload, as often as a test likes."""

    def __init__(self, cluster: StandingCluster, session: ClusterSession, item: pytest.Item) -> None:
        self._cluster = cluster
        self._session = session
        self._item = item
        self._runs = 0

    def __call__(
        self,
        workload: str = "register",
        *,
        nemesis: str | Sequence[str] | None = None,
        time_limit: float | None = None,
        options: Mapping[str, Any] | None = None,
        concurrency: int | None = None,
        rate: float | None = None,
        op_timeout: float | None = None,
        interval: float | None = None,
        seed: int | None = None,
        schedule: str | Path = "",
    ) -> Result:
        """Boot the system afresh, run a workload under faults, and check it. What is left out is as the options say.

        Args:
            workload: its name.
            nemesis: families of faults, as "partition,kill" or as names; "all" is every one that is possible, "none" is
                without faults; or a file in the schedule language.
            time_limit: seconds of load.
            options: of the workload and of the system.
            concurrency: clients at once.
            rate: operations a second in all; 0 is as fast as the system answers.
            op_timeout: seconds, after which an operation's outcome is unknown.
            interval: mean seconds from one fault to the next.
            seed: derived from --cluster-seed and the test's id otherwise, so that a test can run alone.
            schedule: a file with faults to replay.

        Returns:
            The run: its summary, history and folder.

        Raises:
            AnomalyFound: the system broke a promise.
            Inconclusive: the verdict is unknown, or the run was an error.
            UsageError: a name or an option is wrong.
        """
        __tracebackhide__ = True
        default = self._session.config
        limit = default.time_limit_s if time_limit is None else time_limit
        changes = {
            "workload": workload,
            "nemesis": default.nemesis if nemesis is None else families(nemesis),
            "time_limit_s": limit,
            "interval_s": min(default.interval_s, round(limit * INTERVAL_SHARE, 3)) if interval is None else interval,
            "options": dict(options or {}),
            "concurrency": concurrency,
            "rate": rate,
            "op_timeout_s": op_timeout,
            "seed": self._derived_seed() if seed is None else seed,
            "schedule": str(schedule),
        }
        given = {name: value for name, value in changes.items() if value is not None}
        self._runs += 1
        return self._run(msgspec.structs.replace(default, **given))

    def _run(self, config: RunConfig) -> Result:
        __tracebackhide__ = True
        start = time.monotonic()
        result = None
        try:
            result, stopped = self._cluster.run(config)
        except Interrupted as error:
            pytest.exit(error.message, returncode=pytest.ExitCode.INTERRUPTED)
        except ClusterError as error:
            raise Inconclusive(failure_text(error, self._replay())) from None
        except (UsageError, ContractError) as error:
            raise error.with_traceback(None) from None  # theirs to mend: our frames would only hide the message
        finally:
            run = describe(self._test(), config, time.monotonic() - start, result)
            self._item.user_properties += run.as_pairs()
        message = verdict_text(result, self._replay())
        if stopped:
            pytest.exit(stopped_text(result), returncode=pytest.ExitCode.INTERRUPTED)
        if result.summary.verdict == "invalid":
            raise AnomalyFound(message)
        if result.summary.verdict != "valid":
            raise Inconclusive(message)
        return result

    def _derived_seed(self) -> int:
        source = f"{self._session.config.seed} {self._test()} {self._runs}"
        return int.from_bytes(hashlib.sha256(source.encode()).digest()[:4]) % 10**6

    def _test(self) -> str:
        """Return the test's id as it can be given to pytest: without xdist's group, and as a module after --pyargs."""
        name = self._item.nodeid
        if getattr(self._item.config.option, "loadgroup", False):
            name = without_group(self._item)
        if self._pyargs and isinstance(self._item, pytest.Function):
            return "::".join([self._item.module.__name__, *name.split("::")[1:]])
        return name

    @property
    def _pyargs(self) -> bool:
        return bool(self._item.config.option.pyargs)

    def _replay(self) -> str:
        return test_command(self._test(), self._pyargs, self._session.config, self._session.given)


def without_group(item: pytest.Item) -> str:
    """Return a test's id without the "@group" that xdist's --dist=loadgroup appends to tests of a group."""
    marks = item.iter_markers("xdist_group")
    groups = {str(mark.args[0] if mark.args else mark.kwargs.get("name", "default")) for mark in marks}
    return item.nodeid.removesuffix("@" + "_".join(sorted(groups)))


def families(nemesis: str | Sequence[str]) -> tuple[str, ...]:
    """Return the families of faults that "partition,kill" or a sequence names; "none" is no family."""
    names = nemesis.split(",") if isinstance(nemesis, str) else nemesis
    return tuple(dict.fromkeys(name for name in map(str.strip, names) if name and name != "none"))


def varieties(text: str) -> dict[str, str]:
    """Return the varieties of facets that "lock=recipe,election=native" names.

    Raises:
        UsageError: a part of it is not NAME=VARIETY.
    """
    found = {}
    for word in filter(None, map(str.strip, text.split(","))):
        name, equals, variety = word.partition("=")
        if not (name and equals and variety):
            raise UsageError(f"--cluster-facet={text}: {word!r} is not NAME=VARIETY", "such as lock=recipe")
        found[name] = variety
    return found


def open_session(values: Mapping[str, str | None]) -> ClusterSession:
    """Choose system and backend, and prepare this process; machines come later.

    Args:
        values: of the options, by name.

    Raises:
        pytest.UsageError: a value is wrong.
        pytest.exit.Exception: the surroundings fail.
    """
    try:
        config = _config(values)
        plan(config)  # names of faults are checked before anything is made
        session = Session.open(config, Log())
    except ClusterError as error:
        pytest.exit(str(error), returncode=error.exit_code)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None
    chosen = values["cluster-nemesis"]
    given = [
        f"--{name}={value}"
        for name in ("cluster-facet", "cluster-nemesis", "cluster-time-limit")
        if (value := values[name]) is not None
    ]
    return ClusterSession(
        session, config, Path(str(values["cluster-store"])), given, None if chosen is None else config.nemesis
    )


def _config(values: Mapping[str, str | None]) -> RunConfig:
    system, version = split_system(values["cluster-system"] or "")
    seed = values["cluster-seed"]
    return RunConfig(
        system=system,
        version=version,
        nodes=_number("cluster", values["cluster"], int, 1),
        backend=values["cluster-backend"] or "",
        nemesis=families(values["cluster-nemesis"] or ""),
        facets=varieties(values["cluster-facet"] or ""),
        time_limit_s=_number("cluster-time-limit", values["cluster-time-limit"], float, 0.1),
        seed=secrets.randbelow(10**6) if seed is None else _number("cluster-seed", seed, int, 0),
    )


def _number(name: str, given: str | None, kind: Callable[[str], Number], least: Number) -> Number:
    try:
        value = kind(given or "")
    except ValueError:
        raise UsageError(f"--{name}={given} is not a number", f"such as --{name}={max(least, 5)}") from None
    if not value >= least:
        raise UsageError(f"--{name}={given} is too little", f"give {least} or more")
    return value


def _runs(reporter: pytest.TerminalReporter) -> Iterator[RunProperties]:
    """Yield each run of the session once: a test's later reports repeat what the earlier ones tell."""
    latest: dict[str, Sequence[tuple[str, object]]] = {}
    for reports in reporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                known = latest.get(report.nodeid, ())
                latest[report.nodeid] = max(known, report.user_properties, key=len)
    for properties in latest.values():
        yield from runs_of(properties)
