"""The pytest plugin on real etcd: the shipped suite passes, and what etcd does not promise is found."""

from __future__ import annotations

from pathlib import Path

from inner_pytest import run_pytest

POSITIVE_CONTROL = '''
import signal


def test_reads_that_may_be_stale(run_workload):
    """etcd's serializable reads are not linearizable."""
    run_workload("register", nemesis="partition", options={"reads": "serializable"})


def test_by_hand(cluster):
    """What a follower acknowledged, the leader has after that follower was killed."""
    cluster.boot()
    leader = cluster.leader()
    follower = next(name for name in cluster.nodes if name != leader)
    writer, reader = cluster.facet("register", follower), cluster.facet("register", leader)
    cluster.wait(writer.open())
    cluster.wait(reader.open())
    cluster.wait(writer.write("k", 1))
    cluster.wait(cluster.nodes[follower].signal(signal.SIGKILL))
    while cluster.wait(cluster.nodes[follower].state()) != "dead":
        pass
    assert cluster.wait(reader.read("k")) == 1
    cluster.wait(writer.close())
    cluster.wait(reader.close())
'''


def test_suite(backend_name: str, tmp_path: Path) -> None:
    """The shipped suite, two workloads of it, each under two families of faults."""
    options = ("--cluster=3", "--cluster-system=etcd", f"--cluster-backend={backend_name}", "--cluster-time-limit=3")
    chosen = ("--cluster-nemesis=partition,kill", "-k", "register or set")
    done = run_pytest(tmp_path, "--pyargs", "workloads.suite", *options, *chosen)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
    assert done.stdout.count("VALID    ") == 4


def test_positive_control(backend_name: str, tmp_path: Path) -> None:
    """Reads that may be stale are found stale, and a test may use the cluster by hand afterwards."""
    (tmp_path / "test_control.py").write_text(POSITIVE_CONTROL)
    options = ("--cluster=3", f"--cluster-backend={backend_name}", "--cluster-time-limit=8")
    done = run_pytest(tmp_path, *options)
    assert done.returncode == 1, done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert "AnomalyFound: INVALID: a promise was broken" in done.stdout
