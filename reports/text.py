"""The verdict in plain words for a terminal, and for the messages of failed tests."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

from harness.history import FaultWindow, History
from harness.op import CONDITION
from harness.verdict import Anomaly, Summary
from reports import words
from reports.faults import fault_text
from reports.witness import Events, Span

ANOMALIES_MAX: Final = 10
"""A terminal shows this many; the report shows all."""

_LINEARIZABLE: Final = {
    *("unique values", "forward search", "counter of equal steps", "queue of distinct values"),
    *("growing set", "mutex in turns", "tenures of a mutex"),
}
"""The engines that decide linearizability, by the names that they go by in a summary."""

COVERAGE: Final = {
    "verified": "verified",
    "leader": "on leader",
    "follower": "on follower",
    "electing": "electing",
    "recovering": "recovering",
    "beside": "beside others",
    "elections": "elections",
}
"""The columns of the coverage, by their names in a summary."""

_SPANS_MAX: Final = 40
_COLUMNS: Final = 100


def explain(summary: Summary, history: History) -> list[str]:
    """Return the verdict in plain words, with each anomaly's witness as a table of who did what when.

    Args:
        summary: the verdict.
        history: what it was found in.

    Returns:
        Lines of plain text, without colours or markup; the first is the verdict in short.
    """
    lines = [words.cut(f"{summary.verdict.upper()}: {headline(summary)}", _COLUMNS)]
    lines += textwrap.wrap(sentence(summary, history), _COLUMNS)
    for remark in remarks(summary):
        lines += textwrap.wrap(f"- {remark}", _COLUMNS, subsequent_indent="  ")
    lines += coverage_table(summary)
    events = Events(history) if summary.anomalies else None
    for anomaly in summary.anomalies[:ANOMALIES_MAX]:
        assert events is not None
        lines += ["", *_anomaly(anomaly, events, history.faults)]
    left_out = len(summary.anomalies) - ANOMALIES_MAX
    if left_out > 0:
        lines += ["", f"{words.amount(left_out, 'further anomaly', 'further anomalies')} in the report."]
    return [words.printable(line) for line in lines]


def coverage_table(summary: Summary) -> list[str]:
    """Return which fault met which state of the cluster, a line for each kind; nothing where that is not known."""
    if not summary.coverage:
        return []
    width = max(len("faults"), *(len(words.cut(row.kind)) for row in summary.coverage))
    lines = ["", f"{'faults':{width}}  {'  '.join(COVERAGE.values())}"]
    for row in summary.coverage:
        counts = (f"{getattr(row, name) or '-':>{len(title)}}" for name, title in COVERAGE.items())
        lines.append(f"{words.cut(row.kind):{width}}  {'  '.join(counts)}")
    return lines


def headline(summary: Summary) -> str:
    """Return the verdict in a few words."""
    if summary.verdict == "invalid":
        kinds: dict[str, int] = {}
        for anomaly in summary.anomalies:
            kinds[anomaly.kind] = kinds.get(anomaly.kind, 0) + 1
        found = words.listed(f"{kind} ({count} times)" if count > 1 else kind for kind, count in kinds.items())
        return f"a promise was broken: {found}"
    return {
        "valid": "no promise was broken",
        "unknown": "the record does not decide it",
        "error": "this run proves nothing, so it is not a pass",
    }[summary.verdict]


def sentence(summary: Summary, history: History) -> str:
    """Return in one or two sentences what the verdict means."""
    ops, keys = summary.ops, len(history.columns.keys)
    checked = f"{words.amount(ops.invoke, 'operation')} on {words.amount(keys, 'key')}"
    by = f" by {summary.engine}" if summary.engine else ""
    if summary.verdict == "valid":
        return f"{checked} were checked{by}; {_kept(summary.engine)}{_under(summary, history)}"
    if summary.verdict == "invalid":
        return f"{checked} were checked{by}; each anomaly comes with the few operations that prove it."
    if summary.verdict == "unknown":
        return f"{checked} were looked at{by}, and no anomaly was found in what could be decided."
    return f"{checked} were recorded, and no anomaly was found; but that means nothing here."


def _kept(engine: str) -> str:
    """Say what it means that nothing was found, by the engines that looked."""
    if engine and _LINEARIZABLE.issuperset(engine.split(" + ")):
        return (
            "every one can be explained by a single order for each key, in which it takes effect at one moment "
            "between its call and its reply."
        )
    return "every one agrees with what the system promises."


def _under(summary: Summary, history: History) -> str:
    if not summary.faults:
        return " No fault was injected."
    if all(fault.verified for fault in summary.faults):
        count = len(summary.faults)
        return (
            f" {words.amount(count, 'fault')} {'was' if count == 1 else 'were'} on meanwhile, measured to take effect."
            f"{_as_before(history)}"
        )
    return ""


def _as_before(history: History) -> str:
    """Say that nothing was left of the faults, where the nodes were asked."""
    told = [op.type for op in history.strangers if op.f == CONDITION and op.type != "invoke"]
    return " After the last heal every node was as before." if told and set(told) == {"ok"} else ""


def remarks(summary: Summary) -> tuple[str, ...]:
    """Return what a reader must know besides: what made the run an error, and why a verdict is unknown."""
    return (*((summary.error,) if summary.error else ()), *summary.reasons)


def during(spans: Sequence[Span], faults: Iterable[FaultWindow]) -> str:
    """Return which faults were on while the operations of a witness ran."""
    if not spans:
        return ""
    first_ns = min(span.start_ns for span in spans)
    last_ns = max(span.end_ns or span.start_ns for span in spans)
    on = [
        f"#{fault.fault} {fault_text(fault)} (from {words.seconds(fault.inject_ns)} to {_end(fault)})"
        for fault in faults
        if fault.inject_ns <= last_ns and (fault.end_ns is None or fault.end_ns >= first_ns)
    ]
    if not on:
        return "no fault was on meanwhile"
    return f"while {'this fault was' if len(on) == 1 else 'these faults were'} on: {'; '.join(on)}"


def _end(fault: FaultWindow) -> str:
    return "the end" if fault.end_ns is None else words.seconds(fault.end_ns)


def _anomaly(anomaly: Anomaly, events: Events, faults: Iterable[FaultWindow]) -> list[str]:
    key = "" if anomaly.key is None else f" on key {words.key_text(anomaly.key)}"
    spans = events.spans(anomaly.witness)
    lines = [f"{anomaly.kind}{key} (found by {anomaly.checker})"]
    lines += textwrap.wrap(anomaly.summary, _COLUMNS, initial_indent="  ", subsequent_indent="  ")
    lines += [f"    {line}" for line in _table(spans[:_SPANS_MAX])]
    if len(spans) > _SPANS_MAX:
        lines.append(f"    and {words.amount(len(spans) - _SPANS_MAX, 'operation')} more")
    if spans:
        lines += textwrap.wrap(during(spans, faults), _COLUMNS, initial_indent="  ", subsequent_indent="    ")
    return lines


def _table(spans: Sequence[Span]) -> list[str]:
    if not spans:
        return []
    rows = [("start", "end", "process", "node", "operation", "outcome")]
    rows += [
        (
            words.seconds(span.start_ns, 4),
            words.seconds(span.end_ns, 4),
            words.cut(span.process),
            words.cut(span.node) or "-",
            words.cut(span.asked, 30),
            words.cut(span.outcome_text, 60),
        )
        for span in spans
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [_aligned(row, widths).rstrip() for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    start, end, *others = row
    cells = [start.rjust(widths[0]), end.rjust(widths[1])]
    cells += [cell.ljust(width) for cell, width in zip(others, widths[2:], strict=True)]
    return "  ".join(cells)
