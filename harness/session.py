"""From a configuration to running machines: names become objects, defaults are filled in, and all is torn down."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
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
from harness.protocols import Backend, System
from harness.registry import choose_backend, find_system
from harness.runner import Observer, Result, Run
from nemesis import family
from nemesis import schedule as schedules

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
        return msgspec.structs.replace(config, backend=self.backend.name, version=self.system.version)

    @asynccontextmanager
    async def cluster(self, config: RunConfig, stop: asyncio.Event) -> AsyncIterator[Cluster]:
        """Bring up the machines for a while."""
        cluster = Cluster(self.backend, self.system, node_names(config))
        await unless(stop, cluster.up(self.paths))
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
        UsageError: the system does not have the workload's facet, or none of the varieties that were chosen.
    """
    for name in (workload.facet, *config.facets):
        if config.facet(name) not in system.facets:
            known = ", ".join(system.facets) or "none"
            raise UsageError(f"{system.name} has no facet {config.facet(name)!r}", f"its facets: {known}")


def plan(config: RunConfig) -> Schedule:
    """Return the faults of a run: those of --schedule, or planned from the seed.

    Raises:
        UsageError: a family is unknown, or the file is not a schedule.
    """
    names = node_names(config)
    if config.schedule:
        return schedules.load(Path(config.schedule), names)
    random = Random(f"schedule-{config.seed}")  # noqa: S311 - reproducible, not secret
    return schedules.plan(config.nemesis, names, config.time_limit_s, config.interval_s, random)


def check_faults(schedule: Schedule, config: RunConfig, backend: Backend, system: System) -> None:
    """Hold the faults, and where clients live, to what backend and system can do.

    Raises:
        UsageError: one is not possible there.
    """
    for kind in dict.fromkeys(step.kind for step in schedule.steps):
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
    schedule = plan(config)
    workload = workloads.find(config.workload)(config.options)
    check_options(config, workload)
    session = Session.open(config, observer)
    check_faults(schedule, config, session.backend, session.system)
    check_facets(config, workload, session.system)
    config = session.fill(config)

    async def whole() -> tuple[Result, bool]:
        stop = asyncio.Event()
        stop_on_signals(stop, observer.warn)
        observer.phase(f"bringing up {config.nodes} machines")
        async with session.cluster(config, stop) as cluster:
            task = Run(cluster, config, workload, schedule, store, observer, stop)
            return await task.execute(), stop.is_set()

    try:
        return asyncio.run(whole())
    except asyncio.CancelledError as error:
        raise Interrupted("stopped at once, before the verdict", "what was recorded can be checked") from error
