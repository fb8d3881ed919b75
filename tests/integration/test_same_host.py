"""A session of tests that leaves something on its host fails, and says what."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = """
from tests.same_host import SameHost
def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SameHost(patience_s=0.2))
"""
HOST = ["unshare", "--net", "--mount", "--fork", "--mount-proc", "--pid"]

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.getuid() != 0, reason="makes a host of its own, which takes root"),
]


@pytest.mark.parametrize(
    ("workers", "body", "said"),
    [
        (0, "pass", ""),
        (
            1,
            "run('iptables -A INPUT -s 192.0.2.1 -j DROP')",
            "firewall: new is iptables -A INPUT -s 192.0.2.1/32",
        ),
        (0, "run('ip link add left0 type bridge')", "links: new is left0"),
        (0, "run('mount -t tmpfs tmpfs /mnt')", "mounts: new is /mnt rw tmpfs tmpfs"),
        (0, "import time; time.time_ns = lambda now=time.time_ns: now() + 10**9", "clock: it was set by +1000 ms"),
    ],
    ids=["nothing", "a rule, with xdist", "a link", "a mount", "a step of the clock"],
)
def test_what_tests_leave_fails_their_session(tmp_path: Path, workers: int, body: str, said: str) -> None:
    """On a host of its own each difference makes the session fail, under xdist too, though every test passed."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(
        f"import subprocess\ndef run(words): subprocess.run(words.split(), check=True)\ndef test_it():\n    {body}\n"
    )
    argv = [*HOST, sys.executable, "-m", "pytest", "-q", "-n", str(workers), "-p", "no:cacheprovider", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DOCKER_HOST": f"unix://{tmp_path}/none"}
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert (done.returncode, said in done.stdout) == (1 if said else 0, True)
    assert ("the host is not as it was" in done.stdout) == bool(said)
