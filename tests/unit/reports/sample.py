"""A deterministic run to look at: etcd under faults as it would be recorded, at any size, with anomalies to order.

`python tests/unit/reports/sample.py FILE OPERATIONS ANOMALIES` writes its report.
"""

from __future__ import annotations

import heapq
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from harness.config import RunConfig, RunRecord
from harness.history import History
from harness.op import Op
from harness.verdict import Anomaly, Seconds, Summary
from nemesis.grudge import grudge

NODES = ("n1", "n2", "n3", "n4", "n5")
S = 1_000_000_000
FAULTS: tuple[tuple[str, float, float, tuple[str, ...], dict[str, Any]], ...] = (
    ("partition", 4.0, 9.0, ("n1", "n4"), {"shape": "halves", "order": ["n1", "n4", "n2", "n3", "n5"]}),
    ("pause", 12.0, 15.5, ("n3",), {"target": "leader", "nodes": ["n3"]}),
    ("kill", 19.0, 23.0, ("n2", "n5"), {"target": "minority", "nodes": ["n2", "n5"]}),
    ("partition", 26.5, 31.0, ("n2",), {"shape": "isolate-leader", "order": ["n2", "n1", "n3", "n4", "n5"]}),
    ("kill", 34.0, 37.0, ("n4",), {"target": "leader", "nodes": ["n4"]}),
    ("pause", 40.0, 43.0, ("n1", "n2", "n5"), {"target": "majority", "nodes": ["n1", "n2", "n5"]}),
    ("partition", 46.0, 50.5, ("n1", "n3"), {"shape": "one-way", "order": ["n1", "n3", "n2", "n4", "n5"]}),
    ("kill", 53.0, 56.0, ("n3",), {"target": "one", "nodes": ["n3"]}),
)
"""Kind, start and end in seconds of a 60 s run, the nodes that are cut off meanwhile, and the parameters."""

LEADERS = ((0.0, "n3", 2), (12.6, "n2", 3), (27.4, "n4", 4), (34.8, "n1", 5), (43.2, "n5", 6))
"""Since when (s) which node leads in which term."""


@dataclass(frozen=True)
class Sample:
    """What `reports.html.render` takes."""

    record: RunRecord
    history: History
    summary: Summary
    logs: dict[str, dict[str, str]]


def sample(ops: int = 50_000, *, seconds: float = 60.0, anomalies: int = 0) -> Sample:
    """Return a run of about `ops` operations in `seconds`, with up to three `anomalies`."""
    scale = seconds / 60.0
    raw = _clients(ops, scale) + _nemesis(scale) + _status(scale)
    raw += _witnesses(scale) if anomalies else []
    raw.sort(key=lambda event: event["time"])
    events = [msgspec.convert(event | {"index": index}, Op) for index, event in enumerate(raw)]
    history = History(events, "history.jsonl")
    found = _anomalies(events, scale)[:anomalies] if anomalies else ()
    summary = Summary(
        verdict="invalid" if found else "valid",
        anomalies=found,
        ops=history.counts(),
        faults=history.fault_outcomes(),
        engine="forward search",
        seconds=Seconds(parse=0.21, check=0.84),
        seed=7,
        store="store/etcd-register/20260314T092741",
    )
    return Sample(_record(), history, summary, _logs())


def _record() -> RunRecord:
    config = RunConfig(
        system="etcd", version="3.5.30", backend="docker", nemesis=("partition", "pause", "kill"), rate=850, seed=7,
        options={"reads": "linearizable"},
    )  # fmt: skip
    versions = {"kingslayer": "0.1.0", "python": "3.11.2", "linux": "6.1.0", "docker": "20.10.24", "etcd": "3.5.30"}
    nodes = {node: f"172.30.0.{at}" for at, node in enumerate(NODES, 11)}
    return RunRecord(config=config, name="etcd-register", started="2026-03-14 09:27:41", nodes=nodes, versions=versions)


def _cut_off(node: str, time_s: float, scale: float) -> str | None:
    for kind, start, end, nodes, _ in FAULTS:
        if node in nodes and start * scale <= time_s <= end * scale:
            return kind
    return None


