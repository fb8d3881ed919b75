"""Sessions of pytest in a process of their own, as users run them: netns cuts a process off from the outside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TIMEOUT_S = 200
STACKS_S = 90
"""A test that takes longer shows its stacks."""


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, and return how it ended; fail with all that it said where it does not end."""
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-Werror"]
    argv += ["-o", f"faulthandler_timeout={STACKS_S}", *options]
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            pytest.fail(f"pytest did not end within {TIMEOUT_S} s:\n{process.communicate()[0]}")
    return subprocess.CompletedProcess(argv, process.returncode, output)
