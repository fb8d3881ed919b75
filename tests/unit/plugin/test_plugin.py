"""The pytest plugin, seen from outside: inner sessions of pytest on the system `memory`, which needs no cluster."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from harness.pytest_cluster import open_session

pytest_plugins = ["pytester"]

HEAVY = ("numpy", "msgspec", "asyncio", "docker", "grpc", "click", "harness.session", "harness.history")
MEMORY = ("--cluster=3", "--cluster-system=memory", "--cluster-seed=7", "-Werror")

ONE_RUN = """
    def test_register(run_workload):
        assert run_workload(time_limit=0.3).summary.ops.ok > 20
"""
BROKEN = """
    def test_broken(run_workload):
        run_workload("register", time_limit=1, options={"bug": "stale-reads"})
"""


def configs(pytester: pytest.Pytester) -> list[dict[str, Any]]:
    """Return the configurations of all runs in the store, in order of time."""
    records = sorted(pytester.path.glob("store/*/2*/run.json"), key=lambda path: path.parent.name)
    return [json.loads(path.read_text())["config"] for path in records]


def test_nothing_heavy_without_a_cluster(pytester: pytest.Pytester) -> None:
    """Without --cluster the plugin imports nothing heavy, and tests that want a cluster say what to give."""
    pytester.makepyfile(f"""
        import sys

        def test_modules():
            assert [name for name in {HEAVY!r} if name in sys.modules] == []

        def test_register(run_workload): ...

        def test_machines(cluster): ...
    """)
    # in a process of its own, without the plugins that import such things themselves
    others = [f"-pno:{name}" for name in ("cacheprovider", "hypothesispytest", "xdist")]
    result = pytester.runpytest_subprocess("-rs", *others)
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED * needs a cluster: give --cluster=N, such as --cluster=5"])
    result.stdout.no_fnmatch_line("*consistency*")


def test_valid_run(pytester: pytest.Pytester) -> None:
    """A run that keeps its promises passes, and is told of in the header, the summary and JUnit's properties."""
    pytester.makepyfile(ONE_RUN)
    result = pytester.runpytest_subprocess(*MEMORY, "--junitxml=junit.xml")
    result.assert_outcomes(passed=1)
    lines = ["cluster: memory 1, 3 nodes, *, seed 7", "*= consistency =*"]
    lines += ["VALID * test_valid_run.py::test_register * ok, 0/0 faults verified, * s * store/memory-1-*/report.html"]
    result.stdout.fnmatch_lines(lines)
    found = ElementTree.parse(pytester.path / "junit.xml").iter("property")
    properties = {str(each.get("name")): str(each.get("value")) for each in found}
    assert properties["kingslayer.verdict"] == "valid"
    assert properties["kingslayer.system"] == "memory:1"
    assert int(properties["kingslayer.seed"]) == configs(pytester)[0]["seed"]
    assert Path(properties["kingslayer.store"], "history.jsonl").exists()


def test_anomaly_fails_the_test(pytester: pytest.Pytester) -> None:
    """An anomaly fails the test with its witness, the report and lines to paste, and without frames of ours."""
    pytester.makepyfile(BROKEN)
    result = pytester.runpytest_subprocess(*MEMORY)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * harness.errors.AnomalyFound: INVALID: a promise was broken: *",
            "E * start * end * process * node * operation * outcome",
            "E * report: store/memory-1-register/*/report.html",
            "E * kingslayer run memory:1 --nodes 3 * --option bug=stale-reads",
            "E * pytest *::test_broken --cluster=3 --cluster-system=memory:1 *--cluster-seed=7",
            "INVALID *::test_broken *",
        ]
    )
    for ours in ("*pytest_cluster.py*", "*standing.py*", "*runner.py*"):
        result.stdout.no_fnmatch_line(ours)


def test_pasted_line_replays(pytester: pytest.Pytester) -> None:
    """The line that a failed test shows runs that test alone, with the same seed and the same faults."""
    pytester.makepyfile("""
        import pytest

        def test_first(run_workload):
            run_workload(time_limit=0.3)

        @pytest.mark.parametrize("what", ["a b@c"])
        def test_broken(run_workload, what):
            run_workload(nemesis="partition,kill", time_limit=1, options={"bug": "stale-reads"})
    """)
    shown = pytester.runpytest_subprocess(*MEMORY).stdout.str()
    pasted = re.search(r"^E +pytest (.*)$", shown, re.MULTILINE)
    assert pasted is not None
    pytester.runpytest_subprocess(*shlex.split(pasted[1])).assert_outcomes(failed=1)
    first, broken, again = configs(pytester)
    assert broken == again
    assert first["seed"] != broken["seed"]


def test_inconclusive_fails_the_test(pytester: pytest.Pytester) -> None:
    """A run in which hardly anything succeeded is no pass."""
    pytester.makepyfile("""
        def test_few(run_workload):
            run_workload(time_limit=0.3, rate=10, nemesis="none")
    """)
    result = pytester.runpytest_subprocess(*MEMORY)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E * harness.errors.Inconclusive: ERROR: this run proves nothing*", "E * a verdict needs 10", "ERROR * 0/0 *"]
    )