def _clients(ops: int, scale: float) -> list[dict[str, Any]]:
    """Twenty clients, whose operations take effect at the moment of their completion."""
    random = np.random.default_rng(7)
    think_s = 20 * 60.0 * scale / max(ops, 1)
    events: list[dict[str, Any]] = []
    values: dict[str, int | None] = {}
    turns = [(random.random() * think_s, process) for process in range(20)]
    heapq.heapify(turns)
    fresh, counter = 20, 0
    while turns and ops:
        start, process = heapq.heappop(turns)
        if start > 60.0 * scale or len(events) >= 2 * ops:
            continue
        node = NODES[process % 5]
        key = f"r{int(start * 2 / scale) * 4 + int(random.integers(4))}"
        counter += 1
        f = ("read", "write", "cas")[int(random.choice(3, p=[0.5, 0.3, 0.2]))]
        seen = values.get(key)
        asked = {"read": None, "write": counter, "cas": [seen if random.random() < 0.7 else counter - 1, counter]}[f]
        kind = _cut_off(node, start, scale)
        took, done = _outcome(random, f, kind, asked, seen, start, scale)
        if done["type"] == "ok" and f != "read":
            values[key] = counter
        base = {"process": process, "node": node, "f": f, "key": key}
        events.append(base | {"time": int(start * S), "type": "invoke", "value": asked})
        events.append(base | {"time": int((start + took) * S), "value": asked} | done)
        if done["type"] == "info":
            process = fresh - fresh % 5 + process % 5 + 5
            fresh = process
        heapq.heappush(turns, (start + took + think_s * random.exponential(0.9), process))
    return events


def _outcome(
    random: np.random.Generator, f: str, kind: str | None, asked: Any, seen: Any, start: float, scale: float
) -> tuple[float, dict[str, Any]]:
    election = any(0 <= start - since * scale < 0.7 * scale for since, _, _ in LEADERS[1:])
    if kind == "kill":
        return 0.0004 * random.lognormal(0, 0.4), {"type": "fail", "error": "connection refused"}
    if kind is not None and random.random() < 0.97:
        done = {"type": "fail" if f == "read" else "info", "error": "timeout after 1 s"}
        return 1.0 + 0.004 * random.random(), done
    took = 0.0028 * random.lognormal(0, 0.45) + (0.25 * random.random() if election else 0)
    took += 0.02 * random.exponential() if random.random() < 0.01 else 0
    if f == "cas" and asked[0] != seen:
        return took, {"type": "fail", "observed": seen}
    return took, {"type": "ok"} | ({"value": seen} if f == "read" else {})


def _nemesis(scale: float) -> list[dict[str, Any]]:
    events = []
    for number, (kind, start, end, nodes, params) in enumerate(FAULTS):
        base = {"process": "nemesis", "key": number}
        told: dict[str, Any] = {"kind": kind} | params
        evidence: dict[str, Any] = {"states": dict.fromkeys(nodes, "paused" if kind == "pause" else "dead")}
        if kind == "partition":
            cut = grudge(params["shape"], params["order"])
            unheard = {node: sorted(sources) for node, sources in sorted(cut.items()) if sources}
            dropped = sum(map(len, cut.values()))
            told |= {"unheard": unheard, "heal": "natural"}
            evidence = {"heard": 20 - dropped, "dropped": dropped, "looks": 1}
        times = [start * scale, start * scale + 0.18, end * scale - 0.25, end * scale]
        steps = [("inject", "invoke"), ("inject", "ok"), ("heal", "invoke"), ("heal", "ok")]
        for (f, type_), time_s in zip(steps, times, strict=True):
            value = told | ({"evidence": evidence} if (f, type_) == ("inject", "ok") else {})
            events.append(base | {"time": int(time_s * S), "f": f, "type": type_, "value": value})
    return events


def _status(scale: float) -> list[dict[str, Any]]:
    """Every node is asked four times a second, and answers unless it is paused or dead."""
    events = []
    for at, node in enumerate(NODES):
        base = {"process": f"status:{node}", "node": node, "f": "status"}
        for poll in range(int(240 * scale)):
            asked = poll / 4 + 0.01 * at
            kind = _cut_off(node, asked, scale)
            events.append(base | {"time": int(asked * S), "type": "invoke"})
            if kind in ("kill", "pause"):
                took = 0.001 if kind == "kill" else 0.2
                events.append(base | {"time": int((asked + took) * S), "type": "info", "error": f"no answer: {kind}"})
                continue
            value = _told(node, asked, kind, scale)
            events.append(base | {"time": int((asked + 0.002) * S), "type": "ok", "value": value})
    return events


def _told(node: str, time_s: float, kind: str | None, scale: float) -> dict[str, Any]:
    known = [leader for leader in LEADERS if leader[0] * scale <= time_s]
    if kind == "partition" and known[-1][1] != node and len(known) > 1:
        known = [leader for leader in known if leader[0] * scale <= time_s - 1.5 * scale] or known
    since, leader, term = known[-1]
    if time_s - since * scale < 0.3 * scale and term > 2:
        return {"role": "candidate" if node == leader else "follower", "term": term}
    role = "leader" if leader == node else "follower"
    return {"role": role, "term": term, "leader": leader, "revision": int(time_s * 700)}


