"""Everything that a report shows, as plain data: the page only lays it out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness.config import RunConfig, RunRecord
from harness.history import FaultWindow, History
from harness.verdict import Anomaly, Summary
from reports import text, words
from reports.clocks import Offsets, offsets
from reports.coverage import coverage
from reports.drawing import Drawing, draw
from reports.faults import evidence_text, nodes_hit, params_text
from reports.lanes import Lane, lanes
from reports.series import Series, series
from reports.terms import Term, terms
from reports.witness import Events, Span

Logs = Mapping[str, Mapping[str, str]]
"""The last lines of each node's logs: node → log's name → text."""

TINTS: Final = 6
"""How many colours there are for kinds of faults; further kinds begin again, and every fault is named too."""

_FAMILIAR: Final = ("partition", "pause", "kill", "clock")
"""Kinds whose colour is the same in every report."""


@dataclass(frozen=True, slots=True)
class Headline:
    """The verdict in plain words.

    Attributes:
        status: valid, invalid, unknown or error.
        lead: the verdict in a few words.
        sentence: what that means here.
        remarks: reasons and errors that a reader must know.
        tiles: the few numbers that matter, each with its name and a note.
    """

    status: str
    lead: str
    sentence: str
    remarks: tuple[str, ...]
    tiles: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class AnomalyView:
    """One anomaly with its witness: as a table of spans, and drawn."""

    number: int
    kind: str
    checker: str
    summary: str
    key: str | None
    spans: tuple[Span, ...]
    drawing: Drawing | None
    during: str


@dataclass(frozen=True, slots=True)
class FaultView:
    """One fault in plain words."""

    number: int
    kind: str
    tint: int
    params: str
    nodes: str
    window: FaultWindow
    status: str
    detail: str


@dataclass(frozen=True, slots=True)
class CoverageView:
    """Which kind of fault met which state of the cluster: titles of the columns, and each kind's tint and counts."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class RunView:
    """What was run: names with their values, nodes with their addresses, versions, and the command to replay it."""

    facts: tuple[tuple[str, str], ...]
    nodes: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    command: str


@dataclass(frozen=True, slots=True)
class NodeLogs:
    """The last lines of a node's logs, by the log's name."""

    node: str
    logs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ReportData:
    """One report."""

    title: str
    subtitle: str
    headline: Headline
    anomalies: tuple[AnomalyView, ...]
    series: Series
    latency_caption: str
    lanes: tuple[Lane, ...]
    clocks: tuple[Offsets, ...]
    terms: tuple[Term, ...]
    faults: tuple[FaultView, ...]
    coverage: CoverageView
    run: RunView
    logs: tuple[NodeLogs, ...]


def build(record: RunRecord | None, history: History, summary: Summary, logs: Logs) -> ReportData:
    """Return everything that the report of a run or of a checked history shows.

    Args:
        record: the run's record; None where only a history was checked.
        history: its events.
        summary: the verdict on them.
        logs: the last lines of each node's logs.

    Raises:
        HistoryError: the history's invocations and completions do not pair.
    """
    kinds = dict.fromkeys((*_FAMILIAR, *(fault.kind for fault in history.faults)))
    tints = {kind: at % TINTS for at, kind in enumerate(kinds)}
    seen = {op.node for op in history.events if op.node}
    nodes = list(dict.fromkeys([*(record.nodes if record else ()), *sorted(seen, key=lambda node: (len(node), node))]))
    plots = series(history)
    events = Events(history)
    return ReportData(
        title=record.name if record else history.source,
        subtitle=_subtitle(record, plots.duration_s),
        headline=_headline(summary, history, plots.duration_s),
        anomalies=tuple(
            _anomaly(number, anomaly, events, history.faults, tints)
            for number, anomaly in enumerate(summary.anomalies, 1)
        ),
        series=plots,
        latency_caption=_latency_caption(plots),
        lanes=lanes(history, nodes, history.faults),
        clocks=offsets(history, nodes, round(plots.duration_s * words.NS)),
        terms=terms(history),
        faults=tuple(_fault(fault, tints, nodes) for fault in history.faults),
        coverage=CoverageView(
            titles=tuple(text.COVERAGE.values()),
            rows=tuple(
                (row.kind, tints[row.kind], tuple(getattr(row, name) for name in text.COVERAGE))
                for row in coverage(history)
            ),
        ),
        run=_run(record, history, summary),
        logs=tuple(_logs(node, tails) for node, tails in logs.items()),
    )


def _subtitle(record: RunRecord | None, duration_s: float) -> str:
    if record is None:
        return f"a recorded history of {duration_s:.1f} s"
    config = record.config
    system = f"{config.system} {config.version}".strip()
    backend = f" on {config.backend}" if config.backend else ""
    nodes = words.amount(len(record.nodes) or config.nodes, "node")
    return f"{system} · {nodes}{backend} · workload {config.workload} · seed {config.seed} · started {record.started}"


