"""Recorded operations a second on one core: the register workload against the system in memory, history on disk.

    python -m benchmarks.record

Everything of a real run takes part: the workload's rotating generator, a time limit on every operation, each event
encoded and written. The process is held to one core. Target: 100,000 operations a second.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import tempfile
import time
from pathlib import Path
from random import Random

from clusters.memory import Memory, MemoryBackend
from harness.cluster import Cluster
from harness.generator import time_limit
from harness.protocols import Client
from harness.recorder import Recorder
from harness.worker import Drive
from workloads.register import RegisterWorkload

CLIENTS = 20
NODES = 5
SECONDS = 2.0
ROUNDS = 5


async def rate(path: Path, seed: int) -> tuple[float, float]:
    """Drive once; return the completed operations and the recorded events a second."""
    workload = RegisterWorkload({})
    cluster = Cluster(MemoryBackend("benchmark"), Memory(), [f"n{number}" for number in range(1, NODES + 1)])
    await cluster.up([])
    await cluster.boot()

    def client(node: str) -> Client:
        return workload.client(cluster.facet("register", node, {}))

    recorder = Recorder(path)
    drive = Drive(recorder, cluster.names, client, None, CLIENTS, 1.0)
    random = Random(seed)  # noqa: S311 - reproducible
    start = time.perf_counter()
    await drive.run(time_limit(SECONDS, workload.generator()), random, asyncio.Event())
    seconds = time.perf_counter() - start
    await drive.close()
    recorder.close()
    events = sum(recorder.clients.values())
    return (events - recorder.clients["invoke"]) / seconds, events / seconds


def main() -> None:
    """Print the median of some drives."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            gc.collect()
            results.append(asyncio.run(rate(Path(folder) / f"{number}.jsonl", number)))
    os.sched_setaffinity(0, cores)
    for what, values in zip(("operations", "events"), zip(*results, strict=True), strict=True):
        low, mid, high = min(values), statistics.median(values), max(values)
        print(f"  recorded {what:10} {mid:10,.0f} a second (min {low:,.0f}, max {high:,.0f}, n {len(values)})")


if __name__ == "__main__":
    main()
