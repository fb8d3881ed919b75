"""The system NATS, as far as it goes without a cluster: options, outcomes, and what its servers say."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from clusters.nats import Nats, system
from clusters.nats.connection import Answered
from clusters.nats.outcomes import DEFINITE, is_definite
from harness.errors import ClusterError, UsageError
from harness.protocols import NodeStatus, System
from tests.virtual_time import run


class Node(NamedTuple):
    """As much of a node as a status needs."""

    name: str = "n1"
    ip: str = "127.0.0.1"


def status(monkeypatch: pytest.MonkeyPatch, version: str, reply: object) -> NodeStatus:
    async def get(*_: object, **__: object) -> bytes:
        return json.dumps(reply).encode()

    monkeypatch.setattr(system, "get", get)
    nats = Nats(version)
    nats._names = {system._peer_id(name): name for name in ("n1", "n2")}
    return asyncio.run(nats.status(Node()))  # type: ignore[arg-type]


def test_it_is_a_system_and_refuses_what_it_does_not_know() -> None:
    """Versions and ways to read, before anything starts."""
    made: System = Nats()
    assert made.version == "2.15.1"
    with pytest.raises(UsageError, match=r"9\.9"):
        Nats("9.9")
    with pytest.raises(UsageError, match="psychic") as caught:
        Nats("", {"reads": "psychic"})
    assert "leader, direct" in caught.value.hint


def test_nats_py_is_loaded_only_by_who_talks_to_nats() -> None:
    """Naming the system does not pay for its client."""
    code = "import sys, clusters.nats; sys.exit('nats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_streams_raft_tells_all_at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Role, term, leader and applied index of the stream's group, and not of the cluster's."""
    stream = {"state": "FOLLOWER", "term": 4, "leader": system._peer_id("n2"), "applied": 9, "committed": 9}
    meta = {"state": "LEADER", "term": 7, "leader": system._peer_id("n1"), "applied": 1}
    reply = {"$G": {"S-R3F-x": stream}, "$SYS": {"_meta_": meta}}
    assert status(monkeypatch, "2.15.1", reply) == NodeStatus("follower", 4, "n2", 9)
    with pytest.raises(OSError, match="0 streams"):
        status(monkeypatch, "2.15.1", {"$SYS": {"_meta_": meta}})


def test_an_older_version_tells_the_leader_and_no_term(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not say is not made up."""
    reply = {"account_details": [{"stream_detail": [{"name": "KV_kingslayer", "cluster": {"leader": "n1"}}]}]}
    assert status(monkeypatch, "2.9.10", reply) == NodeStatus("leader", None, "n1")
    reply["account_details"][0]["stream_detail"][0]["cluster"] = {}
    assert status(monkeypatch, "2.9.10", reply) == NodeStatus("follower", None, None)


class Founding:
    """A node of which all that a boot does to it is kept, and what connects to it: some foundings lack a peer."""

    name, ip, folder = "n1", "127.0.0.1", "/nowhere"

    def __init__(self, lacking: int, state: str) -> None:
        self.lacking, self._state = lacking, state
        self.did: list[str] = []

    async def run(self, argv: Sequence[str]) -> tuple[int, str]:
        self.did.append("configure")
        return 0, ""

    async def start(self, argv: Sequence[str], *, log: str) -> None:
        self.did.append("start")

    async def state(self) -> str:
        return self._state

    async def read(self, path: str, *, tail_bytes: int) -> bytes:
        return b"bye"

    async def wipe(self) -> None:
        self.did.append("wipe")

    async def call(self, subject: str, question: object) -> None:
        if self.did.count("start") <= self.lacking:
            raise Answered(10005, "no suitable peers for placement")

    async def publish(self, subject: str, payload: bytes) -> None:
        self.did.append("publish")

    async def close(self) -> None:
        self.did.append("close")

    def load(self, module: str, name: str) -> object:
        return lambda address: self

    def address(self, node: object) -> str:
        return "127.0.0.1:4222"


def boot(monkeypatch: pytest.MonkeyPatch, lacking: int, state: str = "running") -> list[str]:
    """Boot a node of which so many foundings lack a peer for good, and return what was done to it."""

    async def get(*_: object, **__: object) -> bytes:
        if state == "dead":
            raise OSError("connection refused")
        return b"{}"

    node, nats = Founding(lacking, state), Nats()
    faked = {"get": get, "install": lambda _: Path("/nats-server"), "CLIENTS": node}
    with monkeypatch.context() as patch:
        for name, value in faked.items():
            patch.setattr(system, name, value)
        try:
            run(nats.boot([node]))  # type: ignore[list-item]
        except ClusterError as error:
            return [*node.did, str(error)]
    return node.did


FOUNDED = ["configure", "start", "publish", "close"]
LOST = ["configure", "start", "close", "wipe"]


def test_a_founding_that_lacks_a_peer_for_good_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """On wiped nodes, and a bounded number of times, after which it is told why."""
    assert boot(monkeypatch, 0) == FOUNDED
    assert boot(monkeypatch, 1) == [*LOST, *FOUNDED]
    assert boot(monkeypatch, 2) == [*LOST, *LOST, *FOUNDED]
    *did, error = boot(monkeypatch, 3)
    assert did == [*LOST, *LOST, "configure", "start", "close"]
    assert "no suitable peers" in error


def test_a_server_that_ends_in_a_founding_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash is not hidden by another try."""
    *did, error = boot(monkeypatch, 0, state="dead")
    assert did == ["configure", "start"]
    assert "its server ended" in error


def test_only_refusals_are_definite() -> None:
    """Codes that a leader may answer while the message is on its way are not in the table."""
    assert all(is_definite(code) and DEFINITE[code] for code in DEFINITE)
    assert not any(is_definite(code) for code in (0, 10008, 10023, 10077, 10158))
