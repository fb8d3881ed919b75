"""etcd on disks that fail: what it promised holds, and the control that flushes nothing shows that we would see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_whole_runs import kingslayer, latest

from harness.op import NEMESIS

pytestmark = pytest.mark.netns

NODES = ["n1", "n2", "n3"]
RUN = ("run", "etcd", "--nodes", "3", "--backend", "netns", "--rate", "200", "--seed", "1", "--json")


def scheduled(folder: Path, *steps: dict[str, object]) -> tuple[str, str]:
    """Write a schedule, and return the option that replays it."""
    path = folder / "faults.json"
    path.write_text(json.dumps({"steps": [{"fault": number} | step for number, step in enumerate(steps)]}))
    return "--schedule", str(path)


@pytest.mark.parametrize(("fsync", "code"), [("on", 0), ("off", 1)])
def test_what_was_acknowledged_outlives_the_power_of_all_nodes_where_it_was_flushed(
    tmp_path: Path, fsync: str, code: int
) -> None:
    """When all nodes lose their power at once, etcd keeps every acknowledged write, and without fsync it loses some."""
    step = {"kind": "power", "start_s": 4, "stop_s": 4.5, "params": {"target": "all", "nodes": NODES}}
    done = kingslayer(
        tmp_path, *RUN, *scheduled(tmp_path, step), "--time-limit", "8", "--option", f"fsync={fsync}", code=code
    )
    said = json.loads(done.stdout)
    assert said["faults"] == [{"kind": "power", "verified": True}]
    assert said["verdict"] == ("valid" if fsync == "on" else "invalid")
    assert {anomaly["checker"] for anomaly in said["anomalies"]} == (set() if fsync == "on" else {"linearizable"})


def test_every_trouble_of_a_disk_is_survived(tmp_path: Path) -> None:
    """Full, read-only and slow disks crash etcd or slow it down, and it keeps its promise; all are measured."""
    steps = [
        {"kind": "disk", "start_s": at, "stop_s": at + 2, "params": {"target": "one", "nodes": [node]} | params}
        for at, node, params in (
            (1, "n1", {"trouble": "full"}),
            (4, "n2", {"trouble": "read-only"}),
            (7, "n3", {"trouble": "slow", "hold_ms": 100}),
        )
    ]
    done = kingslayer(tmp_path, *RUN, *scheduled(tmp_path, *steps), "--time-limit", "10")
    said = json.loads(done.stdout)
    assert (said["verdict"], said["faults"]) == ("valid", [{"kind": "disk", "verified": True}] * 3)


def test_a_damaged_node_is_replaced(tmp_path: Path) -> None:
    """A node in whose log a bit flipped is a new member after the heal, and what its own log says counts as no bug."""
    params = {"target": "one", "nodes": ["n2"], "how": "flip", "files": "log", "share": 0.3}
    step = {"kind": "damage", "start_s": 6, "stop_s": 8, "params": params}
    done = kingslayer(tmp_path, *RUN, *scheduled(tmp_path, step), "--time-limit", "14")
    said = json.loads(done.stdout)
    assert (said["verdict"], said["faults"]) == ("valid", [{"kind": "damage", "verified": True}])
    events = [json.loads(line) for line in (latest(tmp_path).path / "history.jsonl").read_text().splitlines()]
    injected, healed = (
        event["value"]["evidence"] for event in events if (event["process"], event["type"]) == (NEMESIS, "ok")
    )
    (damaged,) = injected["damaged"].values()
    assert damaged["bytes"][0] == damaged["bytes"][1]
    assert damaged["sha256"][0] != damaged["sha256"][1]
    assert set(healed["before"]) == {"n2"}
    assert healed["members"] == NODES
