"""The pytest plugin, its light half: what every pytest run pays for, so it imports nothing but pytest.

With --cluster it loads the other half (harness.pytest_cluster), which brings up machines at the first test that wants
them. Two things shape this file. netns must be entered before the process's first thread or event loop, so the
session is opened in pytest_configure and first of all. And xdist's workers get the command line, not what this process
made of it, so a seed that was drawn here is handed to them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from harness.pytest_cluster import ClusterSession, RunWorkload
    from harness.standing import StandingCluster

NEEDED: Final = "needs a cluster: give --cluster=N, such as --cluster=5"
EACH: Final = ("each_workload", "each_nemesis")
"""A test with these arguments runs once for each workload and family of faults that the system has."""

_SESSION: Final[pytest.StashKey[ClusterSession]] = pytest.StashKey()
_SEED: Final = "kingslayer_seed"

_OPTIONS: Final[dict[str, tuple[str, str | None, str]]] = {
    "cluster": ("N", None, "nodes of the cluster to bring up; without it, tests that want a cluster are skipped"),
    "cluster-system": ("NAME", "etcd", "system to test: etcd, etcd:3.5.1, or module:Class of your own"),
    "cluster-backend": ("NAME", "", "docker, netns or memory; the first that works otherwise"),
    "cluster-facet": ("NAMES", None, "varieties of facets, such as lock=recipe of etcd, by commas"),
    "cluster-nemesis": ("NAMES", None, "families of faults, such as partition,kill; none is without faults"),
    "cluster-time-limit": ("S", "10", "seconds of load of a run"),
    "cluster-seed": ("N", None, "of all random choices; one is drawn and shown otherwise"),
    "cluster-store": ("DIR", "store", "where runs are kept"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare each option and its ini twin."""
    group = parser.getgroup("kingslayer", "consistency tests on a real cluster (kingslayer)")
    for name, (metavar, default, text) in _OPTIONS.items():
        shown = f" (default: {default})" if default else ""
        try:
            group.addoption(f"--{name}", metavar=metavar, help=f"{text}{shown}")
        except (ValueError, argparse.ArgumentError) as error:
            raise _taken(error) from error
        parser.addini(name.replace("-", "_"), f"same as --{name}", default=None)
    parser.addini("cluster_testpaths", "what `pytest --cluster=N` runs when it is given no path", "paths", default=[])


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None]:
    """Say plainly that a conftest has an option of the same name."""
    try:
        return (yield)
    except (ValueError, argparse.ArgumentError) as error:
        if "--cluster" in str(error):
            raise _taken(error) from error
        raise


def _taken(error: Exception) -> pytest.UsageError:
    return pytest.UsageError(
        f"an option of kingslayer is defined by something else, too: {error}\n"
        "  hint: rename it in that conftest or plugin, or run with -p no:kingslayer"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """With --cluster: load the heavy half, choose system and backend, and enter."""
    if config.option.help or config.option.version or not _value(config, "cluster"):
        return
    from harness import pytest_cluster

    values = {name: _value(config, name) for name in _OPTIONS}
    values["cluster-store"] = str(_store(config))
    values["cluster-seed"] = getattr(config, "workerinput", {}).get(_SEED) or values["cluster-seed"]
    session = pytest_cluster.open_session(values)
    config.stash[_SESSION] = session
    config.add_cleanup(session.close)
    config.pluginmanager.register(session, "kingslayer-session")
    _choose_paths(config)


def _value(config: pytest.Config, name: str) -> str | None:
    """Return an option: of the command line, else of the ini file, else its default."""
    given: str | None = config.getoption(f"--{name}")
    if given is None:
        given = config.getini(name.replace("-", "_"))
    return _OPTIONS[name][1] if given is None else given


def _store(config: pytest.Config) -> Path:
    """Return the store: relative to here on the command line, to the root folder in an ini file."""
    given = config.getoption("--cluster-store")
    base = config.rootpath if given is None else config.invocation_params.dir
    return base / str(_value(config, "cluster-store"))


def _choose_paths(config: pytest.Config) -> None:
    """Run the tests for clusters alone where nothing else was asked for: the others do not need one."""
    paths: Sequence[Path] = config.getini("cluster_testpaths")
    if paths and config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args[:] = map(str, paths)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the seed to a worker of xdist."""
    if session := node.config.stash.get(_SESSION, None):
        node.workerinput[_SEED] = str(session.config.seed)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Multiply a test that takes `each_workload` and `each_nemesis`."""
    if not set(EACH) <= set(metafunc.fixturenames):
        return
    session = metafunc.config.stash.get(_SESSION, None)
    if session is None:
        skipped = pytest.param("", "", marks=pytest.mark.skip(reason=NEEDED), id="needs-cluster")
        metafunc.parametrize(EACH, [skipped])
    else:
        cases = session.cases()
        metafunc.parametrize(EACH, cases, ids=["-".join(case) for case in cases])


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[StandingCluster]:
    """The machines of --cluster=N: brought up at the first use, the same ones until the session's end."""
    session = pytestconfig.stash.get(_SESSION, None)
    if session is None:
        pytest.skip(NEEDED)
    yield session.bring_up()
    session.close()


@pytest.fixture
def run_workload(request: pytest.FixtureRequest, cluster: StandingCluster) -> RunWorkload:
    """Run a workload under faults on a freshly booted system; raise AnomalyFound or Inconclusive unless it is valid."""
    make: Callable[[pytest.Item], RunWorkload] = request.config.stash[_SESSION].runner
    return make(request.node)
