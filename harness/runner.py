"""One run, from a booted cluster to a stored verdict: drive, heal, read finally, fetch the logs, check, report."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Final, Protocol

import msgspec

import nemesis
from checkers import of_every_run
from harness import store as files
from harness.closing import compare, fetch_logs
from harness.cluster import Cluster
from harness.conditions import conditions, prove
from harness.config import RunConfig, RunRecord, Schedule
from harness.course import course, hands
from harness.generator import Generator, clients, sequence, stagger, time_limit
from harness.generator import nemesis as with_nemesis
from harness.history import History
from harness.interrupt import Interrupted, interruptible, unless
from harness.judge import judge
from harness.op import FINAL, RUN, STATUS, EventType
from harness.protocols import Client
from harness.recorder import Recorder
from harness.store import RunFolder
from harness.verdict import Summary
from harness.worker import Drive
from workloads import Workload

STATUS_POLL_S: Final = 0.25
PROGRESS_S: Final = 1.0
RECOVER_S: Final = 20.0
FINAL_S: Final = 15.0
CLIENT_PROCESSES: Final = 4
TAIL_BYTES: Final = 16 << 10


@dataclass(frozen=True, slots=True)
class Progress:
    """How a run stands: seconds driven, of how many, the clients' events so far, and the faults that are on."""

    seconds: float
    limit_s: float
    clients: Mapping[EventType, int]
    faults: Sequence[str]


class Observer(Protocol):
    """Who is told how a run goes."""

    def phase(self, text: str) -> None:
        """Hear what begins now."""

    def progress(self, progress: Progress) -> None:
        """Hear how the drive stands, every PROGRESS_S."""

    def warn(self, text: str) -> None:
        """Hear what went wrong without ending the run."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run gave."""

    folder: RunFolder
    history: History
    summary: Summary
    record: RunRecord | None


