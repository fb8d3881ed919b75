"""Witnesses on a time axis: whatever the operations, the order is kept and no label lies on another."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history import FaultWindow
from reports.drawing import BAR_PX, CHAR_PX, SPANS_MAX, Drawing, draw
from reports.witness import Span


def span(index: int, process: int, start_ns: int, end_ns: int | None, outcome: str, label: str) -> Span:
    return Span(
        index=index, complete_index=None, start_ns=start_ns, end_ns=end_ns, process=f"process {process}", node="n1",
        label=label, asked=label, outcome=outcome, outcome_text=outcome,
    )  # fmt: skip


@st.composite
def witnesses(draw_: st.DrawFn) -> list[Span]:
    """A few processes with operations one after another; an info only at the end, as a process is retired then."""
    spans: list[Span] = []
    labels = st.text("read write→0123456789", min_size=4, max_size=34)
    steps = st.sampled_from([1, 1_000, 50_000, 3_000_000, 700_000_000, 20_000_000_000])
    for process in range(draw_(st.integers(1, 5))):
        now = draw_(steps)
        for _ in range(draw_(st.integers(1, 4))):
            start = now + draw_(steps)
            now = start + draw_(steps)
            spans.append(span(len(spans), process, start, now, draw_(st.sampled_from(["ok", "fail"])), draw_(labels)))
        if draw_(st.booleans()):
            end = draw_(st.sampled_from([None, now + 5_000_000]))
            spans.append(span(len(spans), process, now + 1, end, "info", draw_(labels)))
    return sorted(spans, key=lambda item: (item.start_ns, item.index))


FAULTS = st.lists(
    st.builds(
        lambda ms, length, kind: FaultWindow(
            fault=ms, kind=kind, params={"nodes": ["n1", "n2"]}, inject_ns=ms * 10**6, end_ns=ms * 10**6 + length
        ),
        st.integers(0, 30_000), st.integers(0, 10**10), st.sampled_from(["kill", "pause"]),
    ),
    max_size=5,
)  # fmt: skip


def drawn(spans: list[Span], faults: list[FaultWindow]) -> Drawing:
    drawing = draw(spans, faults, {"kill": 0, "pause": 1})
    assert drawing is not None
    return drawing


@given(witnesses(), FAULTS)
def test_no_label_lies_on_another(spans: list[Span], faults: list[FaultWindow]) -> None:
    """Labels of a row, and names of faults on a line, keep clear of each other and of the edge."""
    drawing = drawn(spans, faults)
    boxes = [(bar.y, bar.x, bar.x + 8 + CHAR_PX * len(bar.label)) for bar in drawing.bars]
    boxes += [(-band.label_y, band.label_x, band.label_x + CHAR_PX * len(band.label)) for band in drawing.bands]
    boxes.sort()
    for (y, _, end), (next_y, start, _) in itertools.pairwise(boxes):
        assert y != next_y or end <= start + 1e-6
    assert all(end <= drawing.width + 1e-6 for _, _, end in boxes)


@given(witnesses())
def test_the_order_of_all_starts_and_ends_is_kept(spans: list[Span]) -> None:
    """Two ends of bars stand in the order of their times, and apart unless the times are equal."""
    drawing = drawn(spans, [])
    places = []
    for item, bar in zip(spans, drawing.bars, strict=True):
        places.append((item.start_ns, bar.x))
        if item.end_ns is not None:
            places.append((item.end_ns, bar.gave_up_x if bar.gave_up_x is not None else bar.x + bar.width))
    for (time, x), (later, next_x) in itertools.pairwise(sorted(places)):
        assert next_x == pytest.approx(x) if time == later else next_x > x + 1


@given(witnesses(), FAULTS)
def test_everything_is_inside(spans: list[Span], faults: list[FaultWindow]) -> None:
    """Bars, bands and ticks lie within the drawing, and no process has two rows."""
    drawing = drawn(spans, faults)
    assert all(drawing.left <= bar.x and bar.x + bar.width <= drawing.width + 1e-6 for bar in drawing.bars)
    assert all(drawing.left <= band.x and band.label_x >= drawing.left for band in drawing.bands)
    assert all(bar.y >= drawing.top and bar.y + BAR_PX <= drawing.bottom for bar in drawing.bars)
    assert all(drawing.left <= tick.x <= drawing.width for tick in drawing.ticks)
    assert len({row.process for row in drawing.rows}) == len(drawing.rows)


def test_an_unknown_outcome_fades_to_the_edge() -> None:
    """An info may take effect at any later time: its bar is open, with a mark where the client gave up."""
    spans = [span(0, 1, 0, 5_000_000, "info", "write 4 → ?"), span(1, 2, 6_000_000, 7_000_000, "ok", "read → 4")]
    info, ok = drawn(spans, []).bars
    assert info.fades
    assert info.gave_up_x is not None
    assert info.x + info.width > ok.x + ok.width
    assert not ok.fades


def test_idle_time_is_cut_and_said_so() -> None:
    """A long time without any operation takes little room, and the drawing says that it was cut."""
    spans = [span(0, 1, 0, 10**6, "ok", "write 4"), span(1, 2, 60 * 10**9, 60 * 10**9 + 10**6, "ok", "read → 3")]
    drawing = drawn(spans, [])
    assert [cut.text for cut in drawing.cuts] == ["60.0 s"]
    assert "Idle time is cut" in drawing.note


def test_a_drawing_to_scale_says_nothing() -> None:
    """Where distances are to scale there is no note."""
    spans = [span(at, at, at * 10**9, (at + 2) * 10**9, "ok", "read → 1") for at in range(3)]
    assert drawn(spans, []).note == ""


def test_a_long_witness_is_drawn_in_part() -> None:
    """What does not fit is left to the table, and counted."""
    spans = [span(at, at, at * 1000, at * 1000 + 500, "ok", "read → 1") for at in range(SPANS_MAX + 2)]
    drawing = drawn(spans, [])
    assert len(drawing.bars) == SPANS_MAX
    assert "2 further operations" in drawing.note


def test_nothing_to_draw() -> None:
    """A witness without events has no drawing."""
    assert draw([], [], {}) is None
