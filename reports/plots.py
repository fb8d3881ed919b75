"""The plots as plotly figures: plain dicts, their arrays encoded as plotly.js reads them fastest (base64 of the bytes).

Colours are names of the page's CSS variables; the page puts in the values of the light or the dark theme.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.history import FaultWindow
from reports import words
from reports.clocks import Offsets, height
from reports.data import FaultView, ReportData
from reports.faults import fault_text
from reports.lanes import SILENT, Lane
from reports.series import OUTCOMES, Series

Figure = dict[str, Any]

_SHADES: Final = 4
_SYMBOLS: Final = {"ok": "circle", "fail": "x-thin-open", "info": "diamond-open"}
_ROLES: Final = ("leader", "follower", "candidate", "learner", SILENT)
_LABELS_WIDTH_CHARS: Final = 130  # of the plots' width, in the bands' font
_LANE_PX: Final = 48
_TRACKS_MAX: Final = 3
_MARGIN: Final = {"l": 68, "r": 18, "t": 34, "b": 40}


def figures(data: ReportData) -> dict[str, Figure]:
    """Return the figures of a report by the id of their place in the page; those without data are left out."""
    drawn = {}
    if any(points.total for points in data.series.points):
        drawn["rate"] = rate(data.series, data.faults)
        drawn["latency"] = latency(data.series, data.faults)
    if any(lane.segments or lane.faults for lane in data.lanes):
        drawn["lanes"] = lanes(data.lanes, data.series.duration_s, data.faults)
    if data.clocks:
        drawn["clocks"] = clocks(data.clocks, data.series.duration_s, data.faults)
    return drawn


def rate(series: Series, faults: Sequence[FaultView]) -> Figure:
    """Completions a second, stacked by outcome."""
    starts = series.middles_s - np.float32(series.bin_s / 2)
    edges = np.append(starts, np.float32(series.duration_s))
    traces = [
        {
            "type": "scatter", "mode": "lines", "name": outcome, "stackgroup": "rate", "x": _packed(edges),
            "y": _packed(np.append(counts, counts[-1])), "line": {"shape": "hv", "width": 0},
            "fillcolor": f"var(--{outcome}-fill)", "hovertemplate": f"%{{y:,.0f}}/s {outcome}<extra></extra>",
        }
        for outcome, counts in zip(OUTCOMES, series.rates, strict=True)
        if counts.any()
    ]  # fmt: skip
    layout = _layout(series.duration_s, faults, height=250)
    top = 1.2 * float(series.rates.sum(axis=0).max())  # room above the curve, for the names of the faults
    layout["yaxis"] |= {"title": {"text": "operations/s"}, "tickformat": ",d", "range": [0, top]}
    layout["hovermode"] = "x unified"
    return {"data": traces, "layout": layout}


def latency(series: Series, faults: Sequence[FaultView]) -> Figure:
    """Latencies on a log axis: points by operation and outcome, and quantiles of those that were ok."""
    fs = list(dict.fromkeys(points.f for points in series.points))
    traces: list[Figure] = []
    for points in sorted(series.points, key=lambda points: OUTCOMES.index(points.outcome)):
        outcome = points.outcome
        colour = f"var(--{outcome}-{fs.index(points.f) % _SHADES})"
        marker = {"symbol": _SYMBOLS[outcome], "color": colour} | _weight(outcome, colour)
        name = f"{_plain(points.f)} {outcome} ({points.total:,})"
        traces.append({
            "type": "scatter", "mode": "markers", "name": name, "x": _packed(points.time_s),
            "y": _packed(points.latency_ms), "marker": marker,
            "hovertemplate": f"{_plain(points.f)} {outcome}<br>%{{y:.3~g}} ms at %{{x:.3f}} s<extra></extra>",
        })  # fmt: skip
    for line, (name, dash) in enumerate((("median of ok", "solid"), ("99 % of ok", "dot"))):
        if np.isfinite(series.quantiles_ms[line]).any():
            traces.append({
                "type": "scatter", "mode": "lines", "name": name, "x": _packed(series.middles_s),
                "y": _packed(series.quantiles_ms[line]), "line": {"color": "var(--text)", "width": 1.6, "dash": dash},
                "hovertemplate": f"{name}: %{{y:.3~g}} ms<extra></extra>",
            })  # fmt: skip
    layout = _layout(series.duration_s, faults, height=400)
    layout["yaxis"] |= {"title": {"text": "latency"}, "type": "log", **_log_ticks(series)}
    return {"data": traces, "layout": layout}


def _weight(outcome: str, colour: str) -> Figure:
    """The many that were ok are small and see-through; the few that were not are outlines on top of them."""
    if outcome == "ok":
        return {"size": 4, "opacity": 0.55, "line": {"width": 0}}
    return {"size": 5 if outcome == "fail" else 7, "opacity": 0.8, "line": {"width": 1.1, "color": colour}}


def _log_ticks(series: Series) -> Figure:
    drawn = np.concatenate([points.latency_ms for points in series.points])
    low, high = math.log10(drawn.min()) - 0.2, math.log10(drawn.max()) + 0.5  # above: the names of the faults
    powers = range(math.ceil(low), math.floor(high) + 1)
    texts = [f"{10.0**p:g} ms" if p < 3 else f"{10 ** (p - 3)} s" for p in powers]
    return {"range": [low, high], "tickvals": [10.0**p for p in powers], "ticktext": texts}


def lanes(rows: Sequence[Lane], duration_s: float, faults: Sequence[FaultView]) -> Figure:
    """A lane per node: its role as a coloured bar, new terms as marks, the faults that hit it below."""
    count = len(rows)
    traces = [_role_bars(rows, role) for role in _roles(rows)]
    kinds = dict.fromkeys((fault.kind, fault.tint) for fault in faults)
    tracks = [_tracks(lane.faults) for lane in rows]
    traces += [_fault_bars(rows, tracks, kind, tint, duration_s) for kind, tint in kinds]
    traces.append(_term_marks(rows, duration_s))
    layout = _layout(duration_s, (), height=90 + _LANE_PX * count)
    layout["barmode"] = "overlay"
    layout["yaxis"] |= {
        "range": [count - 0.5, -0.65], "tickvals": list(range(count)), "ticktext": [_plain(lane.node) for lane in rows],
        "showgrid": False, "tickfont": {"size": 13},
    }  # fmt: skip
    return {"data": [trace for trace in traces if trace["x"]], "layout": layout}


def clocks(rows: Sequence[Offsets], duration_s: float, faults: Sequence[FaultView]) -> Figure:
    """A lane per node: how far its clock was off, ahead above the line and behind below it, in orders of magnitude."""
    count = len(rows)
    most_ms = max((abs(offset_ms) for row in rows for _, offset_ms in (*row.planned, *row.measured)), default=1.0)
    tint = next((fault.tint for fault in faults if fault.kind == "clock"), 0)
    traces: list[Figure] = []
    for name, mode in (("planned", "lines"), ("measured", "markers")):
        points = [
            (time_ns, at - 0.42 * height(offset_ms, most_ms), f"{_plain(row.node)} {words.offset(offset_ms)}")
            for at, row in enumerate(rows)
            for time_ns, offset_ms in (*(row.planned if name == "planned" else row.measured), (None, 0.0))
        ]  # a gap ends each node's line
        traces.append({
            "type": "scatter", "mode": mode, "name": name,
            "x": [None if time_ns is None else _s(time_ns) for time_ns, _, _ in points],
            "y": [None if time_ns is None else round(y, 4) for time_ns, y, _ in points],
            "hovertext": [f"{name}: {text}" for _, _, text in points], "hoverinfo": "text",
            "line": {"color": f"var(--tint-{tint})", "width": 1.4},
            "marker": {"symbol": "circle-open", "size": 7, "color": "var(--text)"},
        })  # fmt: skip
    layout = _layout(duration_s, faults, height=90 + _LANE_PX * count)
    layout["yaxis"] |= {
        "range": [count - 0.5, -0.65], "tickvals": list(range(count)), "ticktext": [_plain(row.node) for row in rows],
        "tickfont": {"size": 13},
    }  # fmt: skip
    return {"data": traces, "layout": layout}


def _roles(rows: Sequence[Lane]) -> list[str]:
    seen = dict.fromkeys(segment.role for lane in rows for segment in lane.segments)
    return [role for role in _ROLES if role in seen] + [role for role in seen if role not in _ROLES]


def _role_bars(rows: Sequence[Lane], role: str) -> Figure:
    bars = [(at, segment) for at, lane in enumerate(rows) for segment in lane.segments if segment.role == role]
    colour = f"var(--role-{_ROLES.index(role)})" if role in _ROLES else "var(--role-2)"
    hovers = []
    for at, segment in bars:
        said = [f"<b>{_plain(rows[at].node)}</b> {_plain(role)}"]
        said += [f"term {_plain(str(segment.term))}"] if segment.term is not None else []
        said += [f"takes {_plain(segment.leader)} for the leader"] if segment.leader else []
        said += [_plain(words.cut(segment.error))] if segment.error else []
        hovers.append("<br>".join([*said, f"{_s(segment.start_ns)} to {_s(segment.end_ns)} s"]))
    return {
        "type": "bar", "orientation": "h", "name": _plain(role), "y": [at for at, _ in bars],
        "base": [_s(segment.start_ns) for _, segment in bars],
        "x": [round(_s(segment.end_ns) - _s(segment.start_ns), 4) for _, segment in bars],
        "width": 0.48, "offset": -0.26, "hovertext": hovers, "hoverinfo": "text",
        "marker": {"color": colour, "line": {"width": 0}} | _hatched(role),
    }  # fmt: skip


def _hatched(role: str) -> Figure:
    """Silence is hatched, so that it is told from a role without colour."""
    pattern = {"shape": "/", "size": 5, "solidity": 0.35, "fgcolor": "var(--role-4-line)"}
    return {"pattern": pattern} if role == SILENT else {}


def _tracks(faults: Sequence[FaultWindow]) -> dict[int, int]:
    """Return by its number how far below a lane each fault is drawn, so that those that overlap are all seen."""
    ends_ns: list[float] = []  # of the latest fault on each track
    found = {}
    for fault in sorted(faults, key=lambda fault: fault.inject_ns):
        free = (track for track, end_ns in enumerate(ends_ns) if end_ns <= fault.inject_ns)
        track = next(free, len(ends_ns))
        ends_ns[track : track + 1] = [math.inf if fault.end_ns is None else fault.end_ns]
        found[fault.fault] = min(track, _TRACKS_MAX - 1)
    return found


def _fault_bars(
    rows: Sequence[Lane], tracks: Sequence[dict[int, int]], kind: str, tint: int, duration_s: float
) -> Figure:
    bars = [(at, fault) for at, lane in enumerate(rows) for fault in lane.faults if fault.kind == kind]
    starts = [_s(fault.inject_ns) for _, fault in bars]
    ends = [duration_s if fault.end_ns is None else _s(fault.end_ns) for _, fault in bars]
    return {
        "type": "bar", "orientation": "h", "name": _plain(kind), "y": [at for at, _ in bars], "base": starts,
        "x": [round(end - start, 4) for start, end in zip(starts, ends, strict=True)], "width": 0.08,
        "offset": [round(0.25 + 0.1 * tracks[at][fault.fault], 2) for at, fault in bars],
        "hovertext": [
            f"<b>#{fault.fault} {_plain(fault_text(fault))}</b><br>{start} to {end} s"
            for (_, fault), start, end in zip(bars, starts, ends, strict=True)
        ],
        "hoverinfo": "text", "marker": {"color": f"var(--tint-{tint})", "line": {"width": 0}},
    }  # fmt: skip


def _term_marks(rows: Sequence[Lane], duration_s: float) -> Figure:
    marks = [(at, *mark) for at, lane in enumerate(rows) for mark in lane.terms]
    texts, free_from = [], [0.0] * len(rows)
    for at, time_ns, term in marks:
        text = f"term {term}"
        fits = _s(time_ns) >= free_from[at]
        texts.append(_plain(text) if fits else "")
        if fits:
            free_from[at] = _s(time_ns) + duration_s * (len(text) + 2) / _LABELS_WIDTH_CHARS
    return {
        "type": "scatter", "mode": "markers+text", "name": "new term", "x": [_s(time_ns) for _, time_ns, _ in marks],
        "y": [at - 0.42 for at, _, _ in marks], "text": texts, "textposition": "middle right",
        "textfont": {"size": 10, "color": "var(--muted)"}, "cliponaxis": False,
        "marker": {"symbol": "triangle-down", "size": 7, "color": "var(--text)"},
        "hovertext": [f"{_plain(rows[at].node)}: term {_plain(str(term))} from {_s(ns)} s" for at, ns, term in marks],
        "hoverinfo": "text",
    }  # fmt: skip


# --- shared -------------------------------------------------------------------------------------------------------


def _layout(duration_s: float, faults: Sequence[FaultView], height: int) -> Figure:
    axis = {
        "gridcolor": "var(--grid)", "linecolor": "var(--line)", "zeroline": False, "ticks": "", "automargin": False,
    }  # fmt: skip
    x = {"range": [0, duration_s or 1], "ticksuffix": " s", "fixedrange": False, "showgrid": False, "ticks": "outside"}
    return {
        "height": height, "margin": dict(_MARGIN), "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "var(--plot)",
        "font": {"family": "var(--font)", "size": 12, "color": "var(--muted)"}, "dragmode": "zoom",
        "hoverlabel": {"font": {"size": 12}}, "hovermode": "closest", "shapes": _bands(faults, duration_s),
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "itemsizing": "constant"},
        "xaxis": axis | x, "yaxis": axis | {"fixedrange": True},
    }  # fmt: skip


def _bands(faults: Sequence[FaultView], duration_s: float) -> list[Figure]:
    """Return the faults as shaded bands; a name is shortened to its number, or left out, where there is no room."""
    starts = [_s(fault.window.inject_ns) for fault in faults]
    bands = []
    for at, fault in enumerate(faults):
        end = duration_s if fault.window.end_ns is None else _s(fault.window.end_ns)
        after = starts[at + 1] if at + 1 < len(starts) else duration_s
        room = (after - starts[at]) / (duration_s or 1) * _LABELS_WIDTH_CHARS
        names = (f"#{fault.number} {_plain(words.cut(fault.kind, 24))}", f"#{fault.number}")
        text = next((name for name in names if len(name) + 2 <= room), "")
        bands.append({
            "type": "rect", "layer": "below", "xref": "x", "yref": "paper",
            "x0": starts[at], "x1": end, "y0": 0, "y1": 1,
            "fillcolor": f"var(--tint-{fault.tint}-fill)", "line": {"width": 0},
            "label": {
                "text": text, "textposition": "top left", "padding": 4,
                "font": {"size": 11, "color": f"var(--tint-{fault.tint}-text)"},
            },
        })  # fmt: skip
    return bands


def _packed(values: NDArray[np.float32]) -> Figure:
    return {"dtype": "f4", "bdata": base64.b64encode(values.astype("<f4").tobytes()).decode()}


def _s(time_ns: int) -> float:
    return round(time_ns / words.NS, 4)


def _plain(text: str) -> str:
    """Return text from outside for plotly, which reads a few HTML tags in its texts."""
    return html.escape(words.printable(text), quote=False).replace("%{", "% {")
