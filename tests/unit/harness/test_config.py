"""Configurations: the command line that replays a run means the same run."""

from __future__ import annotations

import shlex

import click
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import _config, cli
from harness.config import RunConfig, Schedule, Step, When

words = st.text(st.characters(min_codepoint=33, max_codepoint=382, exclude_categories=["Cs", "Cc"]), min_size=1)
names = st.text("abcdefgh-", min_size=1, max_size=8).filter(lambda name: name[0] != "-" and name != "none")
options = st.dictionaries(names, words | st.just("") | st.just("two words $HOME 'quoted'"), max_size=3)
numbers = st.integers(1, 10**9).map(lambda number: number / 100)
configs = st.builds(
    RunConfig,
    system=st.sampled_from(["etcd", "memory", "my.module:System"]),
    version=st.sampled_from(["", "3.5.1", "1"]),
    nodes=st.integers(1, 99),
    backend=st.sampled_from(["", "docker", "netns"]),
    workload=names,
    nemesis=st.lists(names, unique=True, max_size=3).map(tuple),
    time_limit_s=numbers.filter(lambda value: value >= 0.1),
    concurrency=st.integers(1, 10_000),
    rate=numbers | st.just(0.0),
    op_timeout_s=numbers,
    interval_s=numbers.filter(lambda value: value >= 0.5),
    seed=st.integers(-(2**70), 2**70),
    facets=st.dictionaries(names, words, max_size=2),
    options=options,
    schedule=st.sampled_from(["", "store/a b/schedule.json"]),
)


@given(configs)
def test_the_command_parses_back(config: RunConfig) -> None:
    """Whatever was run, the printed command line asks for exactly that, quoted for a shell."""
    program, command, *arguments = shlex.split(config.command())
    assert (program, command) == ("kingslayer", "run")
    run = cli.commands["run"]
    flags = run.make_context("run", arguments, parent=click.Context(cli)).params
    assert _config(flags.pop("system"), flags) == config


@given(configs)
def test_the_record_reads_back(config: RunConfig) -> None:
    """run.json holds a configuration as it was."""
    assert msgspec.json.decode(msgspec.json.encode(config), type=RunConfig) == config


def test_a_schedule_reads_back() -> None:
    """schedule.json holds the faults as they were planned."""
    when = When(moment="log line", pattern="x", delay_ms=5, lasts_s=1)
    schedule = Schedule(
        (
            Step(fault=0, kind="partition", start_s=1, stop_s=2.5, params={"shape": "one"}),
            Step(fault=1, kind="kill", start_s=0, stop_s=9, when=when),
        )
    )
    assert msgspec.json.decode(msgspec.json.encode(schedule), type=Schedule) == schedule