def _witnesses(scale: float) -> list[dict[str, Any]]:
    """Operations on keys of their own that no order explains: (process, node, f, key, start, end, value, done)."""
    unit = scale * 60 / 60
    rows: list[tuple[int, str, str, str, float, float | None, Any, dict[str, Any]]] = [
        (1001, "n2", "write", "x", 5.1, 5.1042, 4, {"type": "ok"}),
        (1002, "n3", "write", "x", 6.2011, 6.2052, 9, {"type": "ok"}),
        (1003, "n5", "read", "x", 6.2071, 6.2098, None, {"type": "ok", "value": 9}),
        (1004, "n1", "read", "x", 6.2131, 6.2139, None, {"type": "ok", "value": 4}),
        (1005, "n1", "write", "y", 27.0, 27.0031, 1, {"type": "ok"}),
        (1006, "n2", "write", "y", 27.1, 28.1002, 2, {"type": "info", "error": "timeout after 1 s"}),
        (1007, "n3", "cas", "y", 27.3, 27.3035, [1, 3], {"type": "ok"}),
        (1008, "n4", "read", "y", 27.301, 27.3051, None, {"type": "ok", "value": 3}),
        (1005, "n1", "cas", "y", 27.306, 27.309, [4, 9], {"type": "fail", "observed": 3}),
        (1009, "n5", "cas", "y", 27.3071, 27.3122, [3, 5], {"type": "ok"}),
        (1007, "n3", "read", "y", 27.314, 27.3162, None, {"type": "ok", "value": 5}),
        (1008, "n4", "write", "y", 27.315, 27.3197, 6, {"type": "ok"}),
        (1010, "n5", "write", "y", 27.318, None, 7, {}),
        (1005, "n1", "read", "y", 29.4, 29.4021, None, {"type": "ok", "value": 6}),
        (1007, "n3", "read", "y", 29.4035, 29.4061, None, {"type": "ok", "value": 3}),
    ]
    events = []
    for process, node, f, key, start, end, value, done in rows:
        base = {"process": process, "node": node, "f": f, "key": key}
        events.append(base | {"time": int(start * unit * S), "type": "invoke", "value": value})
        if end is not None:
            events.append(base | {"time": int(end * unit * S), "value": value} | done)
    events.append(_leader("n2", 27.52 * scale, 4))
    return events


def _leader(node: str, time_s: float, term: int) -> dict[str, Any]:
    value = {"role": "leader", "term": term, "leader": node, "revision": 19_020}
    return {
        "process": f"status:{node}",
        "node": node,
        "f": "status",
        "time": int(time_s * S),
        "type": "ok",
        "value": value,
    }


def _anomalies(events: list[Op], scale: float) -> tuple[Anomaly, ...]:
    def client(key: str) -> tuple[int, ...]:
        return tuple(op.index for op in events if op.key == key)

    mine = [op for op in events if op.f == "status" and op.type == "ok" and op.value.get("role") == "leader"]
    two = [next(op for op in mine if op.value["term"] == 4 and op.node == node) for node in ("n2", "n4")]
    return (
        Anomaly(
            checker="linearizability", kind="stale read", key="x", witness=client("x"),
            summary="process 1004 read 4 on n1, although 9 had been written, and been read by process 1003, before.",
        ),
        Anomaly(
            checker="linearizability", kind="not linearizable", key="y", witness=client("y"),
            summary="No order of these operations explains what they saw: process 1007 read 3 at the end, although a "
            "cas had replaced it by 5, and nothing wrote 3 again.",
        ),
        Anomaly(
            checker="one leader per term", kind="split brain", witness=tuple(op.index for op in two),
            summary="n2 and n4 both said that they lead term 4.",
        ),
    )  # fmt: skip


def _logs() -> dict[str, dict[str, str]]:
    line = '{{"level":"info","ts":"2026-03-14T09:28:{at:02d}.{ms:03d}Z","caller":"raft/node.go:{ms}","msg":"{text}"}}'
    texts = ("applied snapshot", "compacted raft log", "lost leader", "elected leader at term 6", "slow fdatasync")
    return {
        node: {"server.log": "\n".join(line.format(at=at, ms=37 * at % 1000, text=texts[at % 5]) for at in range(40))}
        for node in NODES
    }


if __name__ == "__main__":
    from reports.html import render

    shown = sample(int(sys.argv[2]), anomalies=int(sys.argv[3]))
    Path(sys.argv[1]).write_text(render(shown.record, shown.history, shown.summary, shown.logs), encoding="utf-8")