@dataclass(frozen=True, slots=True)
class Run:
    """One run on a standing cluster.

    Args:
        cluster: its machines are up.
        config: with every default filled in.
        workload: made for this run.
        schedule: of the faults.
        store: the store's folder.
        observer: who is told.
        stop: set it to end the drive early: what there is gets healed, checked and stored.
    """

    cluster: Cluster
    config: RunConfig
    workload: Workload
    schedule: Schedule
    store: Path
    observer: Observer
    stop: asyncio.Event

    async def execute(self) -> Result:
        """Boot, drive, heal, check and store.

        Raises:
            HarnessError: the cluster never got healthy, or the history cannot be written; what was recorded stays.
        """
        config = self.config
        folder = RunFolder.create(self.store, f"{config.system.rpartition(':')[2]}-{config.version}-{config.workload}")
        self.observer.phase(f"booting {config.system} {config.version} on {config.nodes} nodes")
        await unless(self.stop, self.cluster.boot())
        recorder = Recorder(folder.path / files.HISTORY)
        record = self._record(folder, recorder)
        folder.write_json(files.RUN, record)
        folder.write_json(files.SCHEDULE, self.schedule)
        try:
            remarks = await self._drive(recorder)
        finally:
            try:
                await fetch_logs(self.cluster, folder, recorder, self.observer.warn)
            finally:
                recorder.close()
        self.observer.phase("checking")
        with interruptible():
            return finish(folder, record, self.workload, self.observer, remarks)

    def _record(self, folder: RunFolder, recorder: Recorder) -> RunRecord:
        cluster = self.cluster
        return RunRecord(
            config=self.config,
            name=folder.path.parent.name,
            started=folder.path.name,
            nodes={node.name: node.ip for node in cluster.nodes.values()},
            versions={
                "kingslayer": version("kingslayer"),
                "python": platform.python_version(),
                "kernel": platform.release(),
                "backend": cluster.backend.describe(),
                cluster.system.name: cluster.system.version,
            },
            schedule=self.schedule,
            epoch_ns=time.time_ns() - recorder.now_ns(),
        )

    async def _drive(self, recorder: Recorder) -> list[str]:
        config, cluster = self.config, self.cluster
        # without faults there is no nemesis, and its worker would only be waited for
        lookout = nemesis.Lookout(cluster.nodes, cluster.system.logs)
        faults = nemesis.Nemesis(cluster, lookout) if self.schedule.steps else None
        before = await conditions(cluster) if faults is not None else {}
        await cluster.start_clients(self._client_processes(), config)
        random = Random(config.seed)  # noqa: S311 - reproducible, not secret
        drive = Drive(
            recorder, cluster.names, self._client, faults, config.concurrency, config.op_timeout_s, hands(self.schedule)
        )
        background = [asyncio.create_task(self._tell(recorder, faults))]
        if cluster.has_status:
            background += [asyncio.create_task(self._watch(name, recorder, lookout)) for name in cluster.names]
        try:
            what = f"driving {config.concurrency} clients for {config.time_limit_s:g} s, seed {config.seed}"
            self.observer.phase(what)
            await drive.run(self._main(), random, self.stop)
            await self._heal(drive, faults, random)
            if faults is not None:
                await prove(cluster, before, recorder)
            late = [] if self.stop.is_set() else await self._finally(drive, recorder, random)
            return [*late, "the run was stopped early"] if self.stop.is_set() else late
        except Exception:  # not where somebody wants to quit at once: machines heal when they are wiped or removed
            if faults is not None:
                await faults.heal_all()
            raise
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await drive.close()
            await cluster.end_clients()

    def _client_processes(self) -> int:
        """Return how many were asked for; clients that are to be frozen need some in any case."""
        frozen = any(step.kind == "freeze" for step in self.schedule.steps)
        return self.config.client_processes or frozen * CLIENT_PROCESSES

    def _main(self) -> Generator:
        config = self.config
        mix = self.workload.generator()
        paced = stagger(1 / config.rate, mix) if config.rate > 0 else mix
        limited = time_limit(config.time_limit_s, paced)
        return with_nemesis(course(self.schedule), limited) if self.schedule.steps else limited

    async def _heal(self, drive: Drive, faults: nemesis.Nemesis | None, random: Random) -> None:
        """Heal what is still on after an early stop, recorded like any other heal."""
        if faults is not None and (left := faults.active()):
            self.observer.phase("healing")
            await drive.run(with_nemesis(sequence(left)), random, asyncio.Event())

    async def _finally(self, drive: Drive, recorder: Recorder, random: Random) -> list[str]:
        self.observer.phase("waiting for every node to serve, then reading finally")
        try:
            late = await unless(self.stop, self.cluster.recover(RECOVER_S))
        except Interrupted:
            return []
        final = time_limit(FINAL_S, self.workload.final())
        recorder.record(RUN, "invoke", FINAL, None, None, {"late": late, "nodes": len(self.cluster.names)})
        await drive.run(clients(final) if self.schedule.steps else final, random, self.stop)
        if not self.stop.is_set():
            recorder.record(RUN, "ok", FINAL, None, None, None)
            await compare(self.cluster, recorder)
        return [f"{name} did not serve within {RECOVER_S:g} s after the last heal" for name in late]

    def _client(self, node: str) -> Client:
        config = self.config
        names = map(config.facet, self.workload.facets)
        return self.workload.client(*(self.cluster.facet(name, node, config.options) for name in names))

    async def _watch(self, name: str, recorder: Recorder, lookout: nemesis.Lookout) -> None:
        """Record what a node says of itself, all the time, and tell whoever waits for a moment."""
        process = f"{STATUS}:{name}"
        while True:
            recorder.record(process, "invoke", STATUS, name, None, None)
            try:
                status = await self.cluster.status(name)
            except Exception as error:  # a node under faults may answer with anything, or not at all
                recorder.record(process, "info", STATUS, name, None, None, error=str(error) or type(error).__name__)
            else:
                recorder.record(process, "ok", STATUS, name, None, msgspec.to_builtins(status))
                lookout.tell(name, status)
            await lookout.rest(STATUS_POLL_S)

    async def _tell(self, recorder: Recorder, faults: nemesis.Nemesis | None) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            active = [] if faults is None else faults.measured()
            seconds = recorder.now_ns() / 1e9
            self.observer.progress(Progress(seconds, self.config.time_limit_s, dict(recorder.clients), active))


def finish(
    folder: RunFolder, record: RunRecord | None, workload: Workload, observer: Observer, remarks: Sequence[str]
) -> Result:
    """Read back what was recorded, check it, and store verdict and report."""
    start = time.perf_counter()
    history = folder.history()
    parse_s = time.perf_counter() - start
    summary = judge(
        history,
        (*workload.checkers(), *of_every_run()),
        remarks=remarks,
        parse_s=parse_s,
        seed=record.config.seed if record else None,
        store=folder.path,
        warn=observer.warn,
    )
    folder.write_json(files.VERDICT, summary)
    write_report(folder, history, summary)
    return Result(folder, history, summary, record)


def write_report(folder: RunFolder, history: History, summary: Summary) -> Path:
    """Write report.html of a run's folder; return its path."""
    from reports.html import render  # jinja2 and plotly are heavy

    return folder.write(files.REPORT, render(folder.record(), history, summary, folder.logs(TAIL_BYTES)))
