"""Shared by all tests: Hypothesis profiles (the fast one by default, --hypothesis-profile=fuzz for long hunts).

A look at the compiled kernels: one that is older than its source would be tested in its place. And a look at the host,
before and after (same_host.py).
"""

from __future__ import annotations

import hashlib
import os
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.same_host import SameHost

SLOW = [HealthCheck.too_slow]  # a shared machine may be slow at drawing; that says nothing of the code
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("fuzz", max_examples=100_000, deadline=None, suppress_health_check=SLOW)
settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    """Hold the whole session to leaving the host as it was; workers are parts of one."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SameHost(), "same host")


ROOT = Path(__file__).parent.parent
KERNELS = (ROOT / "checkers" / "_kernels", ROOT / "harness" / "_kernels")
NOT_COMPILED = {"__init__", "plain_bits"}


def pytest_sessionstart() -> None:
    """Refuse kernels that were compiled from other sources than these (setup.py writes the hash into the file).

    KINGSLAYER_REQUIRE_NATIVE=1 refuses those that are not compiled too.
    """
    required = os.environ.get("KINGSLAYER_REQUIRE_NATIVE") == "1"
    stale = [
        str(source.relative_to(ROOT))
        for folder in KERNELS
        for source in sorted(folder.glob("*.py"))
        if source.stem not in NOT_COMPILED and not _is_compiled(source, default=not required)
    ]
    if stale:
        raise pytest.UsageError(f"not compiled from the source as it is: {', '.join(stale)}: run `make setup`")


def _is_compiled(source: Path, *, default: bool) -> bool:
    compiled = source.with_name(f"{source.stem}{EXTENSION_SUFFIXES[0]}")
    if not compiled.exists():
        return default
    parts = [source, *sorted(source.parent.glob("*.pxd"))]
    checked = b"checked" * (os.environ.get("KINGSLAYER_CHECKED_KERNELS") == "1")
    data = checked + b"".join(part.read_bytes() for part in parts)
    stamp = hashlib.sha1(data, usedforsecurity=False).digest()
    return stamp in compiled.read_bytes()
