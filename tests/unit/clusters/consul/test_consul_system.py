"""The system Consul, as far as it goes without a cluster: options, and roles that belong to their term."""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple

import pytest

from clusters.consul import Consul, system
from harness.errors import UsageError
from harness.protocols import NodeStatus, System


class Node(NamedTuple):
    """As much of a node as a status needs."""

    name: str = "n1"
    ip: str = "127.0.0.1"


def said(state: str, term: int, leader: str = "") -> bytes:
    """Return /v1/agent/self, as far as it is read."""
    raft = {"state": state, "term": str(term), "applied_index": "9", "num_peers": "2"}
    return json.dumps({"Stats": {"raft": raft, "consul": {"leader_addr": leader}}, "Config": {}}).encode()


def answering(monkeypatch: pytest.MonkeyPatch, *replies: bytes) -> None:
    answers = list(replies)

    async def get(*_: object, **__: object) -> bytes:
        return answers.pop(0)

    monkeypatch.setattr(system, "get", get)


def test_it_is_a_system_and_refuses_what_it_does_not_know() -> None:
    """Versions and ways to read, before anything starts."""
    made: System = Consul()
    assert made.version == "1.8.7"
    with pytest.raises(UsageError, match=r"9\.9"):
        Consul("9.9")
    with pytest.raises(UsageError, match="psychic") as caught:
        Consul("", {"reads": "psychic"})
    assert "consistent, default, stale" in caught.value.hint


def test_a_role_is_never_paired_with_another_term(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a node says counts once two answers in a row had its term: the first may have been overtaken."""
    consul = Consul()
    consul._names = {"10.0.0.2:8300": "n2"}
    follower = said("Follower", 3, "10.0.0.2:8300")
    answering(monkeypatch, said("Leader", 3), follower, follower, said("Leader", 4), said("Candidate", 4))
    expected = NodeStatus("follower", 3, "n2", 9, atomic=True)
    assert asyncio.run(consul.status(Node())) == expected  # type: ignore[arg-type]
    assert asyncio.run(consul.status(Node())) == expected  # type: ignore[arg-type]
    assert asyncio.run(consul.status(Node())) == NodeStatus("candidate", 4, None, 9, atomic=True)  # type: ignore[arg-type]


def test_a_term_that_changes_all_the_time_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives up after a few answers."""
    answering(monkeypatch, *(said("Candidate", term) for term in range(10)))
    with pytest.raises(OSError, match="all the time"):
        asyncio.run(Consul().status(Node()))  # type: ignore[arg-type]
