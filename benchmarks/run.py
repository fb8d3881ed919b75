"""Whole runs on real etcd: recorded operations a second, and how long clusters take to come and go.

    python -m benchmarks.run [docker|netns]

Half puts, half linearizable gets from 50 clients, through the whole harness: generators, workers, history on disk.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from harness.cluster import Cluster
from harness.config import RunConfig
from harness.generator import Generator, calls, mix, time_limit
from harness.op import Call
from harness.recorder import Recorder
from harness.session import Session
from harness.worker import Drive
from workloads.register import RegisterClient

CLIENTS = 50
SECONDS = 5.0
ROUNDS = 5
KEYS = 100


class Silent:
    """An observer that says nothing."""

    def phase(self, text: str) -> None:
        """Say nothing."""

    def progress(self, progress: object) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say nothing."""


def half_puts() -> Generator:
    """Return the mix of the published figures: half puts, half linearizable gets."""
    values = itertools.count()
    return mix(
        calls(lambda random: Call("read", f"k{random.randrange(KEYS)}")),
        calls(lambda random: Call("write", f"k{random.randrange(KEYS)}", next(values))),
    )


async def rate(cluster: Cluster, folder: Path) -> float:
    """Return the ok operations a second of one drive."""
    recorder = Recorder(folder / f"{time.monotonic_ns()}.jsonl")

    def client(node: str) -> RegisterClient:
        return RegisterClient(cluster.facet("register", node, {}))

    drive = Drive(recorder, cluster.names, client, None, CLIENTS, 1.0)
    start = time.monotonic()
    await drive.run(time_limit(SECONDS, half_puts()), Random(1), asyncio.Event())  # noqa: S311 - reproducible
    seconds = time.monotonic() - start
    await drive.close()
    recorder.close()
    return recorder.clients["ok"] / seconds


async def measure(session: Session, config: RunConfig, folder: Path) -> None:
    """Print the figures of one backend."""
    ups, boots, downs, rates = [], [], [], []
    for _ in range(ROUNDS):
        start = time.monotonic()
        cluster = Cluster(session.backend, session.system, [f"n{number}" for number in range(1, config.nodes + 1)])
        await cluster.up(session.paths)
        await cluster.boot()
        ups.append(time.monotonic() - start)
        start = time.monotonic()
        await cluster.boot()
        boots.append(time.monotonic() - start)
        rates.append(await rate(cluster, folder))
        start = time.monotonic()
        await cluster.down()
        downs.append(time.monotonic() - start)
    show("five etcd nodes from nothing to healthy", ups, "s")
    show("a further run on standing machines", boots, "s")
    show("teardown", downs, "s")
    show(f"recorded operations at {CLIENTS} clients", rates, "ops/s")


def show(what: str, values: Sequence[float], unit: str) -> None:
    """Print the median of some measurements, with minimum and maximum."""
    low, mid, high = min(values), statistics.median(values), max(values)
    print(f"  {what:42} {mid:8,.2f} {unit:5} (min {low:,.2f}, max {high:,.2f}, n {len(values)})")


def measure_backend(backend: str) -> None:
    """Measure one backend; netns changes the process for good, so each has a process of its own."""
    config = RunConfig(system="etcd", backend=backend, seed=1)
    session = Session.open(config, Silent())
    print(session.backend.describe())
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(session, config, Path(folder)))


def main() -> None:
    """Measure docker and netns."""
    for backend in ("docker", "netns"):
        subprocess.run([sys.executable, "-m", "benchmarks.run", backend], check=True)  # noqa: S603 - our own module


if __name__ == "__main__":
    measure_backend(sys.argv[1]) if len(sys.argv) > 1 else main()
