"""Latency and rate over time: few enough numbers to draw at once, whatever the size of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.history import NEVER, OK, History

OUTCOMES: Final = ("ok", "fail", "info")
"""In the order of harness.history's codes OK, FAIL, INFO."""

POINTS_MAX: Final = 6_000
_BINS_MAX: Final = 150
_WIDTHS_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_IN_BIN_MIN: Final = 5  # a quantile of fewer latencies is noise


@dataclass(frozen=True, slots=True)
class Points:
    """The latencies of one operation with one outcome: those that are drawn, of `total`."""

    f: str
    outcome: str
    time_s: NDArray[np.float32]
    latency_ms: NDArray[np.float32]
    total: int


@dataclass(frozen=True, slots=True)
class Series:
    """Latency and rate.

    Attributes:
        duration_s: from the run's start to the last event.
        bin_s: width of a bin of `rates` and `quantiles`.
        middles_s: float32[bins], the bins' middles.
        rates: float32[3, bins], completions a second by outcome (ok, fail, info).
        quantiles_ms: float32[2, bins], median and 99th percentile of the latency of ok operations, NaN where too few.
        points: by operation and outcome.
        unfinished: operations without a completion; they have no latency and are in no plot.
    """

    duration_s: float
    bin_s: float
    middles_s: NDArray[np.float32]
    rates: NDArray[np.float32]
    quantiles_ms: NDArray[np.float32]
    points: tuple[Points, ...]
    unfinished: int


def series(history: History) -> Series:
    """Return latency and rate of the clients' operations over time."""
    columns = history.columns
    times = np.fromiter((op.time for op in history.events), np.int64, len(history)) / 1e9
    duration_s = float(times.max()) if len(times) else 0.0
    done = columns.complete != NEVER
    start_s, end_s = times[columns.invoke[done]], times[columns.complete[done]]
    latency_ms = np.maximum((end_s - start_s) * 1e3, 1e-3)
    outcome, f = columns.outcome[done], columns.f[done]
    bin_s = next((width for width in _WIDTHS_S if duration_s / width <= _BINS_MAX), duration_s / _BINS_MAX)
    bins = max(1, int(np.ceil(duration_s / bin_s)))
    at = np.minimum((end_s / bin_s).astype(np.int64), bins - 1)
    rates = np.stack([np.bincount(at[outcome == code], minlength=bins) / bin_s for code in range(len(OUTCOMES))])
    return Series(
        duration_s=duration_s,
        bin_s=bin_s,
        middles_s=((np.arange(bins) + 0.5) * bin_s).astype(np.float32),
        rates=rates.astype(np.float32),
        quantiles_ms=_quantiles(at[outcome == OK], latency_ms[outcome == OK], bins),
        points=_points(columns.fs, f, outcome, end_s, latency_ms, duration_s),
        unfinished=int(np.count_nonzero(~done)),
    )


def _quantiles(at: NDArray[np.int64], latency_ms: NDArray[np.float64], bins: int) -> NDArray[np.float32]:
    order = np.lexsort((latency_ms, at))
    ranked = latency_ms[order]
    bounds = np.searchsorted(at[order], np.arange(bins + 1))
    sizes = np.diff(bounds)
    out = np.full((2, bins), np.nan, np.float32)
    enough = sizes >= _IN_BIN_MIN
    for line, share in enumerate((0.5, 0.99)):
        rank = np.ceil(share * sizes[enough]).astype(np.int64) - 1
        out[line, enough] = ranked[bounds[:-1][enough] + rank]
    return out


def _points(
    fs: tuple[str, ...],
    f: NDArray[np.int16],
    outcome: NDArray[np.int8],
    end_s: NDArray[np.float64],
    latency_ms: NDArray[np.float64],
    duration_s: float,
) -> tuple[Points, ...]:
    group = f.astype(np.int64) * len(OUTCOMES) + outcome
    kept = _thin(group, end_s, np.log10(latency_ms), duration_s)
    points = []
    for code in np.unique(group):
        name, how = fs[code // len(OUTCOMES)], OUTCOMES[code % len(OUTCOMES)]
        mine = kept[group[kept] == code]
        time_s, drawn_ms = end_s[mine].astype(np.float32), latency_ms[mine].astype(np.float32)
        points.append(Points(name, how, time_s, drawn_ms, int(np.count_nonzero(group == code))))
    return tuple(points)


def _thin(
    group: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64], duration_s: float
) -> NDArray[np.int64]:
    """Return the rows to draw: one a group and cell of a grid, on the finest grid that leaves at most POINTS_MAX.

    A lonely point is alone in its cell, so outliers stay; what goes is points under points.
    """
    # Any one of a cell will do, but the first of each would draw the grid.
    kept = np.random.default_rng(0).permutation(len(x))
    across = 2400
    while len(kept) > POINTS_MAX:
        cell_x = (x[kept] / max(duration_s, 1e-9) * across).astype(np.int64)
        cell_y = (y[kept] * across / 16).astype(np.int64) + 16 * across
        _, first = np.unique((group[kept] << 44) + (cell_x << 24) + cell_y, return_index=True)
        kept = kept[first]
        across = across * 9 // 10
    return np.sort(kept)
