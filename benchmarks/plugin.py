"""What the plugin costs a run of pytest that does not ask for a cluster.

    python -m benchmarks.plugin

Whole runs of one empty test, with the plugin and with -p no:kingslayer in turn; and what importing it takes by
-X importtime, after pytest itself.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 20
IMPORT = re.compile(r"import time:\s+\d+ \|\s+(\d+) \|\s+harness\.plugin$", re.MULTILINE)


def run_ms(folder: Path, *options: str) -> float:
    """Return the milliseconds of one run of pytest."""
    start = time.perf_counter()
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-q", *options], cwd=folder, check=True, stdout=subprocess.DEVNULL
    )
    return (time.perf_counter() - start) * 1e3


def import_ms() -> float:
    """Return the milliseconds that `import harness.plugin` takes where pytest is imported already."""
    argv = [sys.executable, "-X", "importtime", "-c", "import pytest, harness.plugin"]
    told = subprocess.run(argv, check=True, capture_output=True, text=True).stderr  # noqa: S603
    found = IMPORT.search(told)
    assert found is not None
    return int(found[1]) / 1e3


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text("def test_nothing(): ...\n")
        runs = [(run_ms(folder), run_ms(folder, "-p", "no:kingslayer")) for _ in range(ROUNDS)]
    with_ms, without_ms = (statistics.median(each) for each in zip(*runs, strict=True))
    difference_ms = statistics.median(one - other for one, other in runs)
    print(f"pytest with the plugin {with_ms:.0f} ms, without {without_ms:.0f} ms: it costs {difference_ms:.1f} ms")
    print(f"its import takes {statistics.median(import_ms() for _ in range(5)):.1f} ms")


if __name__ == "__main__":
    main()
