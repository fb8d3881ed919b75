"""The report as data: what it says of faults, nodes, latencies and operations, before any HTML."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from sample import NODES, sample

from harness.history import FaultWindow, History
from harness.op import Op
from harness.verdict import Anomaly, Summary
from nemesis.grudge import SHAPES, grudge
from reports import words
from reports.clocks import STEPS_MAX, Offsets
from reports.data import build
from reports.faults import evidence_text, fault_text, nodes_hit
from reports.lanes import SILENT
from reports.series import POINTS_MAX, series
from reports.terms import terms
from reports.witness import Events

S = 1_000_000_000


def op(index: int, process: int | str, type_: str, f: str, **rest: Any) -> Op:
    return msgspec.convert({"index": index, "time": index * S, "process": process, "type": type_, "f": f} | rest, Op)


@pytest.mark.parametrize(
    ("f", "value", "completion", "label"),
    [
        ("read", None, {"type": "ok", "value": 9}, "read → 9"),
        ("read", None, {"type": "ok"}, "read → null"),
        ("read", None, {"type": "ok", "value": "9"}, 'read → "9"'),
        ("read", None, {"type": "fail", "error": "refused"}, "read failed"),
        ("write", 4, {"type": "ok"}, "write 4"),
        ("write", 4, {"type": "ok", "value": 4}, "write 4"),
        ("write", 1, {"type": "ok", "value": True}, "write 1 → true"),
        ("write", 4, {"type": "info", "error": "timeout"}, "write 4 → ?"),
        ("write", 4, None, "write 4 → ?"),
        ("cas", [4, 9], {"type": "ok"}, "cas 4→9"),
        ("cas", [4, 9], {"type": "fail", "observed": 7}, "cas 4→9 failed, saw 7"),
        ("cas", [4, 9], {"type": "fail", "observed": None}, "cas 4→9 failed, saw null"),
        ("cas", None, {"type": "ok"}, "cas"),
        ("acquire", "a", {"type": "ok", "value": 17}, 'acquire "a" → 17'),
    ],
)
def test_operations_in_short(f: str, value: Any, completion: dict[str, Any] | None, label: str) -> None:
    """An operation's label says what was asked, and what came of it."""
    complete = completion and op(1, 1, completion.pop("type"), f, **completion)
    assert words.op_text(op(0, 1, "invoke", f, value=value), complete or None) == label


@pytest.mark.parametrize(
    ("length_ns", "text"),
    [(640, "640 ns"), (48_000, "48.0 µs"), (2_260_000, "2.3 ms"), (260 * 10**6, "260 ms"), (S, "1.0 s")],
)
def test_durations_in_words(length_ns: int, text: str) -> None:
    """A duration has the unit that suits it."""
    assert words.duration(length_ns) == text


def fault(kind: str, **params: Any) -> FaultWindow:
    return FaultWindow(fault=0, kind=kind, params=params, inject_ns=0)


def partition(shape: Any) -> FaultWindow:
    cut = {node: sorted(sources) for node, sources in sorted(grudge(shape, NODES).items()) if sources}
    return fault("partition", shape=shape, order=list(NODES), unheard=cut, heal="quick")


@pytest.mark.parametrize(
    ("shape", "text", "hit"),
    [
        ("halves", "partition into halves: n1 n2 | n3 n4 n5, quick heal", "n1 n2"),
        ("one", "partition of one node: n1 | n2 n3 n4 n5, quick heal", "n1"),
        ("majority", "partition into a majority and single nodes: n4 | n5 | n1 n2 n3, quick heal", "n4 n5"),
        ("bridge", "partition with n1 as the bridge: n2 n3 | n4 n5, quick heal", "n2 n3 n4 n5"),
        ("isolate-leader", "partition of the leader: n1 | n2 n3 n4 n5, quick heal", "n1"),
        ("one-way", "partition one-way: n1 n2 do not hear n3 n4 n5, quick heal", "n1 n2"),
        (
            "majorities-ring",
            "partition into a ring of majorities: n1 does not hear n3 n4; n2 does not hear n4 n5; "
            "n3 does not hear n1 n5; n4 does not hear n1 n2; n5 does not hear n2 n3, quick heal",
            "n1 n2 n3 n4 n5",
        ),
    ],
)  # fmt: skip
def test_every_shape_of_partition_in_words(shape: Any, text: str, hit: str) -> None:
    """A partition says who does not hear whom; it hit those that lost most of the others."""
    assert fault_text(partition(shape)) == text
    assert " ".join(nodes_hit(partition(shape), NODES)) == hit


