"""A witness laid out on a time axis as plain shapes.

The order of the ends of the bars is what proves an anomaly, so it is always exact. Distances are not: time is stretched
where labels need room and idle time is cut, and the drawing says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.history import FaultWindow
from reports import words
from reports.faults import fault_text
from reports.witness import Span

SPANS_MAX: Final = 40
"""A witness is a few operations; the drawing of a longer one leaves out the rest and says so."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One operation; `fades` where it may take effect at any later time, `gave_up_x` where its client stopped."""

    x: float
    y: float
    width: float
    label: str
    outcome: str
    fades: bool
    gave_up_x: float | None
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """One process."""

    y: float
    process: str
    node: str


@dataclass(frozen=True, slots=True)
class Band:
    """One fault that was on, behind the rows, with its name above them."""

    x: float
    width: float
    label: str
    label_x: float
    label_y: float
    tint: int
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """One start or end of an operation; `text` is empty where there is no room."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Idle time that was left out of the axis."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A witness on a time axis, in pixels."""

    width: float
    height: float
    top: float
    bottom: float
    left: float
    rows: tuple[Row, ...]
    bars: tuple[Bar, ...]
    bands: tuple[Band, ...]
    ticks: tuple[Tick, ...]
    cuts: tuple[Cut, ...]
    note: str


CHAR_PX: Final = 7.3  # of the 12 px monospace face, generously: labels that fit by this fit in any browser
BAR_PX: Final = 26.0
_ROW_PX: Final = 40.0
_PLOT_PX: Final = 960.0
_STEP_PX: Final = 12.0  # ends in a known order never fall together
_CUT_PX: Final = 44.0
_PAD_PX: Final = 36.0
_FADE_PX: Final = 70.0
_BAND_LABEL_PX: Final = 18.0
_IDLE_SHARE: Final = 0.8  # idle time beyond this share of the busy time is cut


@dataclass(frozen=True, slots=True)
class Axis:
    """A piecewise linear map from time to pixels: `times` (ns) fall on `xs`."""

    times: tuple[int, ...]
    xs: tuple[float, ...]
    right: float
    cuts: tuple[Cut, ...]
    even: bool

    def x(self, time_ns: int) -> float:
        """Return where a time falls; before the first and after the last known time, at the edges."""
        if time_ns < self.times[0]:
            return 0.0
        for at in range(len(self.times) - 1):
            start, stop = self.times[at], self.times[at + 1]
            if start <= time_ns <= stop:
                share = (time_ns - start) / (stop - start)
                return self.xs[at] + share * (self.xs[at + 1] - self.xs[at])
        return self.right if time_ns > self.times[-1] else self.xs[-1]


def draw(spans: Sequence[Span], faults: Sequence[FaultWindow], tints: Mapping[str, int]) -> Drawing | None:
    """Lay out a witness: one row a process, faults behind; None where there is nothing to draw.

    Args:
        spans: the operations, by their start.
        faults: every fault of the run.
        tints: number of the colour of each kind of fault.
    """
    shown = spans[:SPANS_MAX]
    if not shown:
        return None
    axis = _axis(shown)
    names = list(dict.fromkeys((span.process, span.node) for span in shown))
    left = 14.0 + CHAR_PX * max(len(process) + (len(node) + 3 if node else 0) for process, node in names)
    bands, top = _bands(faults, axis, left, tints)
    ys = {name: top + 6 + _ROW_PX * at for at, name in enumerate(names)}
    bottom = top + 6 + _ROW_PX * len(names)
    return Drawing(
        width=left + axis.right,
        height=bottom + 34,
        top=top,
        bottom=bottom,
        left=left,
        rows=tuple(Row(ys[name], *name) for name in names),
        bars=tuple(_bar(span, ys[span.process, span.node], axis, left, shown) for span in shown),
        bands=bands,
        ticks=_ticks(axis, left),
        cuts=tuple(Cut(cut.x + left, cut.text) for cut in axis.cuts),
        note=_note(axis, len(spans) - len(shown)),
    )