def _headline(summary: Summary, history: History, duration_s: float) -> Headline:
    ops = summary.ops
    keys = len(history.columns.keys)
    verified = sum(fault.verified for fault in summary.faults)
    share = f"{100 * ops.ok / ops.invoke:.1f} % of all" if ops.invoke else "none was invoked"
    rate = f"{ops.invoke / duration_s:,.0f} a second" if ops.invoke and duration_s else ""
    check_s = summary.seconds.check
    tiles = (
        ("operations", f"{ops.invoke:,}", rate),
        ("ok", f"{ops.ok:,}", share),
        ("fail", f"{ops.fail:,}", "certainly did not happen"),
        ("info", f"{ops.info:,}", "may have happened"),
        ("keys", f"{keys:,}", ""),
        ("faults verified", f"{verified} of {len(summary.faults)}", "measured on and gone" if summary.faults else ""),
        ("checked in", f"{check_s:.2f} s" if check_s else "—", words.cut(summary.engine, 40)),
    )
    return Headline(
        status=summary.verdict,
        lead=words.capital(text.headline(summary)),
        sentence=text.sentence(summary, history),
        remarks=text.remarks(summary),
        tiles=tiles,
    )


def _latency_caption(plots: Series) -> str:
    drawn, total = sum(len(points.time_s) for points in plots.points), sum(points.total for points in plots.points)
    parts = ["From the call to the reply, on a log scale, at the time of the reply."]
    if drawn < total:
        parts.append(
            f"{drawn:,} of {total:,} operations are drawn: those that would lie on top of others are left out."
        )
    parts.append("The lines are over all operations that were ok.")
    if plots.unfinished:
        parts.append(f"{words.amount(plots.unfinished, 'operation')} had not ended when the record did.")
    return " ".join(parts)


def _anomaly(
    number: int, anomaly: Anomaly, events: Events, faults: tuple[FaultWindow, ...], tints: Mapping[str, int]
) -> AnomalyView:
    spans = events.spans(anomaly.witness)
    return AnomalyView(
        number=number,
        kind=anomaly.kind,
        checker=anomaly.checker,
        summary=words.capital(anomaly.summary),
        key=None if anomaly.key is None else words.key_text(anomaly.key),
        spans=spans,
        drawing=draw(spans, faults, tints),
        during=words.capital(text.during(spans, faults)),
    )


def _fault(fault: FaultWindow, tints: Mapping[str, int], nodes: list[str]) -> FaultView:
    evidence = evidence_text(fault)
    if fault.verified:
        status, detail = "verified", evidence or "inject and heal were both measured"
    elif fault.error:
        status, detail = "not verified", fault.error
    elif fault.active_ns is None:
        status, detail = "not verified", "the record ends before it was measured to be on"
    else:
        status, detail = "not verified", "the record ends before it was measured to be gone"
    return FaultView(
        number=fault.fault,
        kind=fault.kind,
        tint=tints[fault.kind],
        params=params_text(fault),
        nodes=" ".join(nodes_hit(fault, nodes)),
        window=fault,
        status=status,
        detail=detail,
    )


def _run(record: RunRecord | None, history: History, summary: Summary) -> RunView:
    if record is None:
        return RunView((("history", history.source),), (), (), f"kingslayer check {shlex.quote(history.source)}")
    facts = [*_facts(record.config), ("started", record.started)]
    if summary.store:
        facts.append(("store", summary.store))
    return RunView(
        facts=tuple(facts),
        nodes=tuple(record.nodes.items()),
        versions=tuple(record.versions.items()),
        command=record.config.command(),
    )


def _facts(config: RunConfig) -> tuple[tuple[str, str], ...]:
    options = ", ".join(f"{name} = {value}" for name, value in config.options.items())
    return (
        ("system", f"{config.system} {config.version}".strip()),
        ("backend", config.backend or "the first that works"),
        ("workload", config.workload),
        *(("facet", f"{name}, variety {variety}") for name, variety in config.facets.items()),
        ("options", options or "none"),
        ("nemesis", ", ".join(config.nemesis) or "none"),
        ("seed", str(config.seed)),
        ("time limit", f"{config.time_limit_s:g} s"),
        ("concurrency", words.amount(config.concurrency, "client")),
        ("rate", f"{config.rate:g} operations/s in all" if config.rate else "as fast as the system answers"),
        ("operation timeout", f"{config.op_timeout_s:g} s"),
        ("faults", f"every {config.interval_s:g} s on average" if config.nemesis else "none"),
        ("schedule", config.schedule or "planned from the seed"),
    )


def _logs(node: str, tails: Mapping[str, str]) -> NodeLogs:
    # Bytes that were no UTF-8 may come as lone surrogates, which no file can hold.
    clean = tuple((name, tail.encode("utf-8", "replace").decode().rstrip()) for name, tail in tails.items())
    return NodeLogs(node, clean)
