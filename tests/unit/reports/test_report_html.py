"""The page: self-contained, escaped, light, and there for every run however odd."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs
from sample import sample

from harness.config import RunConfig, RunRecord
from harness.history import History
from harness.op import Op
from harness.verdict import Anomaly, Summary
from reports.data import build
from reports.html import render, script_json
from reports.plots import figures

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'"


class Page(HTMLParser):
    """Tags with their attributes, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        (self.scripts if self.tags and self.tags[-1][0] == "script" and data.strip() else self.words).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def evil_run() -> tuple[RunRecord, History, Summary, dict[str, dict[str, str]]]:
    """Everything that comes from outside is hostile."""
    status: dict[str, Any] = {"role": EVIL, "term": EVIL, "leader": EVIL}
    told = {"kind": EVIL, "nodes": [EVIL], "shape": EVIL, "evidence": {EVIL: EVIL}, EVIL: EVIL}
    events = [
        Op(0, 0, "nemesis", "invoke", "inject", key=0, value=told),
        Op(1, 10, "nemesis", "ok", "inject", key=0, value=told),
        Op(2, 20, f"status:{EVIL}", "ok", "status", node=EVIL, value=status),
        Op(3, 30, f"status:{EVIL}", "info", "status", node=EVIL, error=EVIL),
        Op(4, 40, 1, "invoke", EVIL, node=EVIL, key=EVIL, value=EVIL),
        Op(5, 50, 1, "info", EVIL, node=EVIL, key=EVIL, value=EVIL, error=EVIL),
        Op(6, 60, "nemesis", "info", "heal", key=0, error=EVIL),
    ]
    anomaly = Anomaly(checker=EVIL, kind=EVIL, summary=EVIL, witness=(0, 2, 4), key=[EVIL])
    summary = Summary(
        verdict="invalid", anomalies=(anomaly,), engine=EVIL, error=EVIL, reasons=(EVIL,), store=EVIL
    )  # fmt: skip
    config = RunConfig(system=EVIL, version=EVIL, options={EVIL: EVIL})
    record = RunRecord(config=config, name=EVIL, started=EVIL, nodes={EVIL: EVIL}, versions={EVIL: EVIL})
    return record, History(events, EVIL), summary, {EVIL: {EVIL: EVIL + "\udcff"}}


def test_nothing_from_outside_becomes_markup() -> None:
    """Hostile names, keys, values, errors and logs are shown as text: no tag, attribute or script comes of them."""
    page = Page(render(*evil_run()))
    scripts = [attrs.get("id") for tag, attrs in page.tags if tag == "script"]
    assert scripts == ["figures", "plotly", None]
    assert len(page.scripts) == 3
    assert not [tag for tag, attrs in page.tags if tag == "img" or any(name.startswith("on") for name in attrs)]
    assert "alert(1)" in page.text
    assert "alert" not in page.scripts[2]


def test_json_cannot_end_its_script() -> None:
    """Whatever the data, nothing within a script element reads as a tag, and the data comes back as it was."""
    text = script_json({EVIL: [EVIL, "<!--", "\u2028"]})
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == {EVIL: [EVIL, "<!--", "\u2028"]}


def test_plotly_is_given_no_markup_either() -> None:
    """Texts in the figures have no tags but our own line breaks and bold names: plotly would render them."""
    drawn = json.dumps(figures(build(*evil_run())))
    assert set(re.findall(r"<[^>]*>", drawn)) <= {"<b>", "</b>", "<br>", "<extra>", "</extra>"}


def test_figures_in_the_page_are_those_of_the_data() -> None:
    """The JSON in the page survives its escaping."""
    run = sample(2_000, anomalies=3)
    page = Page(render(run.record, run.history, run.summary, run.logs))
    assert json.loads(page.scripts[0]) == figures(build(run.record, run.history, run.summary, run.logs))


def test_figures_are_valid_plotly() -> None:
    """plotly's own schema knows every attribute that we set."""
    run = sample(2_000, anomalies=3)
    for figure in figures(build(run.record, run.history, run.summary, run.logs)).values():
        go.Figure(figure)


