"""Sessions: names become objects, defaults are filled in, options are held to what is known, all is torn down."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from silent import Silent

from clusters.memory import BUGS, Memory
from harness.config import RunConfig
from harness.errors import ClusterError, ContractError, UsageError
from harness.session import Session, check_facets, check_options, node_names, plan, run
from workloads.register import RegisterWorkload


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
