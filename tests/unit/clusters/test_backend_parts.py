"""The backends' pure parts: subnets, image names, apt sources, scripts and what complaints mean."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters import engine, images, netns, subnets
from clusters.docker import hint_for
from clusters.node import require
from harness.errors import ClusterError, UsageError

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t01C8A80A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t00C8A80A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


def test_routes_are_read_without_the_default() -> None:
    """The kernel's hexadecimal table gives the routed networks; the default route forbids no subnet."""
    assert subnets.parse_routes(ROUTES) == [IPv4Network("10.168.200.0/24"), IPv4Network("172.17.0.0/16")]


@given(st.lists(st.integers(128, 223), max_size=60, unique=True))
def test_a_picked_subnet_overlaps_nothing(second_numbers: list[int]) -> None:
    """Whatever is routed, the picked /24 lies beside it."""
    taken = [IPv4Network(f"10.{number}.0.0/16") for number in second_numbers]
    subnet = subnets.pick(taken)
    assert subnet.prefixlen == 24
    assert not any(subnet.overlaps(other) for other in taken)


def test_the_hosts_own_mirror_serves_the_bootstrap() -> None:
    """Debian's own sources of the suite are taken with their mirror; third parties and other suites are not."""
    listing = """Debian|http://mirror.example/debian/|bookworm|main
Debian|http://mirror.example/debian/|bookworm-updates|main
Debian|http://mirror.example/debian/|bookworm|contrib
Debian|http://mirror.example/debian/|sid|main
Vendor|http://vendor.example/apt/|bookworm|main
odd line
"""
    assert images.parse_sources(listing) == [
        "deb http://mirror.example/debian/ bookworm main",
        "deb http://mirror.example/debian/ bookworm-updates main",
    ]
    assert images.parse_sources("Debian|http://mirror.example/debian/|trixie|main\n") == []


def test_the_image_is_named_by_what_it_is_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same Dockerfile has the same tag, another one another."""
    before = images.node_tag()
    assert images.node_tag() == before
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    monkeypatch.setattr(images, "FOLDER", tmp_path)
    assert images.node_tag() != before


@pytest.mark.parametrize(
    ("said", "reason", "remedy"),
    [
        ("Got permission denied while trying to connect to the Docker daemon socket", "may not use", "usermod"),
        (
            "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
            "no Docker engine",
            "start it",
        ),
        ("something new", "something new", "docker version"),
    ],
)
def test_what_docker_says_becomes_reason_and_remedy(said: str, reason: str, remedy: str) -> None:
    """Permission, a missing engine and anything unknown each get a reason and what to do."""
    why = engine.explain(said)
    assert reason in why.reason
    assert remedy in why.remedy


def test_a_full_engine_disk_has_its_own_hint() -> None:
    """ENOSPC from the engine leads to freeing space, other complaints to its log."""
    assert "free space" in hint_for("mkdir /var/lib/docker/x: no space left on device")
    assert "log" in hint_for("driver failed")


def test_every_node_is_linked_to_the_bridge() -> None:
    """The bridge carries the harness's address, and each pid gets one link on it."""
    script = netns.bridge_script("klab", "10.1.2.1", [71, 72]).splitlines()
    assert script[0] == "address add 10.1.2.1/24 dev klab"
    assert [line for line in script if "netns" in line] == [
        "link add klab-0 type veth peer name eth0 netns 71",
        "link add klab-1 type veth peer name eth0 netns 72",
    ]
    assert sum("master klab up" in line for line in script) == 2


def test_what_a_cluster_needs_is_checked_first(tmp_path: Path) -> None:
    """Too many nodes, a missing path and a relative one are refused with the reason."""
    require(["n1"], [tmp_path])
    with pytest.raises(UsageError, match="201 nodes"):
        require([str(number) for number in range(201)], [])
    for path in (tmp_path / "missing", Path("relative")):
        with pytest.raises(ClusterError, match="not there"):
            require(["n1"], [path])