def test_no_shape_is_forgotten() -> None:
    """Each shape that the nemesis knows has words of its own, not its name alone."""
    assert {shape for shape in SHAPES if f"partition {shape}:" in fault_text(partition(shape))} == {"one-way"}


def test_other_faults_in_words() -> None:
    """Targets, notes and parameters that nobody knows yet are told, and evidence is in a line of its own."""
    kill = fault("kill", target="minority", nodes=["n1", "n2"], evidence={"states": {"n1": "dead", "n2": "dead"}})
    assert fault_text(kill) == "kill of a minority: n1 n2"
    assert evidence_text(kill) == "n1 dead, n2 dead"
    clock = fault("clock", nodes=["n3"], skew_ms=250.0, note="leader unknown, hit n3")
    assert fault_text(clock) == "clock n3, skew ms 250, leader unknown, hit n3"
    assert evidence_text(partition("halves")) == ""


def test_a_skew_in_words() -> None:
    """Shape, size and pace of a skew are told with units that suit them, and what the servers read."""
    jump = fault("clock", target="leader", nodes=["n3"], shape="offset", offset_ms=-5_400_000.0)
    assert fault_text(jump) == "clock offset of the leader: n3, -1.5 h"
    strobe = fault(
        "clock", target="one", nodes=["n1"], shape="strobe", offset_ms=20.0, period_s=0.5, clocks=["monotonic"]
    )
    assert fault_text(strobe) == "clock strobe of one node: n1, +20 ms, back and forth in 0.5 s, clocks monotonic"
    drift = fault("clock", target="all", nodes=["n1"], shape="drift", rate=-0.1)
    assert fault_text(drift) == "clock drift of all nodes: n1, -0.1 s a second"
    walk = fault("clock", target="one", nodes=["n1"], shape="walk", walk_ms=[5, 172_800_000], period_s=2)
    assert fault_text(walk) == "clock walk of one node: n1, 2 steps of 2 s: +5 ms, +2 days …"
    read = fault("clock", nodes=["n1"], evidence={"offsets_ms": {"n1": 59_999.9, "n2": -0.01}, "error_ms": 0.1})
    assert evidence_text(read) == "read by the servers themselves: n1 +60 s, n2 -0.01 ms"


def skewed(**params: Any) -> tuple[Offsets, ...]:
    """Return the clocks of a run with one fault on n1, from 1 to 3 s."""
    value = {"kind": "clock", "nodes": ["n1"]} | params
    healed = {"kind": "clock", "evidence": {"last_ms": {"n1": 6.0}, "offsets_ms": {"n1": 0.0}}}
    events = [
        op(0, 0, "invoke", "read", node="n2"),
        op(1, "nemesis", "invoke", "inject", key=0, value=value),
        op(2, "nemesis", "ok", "inject", key=0, value=value | {"evidence": {"offsets_ms": {"n1": 5.0}}}),
        op(3, "nemesis", "invoke", "heal", key=0, value={"kind": "clock"}),
        op(4, "nemesis", "ok", "heal", key=0, value=healed),
        op(5, 0, "ok", "read", node="n2"),
        op(6, 1, "invoke", "read", node="n1"),
    ]
    return build(None, History(events), Summary(verdict="valid"), {}).clocks


def test_clocks_are_drawn_as_planned_and_as_measured() -> None:
    """Every node has a line, flat where no fault hit it; what was measured stands at the time of its measurement."""
    one, two = skewed(shape="offset", offset_ms=5.0)
    assert (one.node, two.node) == ("n1", "n2")
    assert one.planned == ((0, 0), (S, 0), (S, 5), (3 * S, 5), (3 * S, 0), (6 * S, 0))
    assert one.measured == ((2 * S, 5), (3 * S, 6), (4 * S, 0))
    assert (two.planned, two.measured) == (((0, 0), (6 * S, 0)), ())
    assert build(None, History([]), Summary(verdict="valid"), {}).clocks == ()


