"""The systems Redis and Redlock, as far as they go without a cluster."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import NamedTuple

import pytest

from clusters.redis import Redis, system
from clusters.redlock import Redlock
from harness.errors import InternalError, UsageError
from harness.protocols import HasStatus, NodeStatus, System


class Node(NamedTuple):
    """As much of a node as a status needs."""

    name: str = "n1"
    ip: str = "10.0.0.1"


@pytest.mark.parametrize("make", [Redis, Redlock])
def test_they_are_systems_and_refuse_what_they_do_not_know(make: type[Redis] | type[Redlock]) -> None:
    """Of versions, before anything starts."""
    made: System = make()
    assert made.version == "7.0.15"
    with pytest.raises(UsageError, match=r"9\.9"):
        make("9.9")


def test_redis_py_is_loaded_only_by_who_talks_to_redis() -> None:
    """Naming the systems does not pay for their client."""
    code = "import sys, clusters.redis, clusters.redlock; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"role": "master", "master_repl_offset": "7"}, NodeStatus("leader", None, "n1", 7)),
        (
            {"role": "slave", "master_host": "10.0.0.2", "slave_repl_offset": "5"},
            NodeStatus("follower", None, "n2", 5),
        ),
    ],
)
def test_a_role_has_no_term(monkeypatch: pytest.MonkeyPatch, said: dict[str, str], expected: NodeStatus) -> None:
    """Sentinel's epoch is of another moment than the role: pairing them would make up two leaders of one term."""

    async def ask(*_: object) -> dict[str, str]:
        return said

    monkeypatch.setattr(system, "ask", ask)
    redis = Redis()
    redis._names = {"10.0.0.1": "n1", "10.0.0.2": "n2"}
    assert asyncio.run(redis.status(Node())) == expected  # type: ignore[arg-type]


def test_redlock_has_no_leader_and_needs_its_servers() -> None:
    """Its servers know nothing of each other, and its lock is on all of them."""
    redlock = Redlock()
    assert not isinstance(redlock, HasStatus)
    with pytest.raises(InternalError):
        redlock.facets["lock"](Node(), {})  # type: ignore[arg-type]
