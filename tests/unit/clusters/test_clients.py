"""What a user may choose of a system, and what is said where the library of its client is not installed."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from clusters.choices import chosen_reads, chosen_version
from harness.errors import UsageError
from harness.registry import find_system

LIBRARIES = {"etcd": "grpc", "zookeeper": "kazoo", "nats": "nats", "redis": "redis"}


def without(library: str, package: str, patch: pytest.MonkeyPatch) -> None:
    """Let nothing of a library be importable, and forget what had imported it."""
    for name in list(sys.modules):
        if name == library or name.startswith((f"{library}.", f"{package}.")):
            patch.delitem(sys.modules, name)
    patch.setitem(sys.modules, library, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "library"), LIBRARIES.items())
def test_a_library_that_is_missing_is_named_with_what_installs_it(
    name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each facet of the system says so when it is made; the system itself is known without the library."""
    facets = find_system(name)("", {}).facets
    without(library, f"clusters.{name}", monkeypatch)
    node: Any = SimpleNamespace(ip="127.0.0.1", name="n1")
    for make in facets.values():
        with pytest.raises(UsageError, match=rf"the client of \w+ cannot be loaded: .*{library}") as missing:
            make(node, {})
        assert missing.value.hint == f"pip install 'kingslayer[{name}]'"


def test_choices_are_held_to_what_there_is() -> None:
    """The newest version and the usual way to read are chosen where nothing is said."""
    versions, reads = ("1.0", "2.0"), ("strong", "weak")
    assert [chosen_version(version, versions, "db") for version in ("", "1.0")] == ["2.0", "1.0"]
    with pytest.raises(UsageError, match=r"db 3\.0: not a version that we know") as wrong:
        chosen_version("3.0", versions, "db")
    assert wrong.value.hint == "choose one of 1.0, 2.0"
    assert [chosen_reads(options, reads, "db") for options in ({}, {"reads": "weak"})] == ["strong", "weak"]
    with pytest.raises(UsageError, match="reads='odd': db has no such reads"):
        chosen_reads({"reads": "odd"}, reads, "db")
