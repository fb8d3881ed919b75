"""Names that people type: systems, versions and backends, and what a wrong one says."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clusters.memory import Memory
from harness import registry
from harness.errors import ClusterError, UsageError
from harness.protocols import Unavailable
from harness.registry import BACKENDS, SYSTEMS, choose_backend, find_backend, find_system, split_system


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        ("etcd", "etcd", ""),
        ("etcd:3.5.1", "etcd", "3.5.1"),
        ("memory:", "memory", ""),
        ("my.module:System", "my.module:System", ""),
        ("my.module:System:2.0", "my.module:System", "2.0"),
        ("my.module:System:2.0:rc1", "my.module:System", "2.0:rc1"),
        ("unknown", "unknown", ""),
    ],
)
def test_split_system(text: str, name: str, version: str) -> None:
    """A system's name and version are told apart, for our own and for somebody else's."""
    assert split_system(text) == (name, version)


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_is_there(name: str) -> None:
    """Each listed system can be made, and has what the lists and the session need."""
    kind = find_system(name)
    assert kind.name == name
    assert 0 < len(kind.summary) <= 120
    system = kind("", {})
    assert system.version in kind.versions
    assert set(system.backends) <= set(BACKENDS)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_is_there(name: str) -> None:
    """Each listed backend can be made without doing anything yet."""
    backend: Any = find_backend(name)("test")
    assert backend.name == name


def test_a_system_of_somebody_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """module:Class is imported from the current folder."""
    (tmp_path / "their_coordinator.py").write_text("class Theirs: name = 'theirs'\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    assert find_system("their_coordinator:Theirs").name == "theirs"


@pytest.mark.parametrize(
    "name", ["nothing", "no_such_module:Class", "harness.errors:Nothing", ":", "a:", "broken_module:A"]
)
def test_an_unknown_system(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names it, and what to give instead; a module that fails is no bug of ours."""
    (tmp_path / "broken_module.py").write_text("1 / 0")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        find_system(name)
    assert repr(name) in caught.value.message
    assert "module:Class" in caught.value.hint


def test_an_unknown_backend() -> None:
    """The error names it and the known ones; one that the system cannot use says which it can."""
    with pytest.raises(UsageError, match="unknown backend 'cloud'") as caught:
        choose_backend("cloud", Memory(), "test")
    assert "docker, netns, memory" in caught.value.hint
    with pytest.raises(UsageError, match="memory does not run on docker") as caught:
        choose_backend("docker", Memory(), "test")
    assert caught.value.hint == "it runs on memory"


class Broken:
    """A backend that cannot work here."""

    def __init__(self, run_id: str) -> None: ...

    def probe(self) -> Unavailable:
        return Unavailable("no engine answers", "start it")


class Several(Memory):
    """A system that would rather run elsewhere."""

    backends = ("broken", "memory")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second backend, which does not work."""
    backends: Mapping[str, str] = {"broken": f"{__name__}:Broken", "memory": BACKENDS["memory"]}
    monkeypatch.setattr(registry, "BACKENDS", backends)


@pytest.mark.usefixtures("broken")
def test_the_first_backend_that_works_is_chosen() -> None:
    """One that cannot work here is passed over, but not where it was asked for."""
    assert choose_backend("", Several(), "test").name == "memory"
    with pytest.raises(ClusterError, match=r"no backend works here \(broken: no engine answers\)") as caught:
        choose_backend("broken", Several(), "test")
    assert caught.value.hint == "start it"
