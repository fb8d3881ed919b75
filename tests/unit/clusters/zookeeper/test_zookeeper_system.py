"""The system ZooKeeper, as far as it goes without a cluster: options, outcomes, and what its servers say."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from clusters.zookeeper import ZooKeeper, system
from clusters.zookeeper.outcomes import DEFINITE, is_definite
from harness.errors import UsageError
from harness.protocols import NodeStatus, System

SERVING = "Zookeeper version: 3.9.6\nReceived: 2\nZxid: 0x200000005\nMode: {}\nNode count: 5\n"
LOOKING = "This ZooKeeper instance is not currently serving requests\n"


class Node:
    """As much of a node as a status needs; each answer of the disk is the next of these epochs."""

    name, ip = "n1", "127.0.0.1"

    def __init__(self, *epochs: str) -> None:
        self.epochs = list(epochs)

    async def read(self, path: str) -> bytes:
        return (self.epochs.pop(0) if len(self.epochs) > 1 else self.epochs[0]).encode()


def status(monkeypatch: pytest.MonkeyPatch, node: Node, *replies: str) -> NodeStatus:
    answers = list(replies)

    async def ask(ip: str, word: str) -> str:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(system, "_ask", ask)
    return asyncio.run(ZooKeeper().status(node))  # type: ignore[arg-type]


def test_it_is_a_system_and_its_default_is_the_newest() -> None:
    """Without a version the newest is taken."""
    made: System = ZooKeeper()
    assert made.version == "3.9.6"


def test_wrong_versions_and_options_are_refused() -> None:
    """Before anything starts, with what can be written instead."""
    with pytest.raises(UsageError, match=r"9\.9\.9"):
        ZooKeeper("9.9.9")
    with pytest.raises(UsageError, match="psychic") as caught:
        ZooKeeper("", {"reads": "psychic"})
    assert "quorum, sync, plain" in caught.value.hint


def test_kazoo_is_loaded_only_by_who_talks_to_zookeeper() -> None:
    """Naming the system does not pay for its client."""
    code = "import sys, clusters.zookeeper; sys.exit('kazoo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("mode", "role", "leader"),
    [("leader", "leader", "n1"), ("follower", "follower", None), ("standalone", "leader", "n1")],
)
def test_a_server_that_serves_tells_its_role(
    monkeypatch: pytest.MonkeyPatch, mode: str, role: str, leader: str | None
) -> None:
    """The term is the epoch on its disk, not that of its last transaction, which may be an older one."""
    assert status(monkeypatch, Node("3\n"), SERVING.format(mode)) == NodeStatus(
        role, 3, leader, 0x200000005, atomic=True
    )


def test_a_server_that_looks_for_a_leader_is_a_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    """It serves nobody, and knows of no leader."""
    assert status(monkeypatch, Node("3"), LOOKING) == NodeStatus("candidate", 3, atomic=True)


def test_a_role_is_never_paired_with_another_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the epoch changes around the answer, the server is asked again."""
    replies = SERVING.format("leader"), SERVING.format("follower")
    assert status(monkeypatch, Node("3", "4"), *replies) == NodeStatus("follower", 4, None, 0x200000005, atomic=True)
    with pytest.raises(OSError, match="changes all the time"):
        status(monkeypatch, Node(*map(str, range(9))), SERVING.format("leader"))


def test_only_refusals_of_the_leader_are_definite() -> None:
    """Sessions that ended, lost connections and time-outs are not in the table."""
    assert all(is_definite(code) for code in DEFINITE)
    assert not any(is_definite(code) for code in (-1, -4, -7, -112, -118, -122, -127))


def test_watches_are_offered_where_events_tell_their_transaction() -> None:
    """That is since 3.9; without it no delivery could be held against a change."""
    assert {version: "watch" in ZooKeeper(version).facets for version in ZooKeeper.versions} == {
        "3.8.0": False, "3.9.3": True, "3.9.6": True,
    }  # fmt: skip