@pytest.mark.parametrize(
    ("params", "corners"),
    [
        ({"shape": "drift", "rate": 0.5}, [(1, 0), (3, 1000)]),
        ({"shape": "strobe", "offset_ms": 7, "period_s": 2}, [(1, 7), (2, 7), (2, 0), (3, 0)]),
        ({"shape": "walk", "walk_ms": [1, 2, 3], "period_s": 1}, [(1, 1), (2, 1), (2, 2), (3, 2)]),
        ({"shape": "walk", "walk_ms": "?", "period_s": 1}, [(1, 0), (3, 0)]),
        ({"shape": "strobe", "offset_ms": 7}, []),
    ],
)
def test_each_shape_has_its_line(params: dict[str, Any], corners: list[tuple[int, float]]) -> None:
    """Drifts are slopes, strobes and walks are steps; what is no skew is drawn flat."""
    drawn = skewed(**params)[0].planned[2:-2]
    assert [(time_ns / S, offset_ms) for time_ns, offset_ms in drawn] == corners


def test_a_fast_strobe_keeps_both_its_sides() -> None:
    """Of too many steps some are left out, and what is drawn still goes back and forth."""
    drawn = skewed(shape="strobe", offset_ms=7, period_s=0.002)[0].planned
    assert len(drawn) < 3 * STEPS_MAX
    assert {offset_ms for _, offset_ms in drawn} == {0, 7}


def test_a_fault_tells_why_it_is_not_verified() -> None:
    """An error of inject is shown; so is a record that ends too soon."""
    events = [
        op(0, "nemesis", "invoke", "inject", key=0, value={"kind": "kill", "nodes": ["n1"]}),
        op(1, "nemesis", "info", "inject", key=0, error="n1 is alive"),
        op(2, "nemesis", "invoke", "inject", key=1, value={"kind": "pause", "nodes": ["n2"]}),
        op(3, "nemesis", "ok", "inject", key=1, value={"kind": "pause", "nodes": ["n2"]}),
    ]
    kill, pause = build(None, History(events), Summary(verdict="error"), {}).faults
    assert (kill.status, kill.detail) == ("not verified", "n1 is alive")
    assert (pause.status, pause.detail) == ("not verified", "the record ends before it was measured to be gone")


def status(index: int, node: str, type_: str, **value: Any) -> Op:
    rest: dict[str, Any] = {"value": value} if type_ == "ok" else {}
    return op(index, f"status:{node}", type_, "status", node=node, **rest)


