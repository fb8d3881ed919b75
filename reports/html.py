"""The report as one HTML page that opens from a file: nothing is fetched, everything from outside is escaped."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from harness.config import RunRecord
from harness.history import History
from harness.verdict import Summary
from reports import words
from reports.data import build
from reports.drawing import BAR_PX
from reports.plots import figures


def render(record: RunRecord | None, history: History, summary: Summary, logs: Mapping[str, Mapping[str, str]]) -> str:
    """Return the report of a run, or of a checked history, as the text of one self-contained HTML file.

    Args:
        record: the run's record; None where only a history was checked.
        history: its events.
        summary: the verdict on them.
        logs: the last lines of each node's logs: node → log's name → text.

    Raises:
        HistoryError: the history's invocations and completions do not pair.
    """
    data = build(record, history, summary, logs)
    drawn = figures(data)
    page = _environment().get_template("report.html")
    return page.render(
        data=data,
        figures=script_json(drawn),
        drawn=drawn,
        plotly=_plotly() if drawn else "",
        style=Markup(_template("report.css")),  # noqa: S704 (our own files)
        script=Markup(_template("report.js")),  # noqa: S704
        bar_px=BAR_PX,
    )


def script_json(value: Any) -> Markup:
    """Return JSON that is safe within a script element: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # noqa: S704 (no character of it means anything to an HTML parser)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["seconds"] = words.seconds
    environment.filters["px"] = lambda number: f"{number:.1f}"
    return environment


def _template(name: str) -> str:
    return resources.files("reports").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    """Return plotly.js, gzipped and in base64: 2 MB in place of 5, which the browser unpacks by itself."""
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()