def test_the_page_needs_no_network() -> None:
    """No element or style names an address, plotly is inside as it came, and a policy forbids every connection."""
    run = sample(2_000, anomalies=3)
    text = render(run.record, run.history, run.summary, run.logs)
    page = Page(text)
    addresses = {attrs[name] for _, attrs in page.tags for name in ("src", "href", "data", "action") if name in attrs}
    assert {address for address in addresses if address and not address.startswith("#")} == {"data:,"}
    style = text[text.index("<style>") : text.index("</style>")]
    assert set(re.findall(r"url\(([^)]*)\)", style)) == {"#hatch", "#fade"}
    assert "@import" not in style
    policy = next(attrs["content"] for _, attrs in page.tags if "http-equiv" in attrs)
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert gzip.decompress(base64.b64decode(page.scripts[1])).decode() == get_plotlyjs()


def test_a_real_run_makes_a_small_page() -> None:
    """50,000 operations add little to plotly's 2 MB."""
    run = sample(60_000, anomalies=3)
    assert 40_000 < run.summary.ops.invoke < 60_000
    text = render(run.record, run.history, run.summary, run.logs)
    assert len(text.encode()) < 2_300_000


def test_the_page_says_it_all_in_order() -> None:
    """Verdict, anomalies, plots, nodes, terms, faults, run, logs."""
    run = sample(2_000, anomalies=3)
    page = Page(render(run.record, run.history, run.summary, run.logs))
    assert [attrs.get("id", "verdict") for tag, attrs in page.tags if tag == "section"] == [
        "verdict", "anomalies", "plots", "nodes", "terms", "faults", "coverage", "run", "logs",
    ]  # fmt: skip
    for said in ("invalid", "A promise was broken", "8 of 8", "n1 n4 | n2 n3 n5", "172.30.0.13", "3.11.2", "seed 7"):
        assert said in page.text
    assert run.record.config.command() in page.text


def plain_ops(types: list[str], key: Any) -> list[Op]:
    """One operation for each type, its completion left out where it is "open"."""
    events: list[Op] = []
    for process, type_ in enumerate(types):
        events.append(
            Op(len(events), len(events) * 1000, process, "invoke", "read", node=f"n{process % 9 + 1}", key=key)
        )
        if type_ != "open":
            events.append(Op(len(events), len(events) * 1000, process, type_, "read", key=key))  # type: ignore[arg-type]
    return events


ANOMALIES = tuple(Anomaly(checker="c", kind="k", summary="s", witness=(at, at + 1), key=[at]) for at in range(50))


@pytest.mark.parametrize(
    ("events", "summary"),
    [
        ([], Summary(verdict="error", error="the cluster never got healthy")),
        (plain_ops(["ok"], "a"), Summary(verdict="valid")),
        (plain_ops(["open"], None), Summary(verdict="unknown", reasons=("out of time",))),
        (plain_ops(["fail"] * 30, {"a": [1]}), Summary(verdict="error")),
        (plain_ops(["ok", "info", "fail", "open"] * 20, ["list", 1]), Summary(verdict="invalid", anomalies=ANOMALIES)),
        ([Op(0, 0, 1, "invoke", "read"), Op(1, 0, 1, "ok", "read")], Summary(verdict="valid")),
        ([Op(0, 0, "nemesis", "invoke", "inject", key=0, value={"kind": "kill"})], Summary(verdict="error")),
    ],
    ids=["nothing", "one", "unfinished", "all failed", "50 anomalies", "no time passed", "only a fault"],
)
def test_odd_runs_have_a_page_too(events: list[Op], summary: Summary) -> None:
    """No operation, no fault, no status, no record, keys that are lists: the page comes, with the verdict first."""
    page = Page(render(None, History(events), summary, {}))
    assert summary.verdict in page.text
    assert page.text.count("found by c") == len(summary.anomalies)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, to see the page drawn")
def test_chromium_draws_every_plot(tmp_path: Path) -> None:
    """In a real browser, from a file, the plots come up, and nothing is refused or fails."""
    run = sample(4_000, anomalies=3)
    page = tmp_path / "report.html"
    page.write_text(render(run.record, run.history, run.summary, run.logs), encoding="utf-8")
    argv = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile",
        "--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    drawn = re.findall(r'<div class="plot js-plotly-plot" id="plot-(\w+)"', done.stdout)
    assert drawn == ["rate", "latency", "lanes"]
    assert "CONSOLE" not in done.stderr
