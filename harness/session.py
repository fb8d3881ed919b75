"""From a configuration to running machines: names become objects, defaults are filled in, and all is torn down."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

import workloads
from harness.cluster import Cluster
from harness.config import RunConfig, Schedule
from harness.errors import ContractError, UsageError
from harness.interrupt import Interrupted, stop_on_signals, unless
from harness.protocols import Backend, HasStatus, Right, System
from harness.registry import choose_backend, find_system
from harness.runner import Observer, Result, Run
from nemesis import FAMILIES, family, language, rights
from nemesis import schedule as schedules
from nemesis.moments import LOG_LINE
from nemesis.plan import Phase
from nemesis.plan import plan as plan_phases

SYSTEM_MEMBERS: Final = ("name", "version", "backends", "facets", "logs", "install", "boot", "start", "ready")


@dataclass(frozen=True, slots=True)
class Session:
    """A system and a backend that fit together, for one run or many.

    Attributes:
        paths: what every node must be able to read.
    """

    system: System
    backend: Backend
    paths: tuple[Path, ...]

    @classmethod
    def open(cls, config: RunConfig, observer: Observer) -> Session:
        """Choose, install and enter; call it before any event loop or thread.

        Raises:
            UsageError: a name or an option is wrong.
            ClusterError: no backend works, or the system cannot be installed.
        """
        if config.nodes < 1:
            raise UsageError(f"--nodes {config.nodes} is no cluster", "give 1 or more; 3 or 5 is usual")
        options = {"seed": config.seed} | config.options
        system = _conforming(find_system(config.system)(config.version, options), config.system)
        backend = choose_backend(config.backend, system, secrets.token_hex(4))
        observer.phase(f"using {backend.describe()} with {system.name} {system.version}")
        paths = asyncio.run(system.install())
        backend.enter()
        return cls(system, backend, tuple(paths))

    def fill(self, config: RunConfig) -> RunConfig:
        """Return `config` with what was chosen: the run can be replayed exactly."""
        nemesis = config.nemesis
        if language.ALL in nemesis:
            missing = lacking(config, self.backend, self.system)
            nemesis = tuple(families(nemesis, [name for name in FAMILIES if name not in missing]))
        return msgspec.structs.replace(config, backend=self.backend.name, version=self.system.version, nemesis=nemesis)

    def plan(self, config: RunConfig, observer: Observer) -> Schedule:
        """Return the faults of a run on this system and backend, and tell which families they are of.

        Raises:
            UsageError: one is not possible here.
        """
        missing = lacking(config, self.backend, self.system)
        schedule = plan(config, missing)
        check_faults(schedule, config, self.backend, self.system)
        if language.ALL in config.nemesis and not config.schedule:
            asked = families(config.nemesis, [name for name in FAMILIES if name not in missing])
            observer.phase(f"all faults: {', '.join(asked)}")
            for name, reason in missing.items():
                if name not in asked:
                    observer.phase(f"  no {name}: {reason}")
            if late := [name for name in asked if name not in {step.kind for step in schedule.steps}]:
                every = f"one every {config.interval_s:g} s, in {config.time_limit_s:g} s"
                observer.warn(f"no time for {', '.join(late)} ({every}): give more of it, or a shorter --interval")
        return schedule

    @asynccontextmanager
    async def cluster(
        self, config: RunConfig, stop: asyncio.Event, rights: Collection[Right] = ()
    ) -> AsyncIterator[Cluster]:
        """Bring up the machines for a while."""
        cluster = Cluster(self.backend, self.system, node_names(config))
        await unless(stop, cluster.up(self.paths, rights))
        try:
            yield cluster
        finally:
            await cluster.down()


def _conforming(system: Any, name: str) -> System:
    """Say at once what a system of somebody's own lacks, instead of failing in the middle of a run."""
    missing = sorted(member for member in SYSTEM_MEMBERS if not hasattr(system, member))
    if missing:
        raise ContractError(f"system {name} lacks {', '.join(missing)}", "harness.protocols.System says what each is")
    found: System = system
    return found


def check_options(config: RunConfig, workload: workloads.Workload) -> None:
    """Hold the options to what the workload and the system know: one that nobody reads is a mistake.

    Raises:
        UsageError: an option that neither knows, or a value that it cannot have.
    """
    system: Mapping[str, Sequence[str]] = getattr(find_system(config.system), "options", {})
    known = {**system, **workload.options}
    for name, value in config.options.items():
        if name not in known:
            what = f"neither {config.system} nor the workload {config.workload} has an option {name!r}"
            raise UsageError(what, f"their options: {', '.join(known) or 'none'}")
        if known[name] and value not in known[name]:
            raise UsageError(f"{name}={value} is not possible", f"choose one of {', '.join(known[name])}")


def check_facets(config: RunConfig, workload: workloads.Workload, system: System) -> None:
    """Hold the facets to what the system has, before anything is started.

    Raises:
        UsageError: the system lacks one of the workload's facets, or one of the varieties that were chosen.
    """
    for name in (*workload.facets, *config.facets):
        if config.facet(name) not in system.facets:
            known = ", ".join(system.facets) or "none"
            raise UsageError(f"{system.name} has no facet {config.facet(name)!r}", f"its facets: {known}")


