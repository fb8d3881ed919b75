"""Sessions: names become objects, defaults are filled in, options are held to what is known, all is torn down."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from silent import Silent

from clusters.memory import BUGS, Memory
from clusters.noop import Noop
from harness.config import RunConfig, Schedule, Step, When
from harness.errors import ClusterError, ContractError, UsageError
from harness.session import Session, check_facets, check_faults, check_options, lacking, node_names, plan, run
from nemesis import FAMILIES
from workloads.register import RegisterWorkload

IMPOSSIBLE = FAMILIES.keys() - {"partition", "pause", "kill"}
"""Families that the system memory cannot have."""


def config(**more: Any) -> RunConfig:
    """A configuration of the system in memory."""
    return RunConfig(system="memory", **more)


def test_defaults_are_filled_in() -> None:
    """The run that is recorded names its backend and its version, so that it can be replayed exactly."""
    session = Session.open(config(), Silent())
    filled = session.fill(config(seed=3))
    assert (filled.backend, filled.version, filled.seed) == ("memory", "1", 3)


def test_the_plan_depends_on_the_seed_alone() -> None:
    """The same configuration plans the same faults; another seed others."""
    one = config(nemesis=("partition", "pause", "kill"), seed=1)
    assert plan(one) == plan(one)
    assert plan(one).steps
    assert plan(one) != plan(config(nemesis=("partition", "pause", "kill"), seed=2))
    assert plan(config()).steps == ()


def test_all_is_every_family_that_is_possible() -> None:
    """What "all" stands for is told, with the reasons of what it leaves out, and recorded by name for a replay."""
    told = Silent()
    session = Session.open(config(), told)
    every = config(nemesis=("all",), time_limit_s=120)
    schedule = session.plan(every, told)
    missing = lacking(every, session.backend, session.system)
    assert set(missing) == IMPOSSIBLE
    assert {step.kind for step in schedule.steps} == {"partition", "pause", "kill"}
    assert "all faults: partition, pause, kill" in told.phases
    assert "  no clock: nodes in memory have no clock of their own" in told.phases
    assert "  no membership: memory cannot do it" in told.phases
    filled = session.fill(every)
    assert filled.nemesis == ("partition", "pause", "kill")
    assert session.plan(filled, told) == schedule
    assert "partition" in lacking(config(nodes=1), session.backend, session.system)
    assert told.warnings == []


def test_a_family_apart_is_no_part_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only who names it gets it; beside all, too."""
    apart = dataclasses.replace(FAMILIES["kill"], apart="no system bears it")
    monkeypatch.setitem(FAMILIES, "kill", apart)
    session = Session.open(config(), Silent())
    assert session.fill(config(nemesis=("all",))).nemesis == ("partition", "pause")
    assert session.fill(config(nemesis=("all", "kill"))).nemesis == ("partition", "pause", "kill")
    told = Silent()
    session.plan(config(nemesis=("all",)), told)
    assert "  no kill: no system bears it" in told.phases
    with pytest.raises(UsageError, match="no membership with memory"):
        session.plan(config(nemesis=("all", "membership")), told)


def test_families_without_room_are_named() -> None:
    """Where the time is too short for each family, the run says which do not come."""
    told = Silent()
    session = Session.open(config(), told)
    schedule = session.plan(config(nemesis=("all",), time_limit_s=10), told)
    (came,) = [step.kind for step in schedule.steps]
    (warning,) = told.warnings
    late = ", ".join(name for name in ("partition", "pause", "kill") if name != came)
    assert warning.startswith(f"no time for {late} (one every 6 s, in 10 s)")


def test_a_file_stands_alone(tmp_path: Path) -> None:
    """A schedule file is read with the run's time limit; families beside it are a usage error."""
    path = tmp_path / "mine.toml"
    path.write_text('[[phase]]\nfaults = "all"\ninterval = 4')
    schedule = plan(config(nemesis=(str(path),)), IMPOSSIBLE)
    assert {step.kind for step in schedule.steps} == {"partition", "pause", "kill"}
    with pytest.raises(UsageError, match=r"mine\.toml,kill") as caught:
        plan(config(nemesis=(str(path), "kill")))
    assert "one file" in caught.value.hint


