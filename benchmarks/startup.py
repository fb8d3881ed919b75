"""What it costs to start the command: `kingslayer --help`, whole processes.

python -m benchmarks.startup
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15
COMMAND = str(Path(sys.executable).with_name("kingslayer"))


def seconds() -> float:
    """Return how long the command takes."""
    start = time.perf_counter()
    subprocess.run([COMMAND, "--help"], check=True, capture_output=True)  # noqa: S603 - our own command
    return time.perf_counter() - start


def main() -> None:
    """Print the median."""
    times = [seconds() for _ in range(ROUNDS)]
    print(f"  kingslayer --help: {statistics.median(times):.3f} s (min {min(times):.3f}, max {max(times):.3f})")


if __name__ == "__main__":
    main()