def _axis(spans: Sequence[Span]) -> Axis:
    """Give each stretch between two ends of operations a width: labels first, then what is left by its duration."""
    times = sorted({time for span in spans for time in (span.start_ns, span.end_ns) if time is not None})
    pieces = list(itertools.pairwise(times))
    busy = [any(span.start_ns <= a and (span.end_ns or a) >= b for span in spans) for a, b in pieces]
    busy_ns = sum(b - a for (a, b), on in zip(pieces, busy, strict=True) if on)
    is_cut = [not on and b - a > _IDLE_SHARE * busy_ns for (a, b), on in zip(pieces, busy, strict=True)]
    widths = [_CUT_PX if cut else _STEP_PX for cut in is_cut]
    pad = _FADE_PX if any(span.outcome == "info" for span in spans) else _PAD_PX
    widths.append(pad)
    for span in sorted(spans, key=lambda span: (span.end_ns or span.start_ns) - span.start_ns):
        first = times.index(span.start_ns)
        last = (
            len(widths) if span.outcome == "info" or span.end_ns is None else max(first + 1, times.index(span.end_ns))
        )
        _widen(widths, first, last, len(span.label) * CHAR_PX + 18)
    spare = max(0.0, _PLOT_PX - sum(widths))
    scaled_ns = sum(b - a for (a, b), cut in zip(pieces, is_cut, strict=True) if not cut)
    if not scaled_ns:
        widths[-1] += spare
    for at, ((a, b), cut) in enumerate(zip(pieces, is_cut, strict=True)):
        widths[at] += 0.0 if cut else spare * (b - a) / scaled_ns
    xs = [_PAD_PX]
    for width in widths:
        xs.append(xs[-1] + width)
    cuts = [Cut(xs[at] + widths[at] / 2, words.duration(b - a)) for at, (a, b) in enumerate(pieces) if is_cut[at]]
    rates = [widths[at] / (b - a) for at, (a, b) in enumerate(pieces) if not is_cut[at]]
    even = not rates or max(rates) <= 1.5 * min(rates)
    return Axis(tuple(times), tuple(xs[:-1]), xs[-1], tuple(cuts), even)


def _widen(widths: list[float], first: int, last: int, need: float) -> None:
    """Widen the pieces first..last in proportion, until a label of `need` px fits on them."""
    if first >= last:
        return
    have = sum(widths[first:last])
    if have < need:
        for at in range(first, last):
            widths[at] *= need / have


def _bar(span: Span, y: float, axis: Axis, left: float, spans: Sequence[Span]) -> Bar:
    start = axis.x(span.start_ns)
    fades = span.outcome == "info"
    if fades or span.end_ns is None:
        later = [axis.x(other.start_ns) for other in spans if _follows(other, span)]
        end = min(later, default=axis.right)
    else:
        end = max(axis.x(span.end_ns), start + 4)
    gave_up = left + axis.x(span.end_ns) if fades and span.end_ns is not None else None
    when = f"{words.seconds(span.start_ns, 6)} to {words.seconds(span.end_ns, 6)}"
    title = f"{span.process} {span.node}: {span.asked}, {span.outcome_text} ({when})"
    return Bar(left + start, y, end - start, span.label, span.outcome, fades, gave_up, title)


def _follows(other: Span, span: Span) -> bool:
    return (other.process, other.node) == (span.process, span.node) and other.start_ns > span.start_ns


def _bands(
    faults: Sequence[FaultWindow], axis: Axis, left: float, tints: Mapping[str, int]
) -> tuple[tuple[Band, ...], float]:
    """Return the faults that were on meanwhile, their names on as many lines as they need, and where rows start."""
    first_ns, last_ns = axis.times[0], axis.times[-1]
    bands: list[Band] = []
    line_ends: list[float] = []
    for fault in faults:
        if fault.inject_ns > last_ns or (fault.end_ns is not None and fault.end_ns < first_ns):
            continue
        x = axis.x(fault.inject_ns)
        end = axis.right if fault.end_ns is None else axis.x(fault.end_ns)
        label = words.cut(f"#{fault.fault} {fault_text(fault)}", 64)
        length = len(label) * CHAR_PX
        label_x = max(0.0, min(x + 4, axis.right - length))
        line = next((at for at, used in enumerate(line_ends) if used + 8 <= label_x), len(line_ends))
        line_ends[line : line + 1] = [label_x + length]
        when = f"{words.seconds(fault.inject_ns)} to {words.seconds(fault.end_ns)}"
        title = f"{fault_text(fault)} ({when})"
        y = 14 + _BAND_LABEL_PX * line
        bands.append(Band(left + x, max(end - x, 2.0), label, left + label_x, y, tints[fault.kind], title))
    return tuple(bands), 6 + _BAND_LABEL_PX * len(line_ends)


def _ticks(axis: Axis, left: float) -> tuple[Tick, ...]:
    closest = min((b - a for a, b in itertools.pairwise(axis.times)), default=words.NS)
    digits = 2 if closest >= 10_000_000 else 3 if closest >= 1_000_000 else 4 if closest >= 100_000 else 6
    ticks: list[Tick] = []
    free_from = 0.0
    for time, x in zip(axis.times, axis.xs, strict=True):
        text = f"{time / words.NS:.{digits}f}"
        half = len(text) * CHAR_PX / 2
        fits = x - half >= free_from or not ticks
        ticks.append(Tick(left + x, text if fits else ""))
        free_from = x + half + 8 if fits else free_from
    return tuple(ticks)


def _note(axis: Axis, left_out: int) -> str:
    notes = []
    if not axis.even:
        notes.append("The order of all starts and ends is exact; distances are stretched to fit the labels.")
    if axis.cuts:
        notes.append("Idle time is cut out where the axis is broken.")
    if left_out:
        notes.append(f"{words.amount(left_out, 'further operation')} of this witness stand only in the table.")
    return " ".join(notes)
