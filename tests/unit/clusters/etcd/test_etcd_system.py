"""The system etcd, as far as it goes without a cluster: versions, options, imports."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import NamedTuple

import pytest

from clusters.etcd import Etcd
from harness.errors import UsageError
from harness.protocols import System


class Address(NamedTuple):
    """As much of a node as a facet needs."""

    ip: str = "127.0.0.1"


def test_it_is_a_system_and_its_default_is_the_newest() -> None:
    """Without a version the newest is taken, by number and not by text."""
    system: System = Etcd()
    assert system.version == "3.5.30"
    assert sorted(Etcd.versions, key=lambda version: [int(part) for part in version.split(".")]) == list(Etcd.versions)


def test_an_unknown_version_names_the_known_ones() -> None:
    """A wrong version is the user's to correct, and the hint has what can be written."""
    with pytest.raises(UsageError) as caught:
        Etcd("9.9.9")
    assert "9.9.9" in caught.value.message
    assert all(version in caught.value.hint for version in Etcd.versions)


def test_a_wrong_way_to_read_is_refused_before_anything_starts() -> None:
    """Both the system and the facet refuse it, and name the right ones."""
    with pytest.raises(UsageError, match="sloppy"):
        Etcd("", {"reads": "sloppy"})
    with pytest.raises(UsageError) as caught:
        Etcd.facets["register"](Address(), {"reads": "sloppy"})  # type: ignore[arg-type]
    assert "linearizable, serializable" in caught.value.hint


def test_options_of_others_are_left_alone() -> None:
    """The run's options are shared with the workload; etcd takes its own."""
    assert Etcd("3.4.23", {"keys": 5, "reads": "serializable"}).version == "3.4.23"


def test_grpc_is_loaded_only_by_who_talks_to_etcd() -> None:
    """Naming the system, as `kingslayer systems` does, does not pay for grpc."""
    code = "import sys, clusters.etcd; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("panic: runtime error: index out of range", "panic"),
        ("fatal error: concurrent map writes", "panic"),
        ('{"level":"panic","ts":"…","caller":"mvcc/kvstore.go:1","msg":"failed to put a key"}', "panic"),
        ('{"level":"fatal","ts":"…","msg":"failed to purge wal file"}', "fatal error"),
        ('{"level":"warn","ts":"…","msg":"alarm raised","alarm":"CORRUPT","from":"1"}', "corruption"),
        ('{"level":"fatal","ts":"…","msg":"discovery failed","error":"bind: address already in use"}', None),
        ('{"level":"panic","ts":"…","msg":"failed to save","error":"no space left on device"}', None),
        ('{"level":"info","ts":"…","msg":"starting an etcd server","initial-corrupt-check":false}', None),
        ('{"level":"warn","ts":"…","msg":"lost TCP streaming connection with remote peer"}', None),
        ('{"level":"info","ts":"…","msg":"repaired WAL file","path":"0.wal"}', None),
        ('{"level":"info","ts":"…","msg":"value is {\\"level\\": fatal}"}', None),
    ],
)
def test_lines_that_no_log_of_etcd_may_have(line: str, found: str | None) -> None:
    """Panics, fatal errors and corruption are found; what faults and full disks explain is not."""
    names = [name for name, pattern in Etcd.log_patterns.items() if re.search(pattern, line)]
    assert names == ([] if found is None else [found])
