"""Locks under a jump of the servers' clocks: the positive control that goes red, and its honest twin."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("kingslayer")
JUMP = {"target": "all", "nodes": ["n1", "n2", "n3"], "shape": "offset", "offset_ms": 5000}
STEPS = [
    {"fault": number, "kind": "clock", "start_s": start_s, "stop_s": start_s + 3.0, "params": JUMP}
    for number, start_s in enumerate((2.0, 9.0))
]

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="clocks are skewed on x86_64 only"),
]


@pytest.mark.parametrize(
    ("system", "verdict", "code"), [("redis", "invalid", 1), ("redlock", "invalid", 1), ("etcd", "valid", 0)]
)
def test_a_lock_by_the_time_of_day_has_two_holders(system: str, verdict: str, code: int, tmp_path: Path) -> None:
    """Two jumps of 5 s end every lock of Redis in its holder's hands; etcd's leases do not follow that clock."""
    (tmp_path / "jump.json").write_text(json.dumps({"steps": STEPS}))
    words = ["run", system, "--nodes", "3", "--backend", "netns", "--workload", "lock", "--schedule", "jump.json"]
    words += ["--time-limit", "16", "--seed", "1", "--json"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([COMMAND, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr + done.stdout
    summary = json.loads(done.stdout)
    assert summary["verdict"] == verdict
    assert [fault["verified"] for fault in summary["faults"]] == [True, True]
    assert ("double grant" in {found["kind"] for found in summary["anomalies"]}) == (verdict == "invalid")
