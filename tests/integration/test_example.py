"""The example for people with a system of their own: it runs, it finds its bug, and it is short."""

from __future__ import annotations

from pathlib import Path

from inner_pytest import run_pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LINES_MAX = 100


def test_example(backend_name: str, tmp_path: Path) -> None:
    """The server passes as it is, and with its caches on it is accused."""
    options = (
        "--cluster=3",
        "--cluster-time-limit=3",
        f"--cluster-backend={backend_name}",
        f"--cluster-store={tmp_path}",
        "--cluster-nemesis=kill",
    )
    done = run_pytest(EXAMPLES, *options)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout  # register, set, append, and the caches
    assert done.stdout.count("\nVALID ") == 3
    assert done.stdout.count("\nINVALID ") == 1


def test_example_is_short() -> None:
    """A system, its facet and the suite take less than a hundred lines."""
    lines = sum(len((EXAMPLES / name).read_text().splitlines()) for name in ("kv_system.py", "test_kv.py"))
    assert lines < LINES_MAX
