"""Whole runs of the command that must come to a verdict, on slow machines too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, NamedTuple

COMMAND: Final = Path(sys.executable).with_name("kingslayer")

STRETCHES: Final = (1, 2, 4)
"""Servers that start slowly take most of a short run: what proves nothing is done again, each time in slower motion.

The time between faults grows with the run: more faults would leave no more time in which anything succeeds.
"""


class Judged(NamedTuple):
    """A run of the command, and what it printed with --json."""

    done: subprocess.CompletedProcess[str]
    summary: dict[str, Any]


def judged(
    folder: Path,
    *words: str,
    limit_s: float,
    interval_s: float,
    verdicts: Collection[str] = ("valid",),
    ok: int = 0,
) -> Judged:
    """Run the command in a folder until enough succeeded; what it leaves on disk would be below that folder.

    Every verdict is held, of each run: only one that had nothing but too little to judge is excused.

    Args:
        words: after `kingslayer run`.
        limit_s, interval_s: of the first run.
        verdicts: that it may end with.
        ok: operations that succeed at least.
    """
    environment = os.environ | {"TMPDIR": str(folder)}
    for stretch in STRETCHES:
        times = ("--time-limit", f"{limit_s * stretch:g}", "--interval", f"{interval_s * stretch:g}")
        argv = [COMMAND, "run", *words, *times, "--json"]
        done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.stdout, done.stderr
        summary = json.loads(done.stdout)
        assert had_too_little(summary) or summary["verdict"] in verdicts, done.stderr + done.stdout
        if not had_too_little(summary) and summary["ops"]["ok"] >= ok:
            return Judged(done, summary)
    raise AssertionError(f"no verdict on {ok} operations within {STRETCHES} times {limit_s:g} s: {done.stdout}")


def had_too_little(summary: dict[str, Any]) -> bool:
    """Say whether a run is an error for nothing but that too little succeeded."""
    return bool(summary["verdict"] == "error" and summary["error"] == "; ".join(summary["shortfall"]))