def test_moments_need_nodes_that_tell() -> None:
    """Where nodes tell no roles, only lines of logs can be waited for; this is said before anything starts."""

    def aimed(moment: str, pattern: str = "") -> Schedule:
        when = When(moment=moment, pattern=pattern, lasts_s=1)
        params = {"target": "one", "nodes": ["moment"]}
        return Schedule((Step(fault=0, kind="kill", start_s=0, stop_s=9, params=params, when=when),))

    backend = Session.open(config(), Silent()).backend
    check_faults(aimed("election"), config(), backend, Memory())
    check_faults(aimed("log line", "x"), config(), backend, Noop())
    with pytest.raises(UsageError, match="no 'election' with noop: its nodes do not tell their roles"):
        check_faults(aimed("election"), config(), backend, Noop())


def test_node_names() -> None:
    """Nodes are n1, n2, …"""
    assert node_names(config(nodes=3)) == ["n1", "n2", "n3"]


@pytest.mark.parametrize("options", [{}, *({"bug": bug} for bug in BUGS)])
def test_known_options_are_taken(options: dict[str, str]) -> None:
    """What the system or the workload knows may be set."""
    check_options(config(options=options), RegisterWorkload(options))


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"colour": "red"}, "neither memory nor the workload register has an option 'colour'", "bug"),
        ({"seed": "1"}, "has an option 'seed'", "bug"),
        ({"bug": "fire"}, "bug=fire is not possible", "stale-reads"),
    ],
)
def test_unknown_options_are_refused(options: dict[str, str], message: str, hint: str) -> None:
    """A mistyped option would be a run of something else."""
    with pytest.raises(UsageError) as caught:
        check_options(config(options=options), RegisterWorkload({}))
    assert message in caught.value.message
    assert hint in caught.value.hint


class Varied(Memory):
    """A system with a facet in two varieties."""

    def __init__(self, version: str = "", options: Any = None) -> None:
        super().__init__(version, options)
        self.facets = {**self.facets, "register=odd": self.facets["register"]}


def test_a_facet_and_its_varieties_must_be_the_systems() -> None:
    """What was chosen must be there, and so must what the workload needs; otherwise the error names what there is."""
    workload = RegisterWorkload({})
    check_facets(config(), workload, Varied())
    check_facets(config(facets={"register": "odd"}), workload, Varied())
    for chosen, named in (({"register": "other"}, "register=other"), ({"lok": "odd"}, "lok=odd")):
        with pytest.raises(UsageError, match=f"memory has no facet '{named}'") as caught:
            check_facets(config(facets=chosen), workload, Varied())
        assert "register=odd" in caught.value.hint
    lacking = Varied()
    lacking.facets = {}
    with pytest.raises(UsageError, match="memory has no facet 'register'"):
        check_facets(config(), workload, lacking)


def test_a_system_that_lacks_something_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system of somebody's own is not found wanting in the middle of a run."""
    (tmp_path / "half_a_system.py").write_text(
        "class Half:\n    name, version = 'half', '1'\n    def __init__(self, version, options): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ContractError, match="half_a_system:Half lacks backends, boot, facets, install"):
        Session.open(RunConfig(system="half_a_system:Half"), Silent())


def test_no_nodes_are_no_cluster() -> None:
    """A cluster has at least one node."""
    with pytest.raises(UsageError, match="no cluster"):
        Session.open(config(nodes=0), Silent())


class FailsToBoot(Memory):
    """A system whose cluster never gets healthy."""

    async def boot(self, nodes: Any) -> None:
        raise ClusterError("n2 never got healthy", "its last log lines: …")


def test_machines_are_removed_however_it_ends(tmp_path: Path) -> None:
    """After an error in the middle of a run no machine stands, and the error comes through."""
    opened = Session.open(config(), Silent())
    session = Session(FailsToBoot(), opened.backend, ())

    async def whole() -> None:
        async with session.cluster(config(), asyncio.Event()) as cluster:
            nodes = list(cluster.nodes.values())
            try:
                await cluster.boot()
            finally:
                standing.extend(nodes)

    standing: list[Any] = []
    with pytest.raises(ClusterError, match="n2 never got healthy"):
        asyncio.run(whole())
    assert len(standing) == 5
    assert all(node.dead() for node in standing)


@pytest.mark.parametrize(
    "wrong",
    [
        {"workload": "nothing"},
        {"nemesis": ("nothing",)},
        {"backend": "nothing"},
        {"version": "99"},
        {"options": {"bug": "nothing"}},
        {"options": {"nothing": "x"}},
        {"facets": {"register": "nothing"}},
        {"schedule": "nothing.json"},
    ],
)
def test_a_wrong_name_is_told_before_anything_is_stored(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """A UsageError comes before machines, files or folders are made."""
    with pytest.raises(UsageError) as caught:
        run(config(**wrong), tmp_path / "store", Silent())
    assert "nothing" in caught.value.message or "99" in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "store").exists()
