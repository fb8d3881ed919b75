"""The pytest plugin over a whole session: standing machines, the suite, xdist, signals, and other plugins."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from time import monotonic, sleep

import pytest

# Inner sessions in this process find these loaded already: numpy can be loaded only once.
import reports.html  # noqa: F401

pytest_plugins = ["pytester"]

MEMORY = ("--cluster=3", "--cluster-system=memory", "--cluster-seed=7", "-Werror")


def eventually(condition: Callable[[], object], limit_s: float = 30.0) -> None:
    """Wait until a condition holds."""
    end = monotonic() + limit_s
    while not condition():
        assert monotonic() < end, "never came true"
        sleep(0.01)


def test_machines_stand(pytester: pytest.Pytester) -> None:
    """All runs and tests of a session share the same machines, and each run has a seed of its own."""
    pytester.makepyfile("""
        machines, seeds = set(), set()

        def test_runs(cluster, run_workload):
            for _ in range(2):
                seeds.add(run_workload(time_limit=0.2).summary.seed)
                machines.add(tuple(map(id, cluster.nodes.values())))

        def test_another(cluster, run_workload):
            seeds.add(run_workload(time_limit=0.2).summary.seed)
            machines.add(tuple(map(id, cluster.nodes.values())))
            assert (len(machines), len(seeds)) == (1, 3)
    """)
    result = pytester.runpytest_subprocess(*MEMORY)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["VALID *::test_runs *", "VALID *::test_runs *", "VALID *::test_another *"])


def test_cluster_by_hand(pytester: pytest.Pytester) -> None:
    """The fixture `cluster` gives plain functions a cluster: boot, ask, and await anything on it."""
    pytester.makepyfile("""
        import signal

        def test_by_hand(cluster):
            cluster.boot()
            assert list(cluster.nodes) == ["n1", "n2", "n3"]
            assert cluster.system.name == cluster.backend.name == "memory"
            assert cluster.leader() in cluster.nodes
            register = cluster.facet("register", "n1")
            cluster.wait(register.open())
            cluster.wait(register.write("k", 1))
            cluster.wait(cluster.nodes["n1"].signal(signal.SIGKILL))
            assert cluster.wait(cluster.nodes["n1"].state()) == "dead"

        def test_afresh(cluster):
            cluster.boot()
            register = cluster.facet("register", "n1")
            assert cluster.wait(register.read("k")) is None
    """)
    pytester.runpytest_subprocess(*MEMORY).assert_outcomes(passed=2)


def test_suite(pytester: pytest.Pytester) -> None:
    """The shipped suite is each workload of the system, one of them here, with each family of faults and with none."""
    suite = ("--pyargs", "workloads.suite", "--cluster-time-limit=0.4", "-k", "register")
    result = pytester.runpytest_subprocess(*suite, *MEMORY, "-v")
    result.assert_outcomes(passed=4, deselected=result.parseoutcomes().get("deselected", 0))
    ids = [f"*test_workload?register-{faults}? PASSED*" for faults in ("none", "partition", "pause", "kill")]
    result.stdout.fnmatch_lines(ids)
    chosen = pytester.runpytest_subprocess(*suite, *MEMORY, "-v", "--cluster-nemesis=kill")
    chosen.assert_outcomes(passed=1, deselected=chosen.parseoutcomes().get("deselected", 0))
    chosen.stdout.fnmatch_lines(["*test_workload?register-kill? PASSED*"])


def test_suite_on_one_node(pytester: pytest.Pytester) -> None:
    """The suite leaves out faults for which there are too few nodes."""
    suite = ("--pyargs", "workloads.suite", "--collect-only", "-q")
    result = pytester.runpytest_subprocess(*suite, "--cluster=1", *MEMORY[1:])
    assert "register-kill" in result.stdout.str()
    assert "register-partition" not in result.stdout.str()


def test_suite_without_a_cluster(pytester: pytest.Pytester) -> None:
    """Without --cluster the suite is one skipped test that says what to give."""
    result = pytester.runpytest_subprocess("--pyargs", "workloads.suite", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * needs a cluster: *"])


def test_suite_accuses_a_broken_system(pytester: pytest.Pytester) -> None:
    """The suite takes somebody's own system; its line to paste names the suite by module, wherever that is."""
    pytester.makepyfile(
        broken="""
        from clusters.memory import Memory

        class Broken(Memory):
            def __init__(self, version="", options=None):
                super().__init__(version, {"bug": "stale-reads"} | (options or {}))
    """
    )
    options = ("--cluster=3", "--cluster-system=broken:Broken", "--cluster-nemesis=none", "--cluster-time-limit=0.5")
    result = pytester.runpytest_subprocess("--pyargs", "workloads.suite", "-k", "register", *options)
    result.assert_outcomes(failed=1, deselected=result.parseoutcomes().get("deselected", 0))
    result.stdout.fnmatch_lines(["E * pytest --pyargs 'workloads.suite::test_workload?register-none?' --cluster=3 *"])