def test_lanes_join_equal_answers_and_mark_terms() -> None:
    """Equal answers are one segment; a new role, term or leader begins another; silence begins when it was asked."""
    events = [
        status(0, "n1", "invoke"), status(1, "n1", "ok", role="follower", term=2, leader="n2"),
        status(2, "n1", "invoke"), status(3, "n1", "ok", role="follower", term=2, leader="n2"),
        status(4, "n1", "invoke"), status(5, "n1", "info"),
        status(6, "n1", "invoke"), status(7, "n1", "ok", role="leader", term=3, leader="n1"),
    ]  # fmt: skip
    (lane,) = build(None, History(events), Summary(verdict="unknown"), {}).lanes
    assert [(part.role, part.start_ns // S, part.end_ns // S) for part in lane.segments] == [
        ("follower", 1, 4), (SILENT, 4, 7), ("leader", 7, 7),
    ]  # fmt: skip
    assert [(at // S, term) for at, term in lane.terms] == [(1, 2), (7, 3)]


def test_an_old_answer_is_not_drawn_on() -> None:
    """Where nobody asked for long, nothing is known, and nothing is drawn."""
    events = [status(0, "n1", "ok", role="leader", term=2), status(60, "n1", "ok", role="leader", term=2)]
    (lane,) = build(None, History(events), Summary(verdict="unknown"), {}).lanes
    assert [(part.start_ns // S, part.end_ns // S) for part in lane.segments] == [(0, 3), (60, 60)]


def test_rates_count_every_completion_and_quantiles_are_of_all() -> None:
    """Thinning is for the eye only: rates and quantiles are over every operation, and the slowest stay in sight."""
    run = sample(50_000)
    drawn = series(run.history)
    counts = run.history.counts()
    assert np.allclose(drawn.rates.sum(axis=1) * drawn.bin_s, [counts.ok, counts.fail, counts.info])
    assert sum(points.total for points in drawn.points) == counts.invoke
    assert POINTS_MAX / 2 < sum(len(points.time_s) for points in drawn.points) <= POINTS_MAX
    slowest = max(done.time - call.time for call, done in pairs(run.history))
    assert max(points.latency_ms.max() for points in drawn.points) == pytest.approx(slowest / 1e6, rel=0.02)
    assert np.nanmedian(drawn.quantiles_ms[0]) == pytest.approx(2.8, rel=0.2)
    assert np.all((drawn.quantiles_ms[0] <= drawn.quantiles_ms[1]) | np.isnan(drawn.quantiles_ms[0]))


def pairs(history: History) -> list[tuple[Op, Op]]:
    rows = range(len(history.columns))
    ends = [(history.invocation(row), history.completion(row)) for row in rows]
    return [(call, done) for call, done in ends if done is not None]


def test_a_small_run_is_drawn_whole() -> None:
    """Nothing is left out while there is room."""
    drawn = series(sample(3_000).history)
    assert all(len(points.time_s) == points.total for points in drawn.points)


def test_operations_without_end_are_counted_not_drawn() -> None:
    """An operation that had not ended has no latency: it is told apart."""
    drawn = series(History([op(0, 1, "invoke", "read", key="a")]))
    assert drawn.unfinished == 1
    assert drawn.points == ()


def test_a_witness_names_either_end_of_an_operation() -> None:
    """Invocation, completion, or both: it is one operation; indexes need not start at 0; unknown ones are passed by."""
    events = [
        op(10, 1, "invoke", "write", node="n1", key="a", value=4), op(11, 2, "invoke", "read", node="n2", key="a"),
        op(12, 1, "ok", "write", node="n1", key="a", value=4), op(13, 2, "ok", "read", node="n2", key="a", value=4),
    ]  # fmt: skip
    for witness in ((10, 11), (12, 13), (10, 11, 12, 13, 99)):
        spans = Events(History(events)).spans(witness)
        assert [(item.index, item.complete_index, item.label) for item in spans] == [
            (10, 12, "write 4"), (11, 13, "read → 4"),
        ]  # fmt: skip


def test_two_faults_of_one_nemesis_are_not_mixed_up() -> None:
    """A witness may name the nemesis's events: inject and heal of one fault are paired apart from another's."""
    events = [
        op(0, "nemesis", "invoke", "inject", key=0, value={"kind": "kill"}),
        op(1, "nemesis", "invoke", "inject", key=1, value={"kind": "pause"}),
        op(2, "nemesis", "ok", "inject", key=1, value={"kind": "pause"}),
        op(3, "nemesis", "ok", "inject", key=0, value={"kind": "kill"}),
    ]
    assert [item.complete_index for item in Events(History(events)).spans((0, 1))] == [3, 2]


def test_anomalies_carry_key_witness_and_faults() -> None:
    """An anomaly is shown with its key, its operations by their start, and what was on meanwhile."""
    run = sample(4_000, anomalies=3)
    data = build(run.record, run.history, run.summary, run.logs)
    stale, tangled, split = data.anomalies
    assert (stale.key, [item.label for item in stale.spans]) == ("x", ["write 4", "write 9", "read → 9", "read → 4"])
    assert "#0 partition into halves" in stale.during
    assert tangled.drawing is not None
    assert len(tangled.drawing.bars) == 11
    assert {item.node for item in split.spans} == {"n2", "n4"}


def test_anomaly_without_a_witness() -> None:
    """A witness may be empty, or name events that are not there."""
    anomalies = tuple(Anomaly(checker="c", kind="k", summary="s", witness=witness) for witness in ((), (7, 8)))
    data = build(None, History([]), Summary(verdict="invalid", anomalies=anomalies), {})
    assert [(item.spans, item.drawing, item.during) for item in data.anomalies] == [((), None, ""), ((), None, "")]


def test_terms_and_their_leaders() -> None:
    """A row for each leader of each term, of the cluster and of elections; a term with two of them is marked."""
    raw = [
        op(0, "status:n1", "ok", "status", node="n1", value={"role": "leader", "term": 2, "leader": "n1"}),
        op(1, "status:n2", "ok", "status", node="n2", value={"role": "leader", "term": 2, "leader": "n2"}),
        op(2, "status:n3", "ok", "status", node="n3", value={"role": "follower", "term": 2, "leader": "n1"}),
        op(3, 1, "invoke", "campaign", key="e", value={"id": "c1", "ttl_s": 1}),
        op(4, 1, "ok", "campaign", key="e", value={"id": "c1", "ttl_s": 1, "term": 7}),
    ]
    rows = [(row.election, row.term, row.leader, row.observers, row.twice) for row in terms(History(raw))]
    assert rows == [
        ("", 2, "n1", "n1, n3", True),
        ("", 2, "n2", "n2", True),
        ("e", 7, "c1", "process 1", False),
    ]
    assert terms(History([op(0, "status:n1", "ok", "status", node="n1", value=7)])) == ()