def test_cluster_that_never_gets_healthy(pytester: pytest.Pytester) -> None:
    """A system that does not boot fails the test as inconclusive, with its own message and hint and no frames."""
    pytester.makepyfile(
        sick="""
        from clusters.memory import Memory
        from kingslayer import ClusterError

        class Sick(Memory):
            async def boot(self, nodes):
                raise ClusterError("n2 never got healthy", "the disk of n2 is full")
    """,
        test_sick=ONE_RUN,
    )
    result = pytester.runpytest_subprocess("--cluster=3", "--cluster-system=sick:Sick")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *Inconclusive: ERROR: n2 never got healthy", "E * hint: the disk of n2 is full", "ERROR * 0 ok, 0/0 *"]
    )
    result.stdout.no_fnmatch_line("*standing.py*")


WRONG = [
    ({"cluster": "0"}, "--cluster=0 is too little"),
    ({"cluster": "few"}, "--cluster=few is not a number"),
    ({"cluster-system": "nope"}, "unknown system 'nope'"),
    ({"cluster-system": "memory:9"}, "memory has no version '9'"),
    ({"cluster-system": "no_such_module:System"}, "system 'no_such_module:System' cannot be imported"),
    ({"cluster-backend": "nope"}, "unknown backend 'nope'"),
    ({"cluster-backend": "netns"}, "memory does not run on netns"),
    ({"cluster-nemesis": "nope"}, "there is no nemesis 'nope'"),
    ({"cluster": "1", "cluster-nemesis": "partition"}, "partition needs 2 nodes, and there are 1"),
    ({"cluster-facet": "lock"}, "--cluster-facet=lock: 'lock' is not NAME=VARIETY"),
    ({"cluster-time-limit": "nan"}, "--cluster-time-limit=nan is too little"),
    ({"cluster-seed": "-1"}, "--cluster-seed=-1 is too little"),
]


@pytest.mark.parametrize(("values", "message"), WRONG)
def test_wrong_values(values: dict[str, str], message: str) -> None:
    """A wrong value is a usage error that names it, with a hint."""
    given = {"cluster": "3", "cluster-system": "memory", "cluster-time-limit": "1", "cluster-store": "store"}
    others = dict.fromkeys(("cluster-backend", "cluster-facet", "cluster-nemesis", "cluster-seed"))
    with pytest.raises(pytest.UsageError, match=f"^{re.escape(message)}(.|\n)*\n  hint: ."):
        open_session(others | given | values)


def test_wrong_value_ends_the_session(pytester: pytest.Pytester) -> None:
    """A wrong value ends the session before anything runs, without a traceback."""
    pytester.makepyfile(ONE_RUN)
    result = pytester.runpytest_subprocess("--cluster=0", *MEMORY[1:])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --cluster=0 is too little", "  hint: *"])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_surroundings_fail(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an engine the session ends at once and says what to do."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{pytester.path}/nothing")
    pytester.makepyfile(ONE_RUN)
    result = pytester.runpytest_subprocess("--cluster=3", "--cluster-backend=docker")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["Exit: no backend works here (docker: *", "  hint: *"])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_machines_fail(pytester: pytest.Pytester) -> None:
    """Where the machines cannot be brought up no test can pass, so the session ends."""
    pytester.makepyfile(ONE_RUN + "    def test_next(cluster): ...")
    result = pytester.runpytest_subprocess("--cluster=300", "--cluster-system=memory")
    result.assert_outcomes()
    result.stdout.fnmatch_lines(["!* 300 nodes*", "  hint: *"])


def test_wrong_names_in_a_test(pytester: pytest.Pytester) -> None:
    """A test that asks for what there is not fails with the message alone."""
    pytester.makepyfile("""
        def test_workload(run_workload):
            run_workload("nope")

        def test_option(run_workload):
            run_workload(options={"bug": "nope"})

        def test_nemesis(run_workload):
            run_workload(nemesis="nope")
    """)
    result = pytester.runpytest_subprocess(*MEMORY)
    result.assert_outcomes(failed=3)
    messages = ("unknown workload 'nope'", "bug=nope is not possible", "there is no nemesis 'nope'")
    result.stdout.fnmatch_lines([f"E * harness.errors.UsageError: {message}" for message in messages])
    result.stdout.no_fnmatch_line("*standing.py*")


def test_ini_twins(pytester: pytest.Pytester) -> None:
    """Every option has a twin in the ini file, and the command line wins."""
    pytester.makeini("""
        [pytest]
        cluster = 4
        cluster_system = memory
        cluster_backend = memory
        cluster_nemesis = kill
        cluster_time_limit = 0.4
        cluster_seed = 11
        cluster_store = kept
    """)
    pytester.makepyfile("def test_register(run_workload): run_workload()")
    result = pytester.runpytest_subprocess("--cluster-seed=12", "--cluster-store=store")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["cluster: memory 1, 4 nodes, *, seed 12"])
    (config,) = configs(pytester)
    assert (config["nemesis"], config["time_limit_s"], config["nodes"]) == (["kill"], 0.4, 4)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    assert (pytester.path / "kept" / "latest").exists()


def test_paths_for_clusters(pytester: pytest.Pytester) -> None:
    """With cluster_testpaths, --cluster runs those paths alone, unless it is told otherwise."""
    pytester.makeini("[pytest]\ncluster_testpaths = suite\ncluster_system = memory")
    pytester.makepyfile(test_unit="def test_unit(): ...")
    pytester.mkdir("suite").joinpath("test_suite.py").write_text("def test_suite(cluster): cluster.boot()")
    assert "test_unit.py" not in pytester.runpytest_subprocess("--cluster=3").stdout.str()
    assert "test_suite.py" not in pytester.runpytest_subprocess("--cluster=3", "test_unit.py").stdout.str()
    pytester.runpytest_subprocess().assert_outcomes(passed=1, skipped=1)