def test_xdist(pytester: pytest.Pytester) -> None:
    """Each worker has machines of its own, all share one seed, and the summary and the ids are as without xdist."""
    pytester.makepyfile("""
        import pytest

        @pytest.mark.xdist_group("a")
        @pytest.mark.parametrize("what", ["x@y", "z"])
        def test_run(run_workload, what):
            run_workload(time_limit=0.5, options={"bug": "stale-reads"})
    """)
    paths = []
    for options in (["-n2", "--dist=loadgroup"], ["-p", "no:xdist"]):
        result = pytester.runpytest_subprocess("--cluster=3", "--cluster-system=memory", "--cluster-seed=7", *options)
        result.assert_outcomes(failed=2)
        result.stdout.fnmatch_lines(["*= consistency =*", "INVALID *", "INVALID *"])
        result.stdout.fnmatch_lines(["E * pytest '*::test_run?x@y?' --cluster=3 *"])
        paths.append(sorted(pytester.path.glob("store/memory-1-register/2*/run.json")))
    both = [{json.loads(path.read_text())["config"]["seed"] for path in some} for some in paths]
    assert len(paths[0]) == 2
    assert len(paths[1]) == 4
    assert both[0] == both[1]


def test_xdist_draws_one_seed(pytester: pytest.Pytester) -> None:
    """A seed that was drawn by xdist's controller is the one that its workers use."""
    pytester.makepyfile("""
        def test_seed(run_workload):
            run_workload(time_limit=0.5, options={"bug": "stale-reads"})
    """)
    result = pytester.runpytest_subprocess("-n1", "--cluster=3", "--cluster-system=memory")
    (header,) = [line for line in result.stdout.lines if line.startswith("cluster: ")]
    result.stdout.fnmatch_lines([f"E * --cluster-seed={header.rpartition(' ')[2]}"])


def test_interrupted(pytester: pytest.Pytester) -> None:
    """Ctrl-C ends a run early: what there is gets checked, stored and shown in one line, and the session ends."""
    pytester.makepyfile("def test_long(run_workload): run_workload(time_limit=60)\ndef test_next(cluster): ...")
    history = pytester.path / "store" / "latest" / "history.jsonl"
    argv = [sys.executable, "-m", "pytest", *MEMORY]
    with subprocess.Popen(argv, cwd=pytester.path, stdout=subprocess.PIPE, text=True) as process:
        try:
            eventually(lambda: history.exists() and history.stat().st_size > 10_000)
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "stopped early; so far VALID: no promise was broken" in output
    assert json.loads((history.parent / "verdict.json").read_text())["verdict"] == "valid"


def test_timed_out(pytester: pytest.Pytester) -> None:
    """A test that pytest-timeout tears out of its run leaves machines that the next test can use."""
    pytester.makepyfile("""
        import pytest

        @pytest.mark.timeout(0.5, method="signal")
        def test_slow(run_workload):
            run_workload(time_limit=60, rate=1)

        def test_next(run_workload):
            assert run_workload(time_limit=0.3).summary.verdict == "valid"
    """)
    pytester.runpytest_subprocess(*MEMORY).assert_outcomes(failed=1, passed=1)


def test_conftest_with_the_same_option(pytester: pytest.Pytester) -> None:
    """A conftest that defines --cluster is told so, and works with -p no:kingslayer."""
    pytester.makeconftest("def pytest_addoption(parser): parser.addoption('--cluster', action='store_true')")
    pytester.makepyfile("def test_own(pytestconfig): assert pytestconfig.getoption('cluster')")
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: an option of kingslayer is defined by something else*", "  hint: *no:kingslayer"]
    )
    pytester.runpytest_subprocess("-p", "no:kingslayer", "--cluster").assert_outcomes(passed=1)


def test_other_errors_of_conftests(pytester: pytest.Pytester) -> None:
    """An error of a conftest that has nothing to do with us stays as it is."""
    pytester.makeconftest("def pytest_addoption(parser): raise ValueError('their own')")
    result = pytester.runpytest_subprocess()
    result.stderr.fnmatch_lines(["*ValueError: their own"])
