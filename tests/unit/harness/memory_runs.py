"""Whole runs on the system in memory, many at once in one event loop: in real time, as they cannot be hurried."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from silent import Silent

import workloads
from harness.config import RunConfig
from harness.protocols import Backend, System
from harness.runner import Result, Run
from harness.session import Session, plan

AT_ONCE = 10


def config(**more: Any) -> RunConfig:
    """A second of load, as much as finds every bug, with room for many runs at once."""
    usual: dict[str, Any] = {"time_limit_s": 1.0, "rate": 1500.0, "interval_s": 0.5, "op_timeout_s": 0.3}
    return RunConfig(system="memory", **(usual | more))


def run_one(each: RunConfig, store: Path, system: System | None = None, backend: Backend | None = None) -> Result:
    """Do one run; on another system or backend than the named one, where one is given."""
    return run_all([each], store, system, backend)[0]


def run_all(
    configs: Sequence[RunConfig], store: Path, system: System | None = None, backend: Backend | None = None
) -> list[Result]:
    """Do these runs, AT_ONCE at a time and in step, as checking stops the loop; return their results in order."""
    told = Silent()
    opened = [Session.open(each, told) for each in configs]
    sessions = [Session(system or each.system, backend or each.backend, ()) for each in opened]

    async def one(session: Session, each: RunConfig) -> Result:
        filled = session.fill(each)
        workload = workloads.find(each.workload)(each.options)
        async with session.cluster(each, stop) as cluster:
            return await Run(cluster, filled, workload, plan(each), store, told, stop).execute()

    async def whole() -> list[Result]:
        results: list[Result] = []
        for first in range(0, len(configs), AT_ONCE):
            batch = slice(first, first + AT_ONCE)
            results += await asyncio.gather(*map(one, sessions[batch], configs[batch]))
        return results

    stop = asyncio.Event()
    return asyncio.run(whole())
