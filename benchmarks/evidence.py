"""How fast the checkers of each workload are, on histories of the system in memory: all its checkers, on one core.

Each workload is recorded twice: at a rate that the system keeps up with, and dense, by many clients at full speed.

python -m benchmarks.evidence [WORKLOAD…]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from checkers import of_every_run
from harness.history import History
from harness.lines import without_collections
from harness.store import RunFolder
from workloads import WORKLOADS

REPEATS = 5
EVENTS = 100_000
SECONDS = 25
LOADS = {"steady": ("--rate", "2500", "--concurrency", "50"), "dense": ("--rate", "0", "--concurrency", "200")}
COMMAND = str(Path(sys.executable).with_name("kingslayer"))


def record(workload: str, load: Sequence[str], store: Path) -> Path:
    """Run a workload under load; return its history's path."""
    argv = [COMMAND, "run", "memory", "--workload", workload, *load, "--seed", "1"]
    rest = ["--time-limit", str(SECONDS), "--nemesis", "partition,pause", "--store", str(store), "--json"]
    subprocess.run([*argv, *rest], check=True, capture_output=True)  # noqa: S603 - our own command
    return RunFolder((store / "latest").resolve()).path / "history.jsonl"


def cut(path: Path) -> Path:
    """Keep the first EVENTS lines: a prefix of a history is a history."""
    lines = path.read_bytes().splitlines(keepends=True)[:EVENTS]
    path.write_bytes(b"".join(lines))
    return path


def seconds(workload: str, path: Path) -> tuple[float, float, int]:
    """Return the processor's seconds for loading and for checking, and how many events there are."""
    loads, checks, count = [], [], 0
    for _ in range(REPEATS):
        start = time.process_time()
        history = History.load(path)
        count = len(history.events)
        loaded = time.process_time()
        with without_collections():  # as harness.judge does
            for checker in (*WORKLOADS[workload]({}).checkers(), *of_every_run()):
                checker.check(history)
        loads.append(loaded - start)
        checks.append(time.process_time() - loaded)
    return statistics.median(loads), statistics.median(checks), count


def main() -> None:
    """Print a table."""
    print(f"  {'workload':12} {'load':8} {'events':>8} {'load':>8} {'check':>8} {f'check of {EVENTS:,}':>18}")
    for workload in sys.argv[1:] or WORKLOADS:
        for name, load in LOADS.items():
            with tempfile.TemporaryDirectory() as folder:
                load_s, check_s, events = seconds(workload, cut(record(workload, load, Path(folder))))
            scaled = check_s * EVENTS / events
            print(f"  {workload:12} {name:8} {events:8,} {load_s:6.2f} s {check_s:6.2f} s {scaled:16.2f} s", flush=True)


if __name__ == "__main__":
    main()
