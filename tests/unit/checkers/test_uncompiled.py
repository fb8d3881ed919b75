"""Where there is no C compiler, everything works, slowly, and says so once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from benchmarks.check import Shape, generate, with_stale_read

ROOT = Path(__file__).parents[3]
PACKAGES = ("harness", "checkers", "workloads", "clusters", "nemesis", "reports")


def test_without_compiled_kernels_verdicts_are_the_same(tmp_path: Path) -> None:
    """The command on sources alone: right verdicts, distinct values and few, and one warning for all files."""
    tree = tmp_path / "tree"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    files = []
    for number, values in enumerate((0, 3)):
        history = generate(Shape(keys=2, ops_a_key=100, values=values), seed=number)
        for case in (history, with_stale_read(history)):
            files.append(tmp_path / f"{len(files)}.jsonl")
            files[-1].write_bytes(b"".join(msgspec.json.encode(op) + b"\n" for op in case.events))
    argv = [
        sys.executable,
        "-c",
        "import harness.cli; harness.cli.main()",
        "check",
        "--model",
        "cas-register",
        "--json",
    ]
    done = subprocess.run(
        [*argv, *map(str, files)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = msgspec.json.decode(done.stdout)["files"]
    assert [found[str(path)] for path in files[:3]] == ["valid", "invalid", "valid"], done.stderr
    assert done.stderr.count("were not compiled") == 1, done.stderr
    assert done.returncode == 1