def plan(config: RunConfig, lacking: Collection[str] = ()) -> Schedule:
    """Return the faults of a run: those of --schedule, or planned from the seed.

    Args:
        config: of the run.
        lacking: families that are not possible in it, so that "all" does not stand for them.

    Raises:
        UsageError: a family is unknown, or a file is not what it should be.
    """
    names = node_names(config)
    if config.schedule:
        return schedules.load(Path(config.schedule), names)
    random = Random(f"schedule-{config.seed}")  # noqa: S311 - reproducible, not secret
    fitting = (each for name, each in FAMILIES.items() if name not in lacking)
    every = [each.name for each in fitting if not each.apart and each.nodes_min <= len(names)]
    files = [name for name in config.nemesis if name.endswith(language.SUFFIX)]
    if files:
        if len(config.nemesis) > 1:
            raise UsageError(f"--nemesis {','.join(config.nemesis)}", "give families, or one file that names them all")
        return language.read(Path(files[0]), names, config.time_limit_s, config.interval_s, every, random)
    weights = dict.fromkeys(families(config.nemesis, every), 1)
    return plan_phases([Phase(0.0, config.time_limit_s, config.interval_s, weights)], (), names, random)


def families(nemesis: Sequence[str], every: Sequence[str]) -> list[str]:
    """Return the families that were asked for, each once; "all" stands for `every`.

    Raises:
        UsageError: one is unknown.
    """
    named = [every if name == language.ALL else [family(name).name] for name in nemesis]
    return list(dict.fromkeys(name for names in named for name in names))


def lacking(config: RunConfig, backend: Backend, system: System) -> dict[str, str]:
    """Return the families that "all" does not stand for in this run, each with the reason."""
    found = {}
    for name, each in FAMILIES.items():
        if name in backend.lacks:
            found[name] = backend.lacks[name]
        elif not each.fits(system):
            found[name] = f"{system.name} cannot do it"
        elif config.nodes < each.nodes_min:
            found[name] = f"it needs {each.nodes_min} nodes"
        elif each.apart:
            found[name] = each.apart
    return found


def kinds(schedule: Schedule) -> list[str]:
    """Return the families that a schedule has, each once."""
    return list(dict.fromkeys(step.kind for step in schedule.steps))


def check_faults(schedule: Schedule, config: RunConfig, backend: Backend, system: System) -> None:
    """Hold the faults, and where clients live, to what backend and system can do.

    Raises:
        UsageError: one is not possible there.
    """
    for step in schedule.steps:
        if step.when and step.when.moment != LOG_LINE and not isinstance(system, HasStatus):
            hint = f"wait for a {LOG_LINE!r}, or use another system"
            raise UsageError(f"no {step.when.moment!r} with {system.name}: its nodes do not tell their roles", hint)
    named = (name for name in config.nemesis if name in FAMILIES)
    for kind in dict.fromkeys((*named, *(step.kind for step in schedule.steps))):
        if kind in backend.lacks:
            hint = f"leave {kind} out of --nemesis, or use another system or --backend"
            raise UsageError(f"no {kind} on the backend {backend.name}: {backend.lacks[kind]}", hint)
        if not family(kind).fits(system):
            hint = f"leave {kind} out of --nemesis, or use another system; harness/capabilities.py says what it takes"
            raise UsageError(f"no {kind} with {system.name}: that system cannot do it", hint)
    if config.client_processes and "freeze" in backend.lacks:
        hint = "leave --client-processes out, or use another system or --backend"
        raise UsageError(f"no client processes with the backend {backend.name}: {backend.lacks['freeze']}", hint)


def node_names(config: RunConfig) -> list[str]:
    """Return the nodes' names: n1, n2, …"""
    return [f"n{number}" for number in range(1, config.nodes + 1)]


def run(config: RunConfig, store: Path, observer: Observer) -> tuple[Result, bool]:
    """Execute one run from nothing to nothing left; return its result, and whether it was stopped early.

    Raises:
        HarnessError: see Session.open and Run.execute.
    """
    plan(config)  # what is wrong with the faults is said before anything is made
    workload = workloads.find(config.workload)(config.options)
    check_options(config, workload)
    session = Session.open(config, observer)
    schedule = session.plan(config, observer)
    check_facets(config, workload, session.system)
    config = session.fill(config)

    async def whole() -> tuple[Result, bool]:
        stop = asyncio.Event()
        stop_on_signals(stop, observer.warn)
        observer.phase(f"bringing up {config.nodes} machines")
        async with session.cluster(config, stop, rights(kinds(schedule))) as cluster:
            task = Run(cluster, config, workload, schedule, store, observer, stop)
            return await task.execute(), stop.is_set()

    try:
        return asyncio.run(whole())
    except asyncio.CancelledError as error:
        raise Interrupted("stopped at once, before the verdict", "what was recorded can be checked") from error
