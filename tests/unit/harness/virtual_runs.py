"""Whole runs on the system in memory, in virtual time: a run costs milliseconds, and its seed replays it exactly."""

from __future__ import annotations

import asyncio
from pathlib import Path

from silent import Silent

import workloads
from checkers import of_every_run
from harness.cluster import Cluster
from harness.config import RunConfig
from harness.history import History
from harness.judge import judge
from harness.recorder import Recorder
from harness.runner import Run
from harness.session import Session, node_names, plan
from harness.verdict import Summary
from tests import virtual_time


def run(config: RunConfig, folder: Path) -> tuple[Summary, History]:
    """Do one run and check it; nothing but its history is stored.

    Args:
        config: of the system memory, or of another one that takes its time from the event loop.
        folder: for the history.
    """
    told = Silent()
    session = Session.open(config, told)
    path = folder / f"{config.options.get('bug', 'correct')}-{config.seed}.jsonl"
    workload = workloads.find(config.workload)(config.options)

    async def drive() -> None:
        cluster = Cluster(session.backend, session.system, node_names(config))
        await cluster.up(session.paths)
        await cluster.boot()
        recorder = Recorder(path, virtual_time.now_ns)
        whole = Run(cluster, session.fill(config), workload, plan(config), folder, told, asyncio.Event())
        try:
            await whole._drive(recorder)  # the one part of a run that takes time
        finally:
            recorder.close()
            await cluster.down()

    virtual_time.run(drive())
    history = History.load(path)
    return judge(history, (*workload.checkers(), *of_every_run()), seed=config.seed), history
