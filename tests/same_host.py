"""The host is the same before and after a session of tests: its clock, firewall, links, mounts, devices, containers.

What living runs of somebody else have is left out, and what the engine mounts: its containers are looked at instead.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from clusters import engine, owner

STEP_NS_MAX = 20_000_000
PATIENCE_S = 20.0
"""What others start and remove meanwhile is gone by then."""

ENGINE = ("/var/lib/docker/", "/run/docker/", "/var/run/docker/")
TABLES = (["iptables", "-S"], ["iptables", "-t", "nat", "-S"], ["iptables", "-t", "mangle", "-S"], ["ip6tables", "-S"])

DEAD = "containers and networks of dead runs"
"""Instead of the rules and links that a network comes with: those of the living are their own business."""

State = Mapping[str, frozenset[str]]


def wall_ns() -> int:
    """Return how far the time of day is ahead of the monotonic clock: a constant, unless somebody sets the clock."""
    looks = []
    for _ in range(10):
        before = time.monotonic_ns()
        now = time.time_ns()
        after = time.monotonic_ns()
        looks.append((after - before, now - (before + after) // 2))
    return min(looks)[1]


def state() -> State:
    """Return what the host has, without the engine's rules and links for networks of this project: see DEAD."""
    bridges = {f"br-{identity[:12]}": subnet for identity, subnet in networks().items()}
    theirs = [word for pair in bridges.items() for word in pair]
    return {
        "firewall": frozenset(rule for rule in firewall() if not any(word in rule for word in theirs)),
        "links": frozenset(name for name in links() if name not in bridges and bridge_of(name) not in bridges),
        "mounts": frozenset(mounts()),
        "loop devices": frozenset(loops()),
        "network namespaces": frozenset(path.name for path in Path("/run/netns").glob("*")),
        DEAD: frozenset(of_the_dead()),
    }


def firewall() -> list[str]:
    """Return every rule of every table; none of those that this user may not read."""
    rules = []
    for argv in TABLES:
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
        except FileNotFoundError:
            continue
        rules += [f"{' '.join(argv[:-1])} {line}" for line in done.stdout.splitlines()]
    return rules


def links() -> list[str]:
    """Return the names of the network's devices."""
    return [name for _, name in socket.if_nameindex()]


def bridge_of(name: str) -> str:
    """Return the bridge that a device is a port of; empty where it is none's."""
    master = Path("/sys/class/net", name, "master")
    return master.resolve().name if master.exists() else ""


def mounts() -> list[str]:
    """Return where something is mounted, what, and whether it can be written; without what the engine has."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, kind = line.partition(" - ")
        point, options = place.split()[4:6]
        if not point.startswith(ENGINE):
            found.append(f"{point} {options.split(',')[0]} {' '.join(kind.split()[:2])}")
    return found


def loops() -> list[str]:
    """Return what loop devices stand for, but for those whose file is in the folder of a living run."""
    files = [path.read_text().strip() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    return [file for file in files if (made_by := owner.signer(Path(file).parent)) is None or owner.gone(made_by)]


def rows() -> list[dict[str, Any]]:
    """Return the engine's containers and networks that are of this project; none where there is no engine."""
    if not isinstance(engine.look(), str):
        return []
    ours = {"label": f"{owner.PREFIX}run"}
    with closing(engine.connect()) as client:
        return [*client.api.containers(all=True, filters=ours), *client.api.networks(filters=ours)]


def of_the_dead() -> list[str]:
    """Return containers and networks that nobody is there for any more."""
    return [
        str(row.get("Name") or row["Names"][0])
        for row in rows()
        if (made_by := owner.parse(row["Labels"] or {})) is not None and owner.gone(made_by)
    ]


def networks() -> dict[str, str]:
    """Return the engine's networks of this project with their subnets."""
    return {row["Id"]: row["IPAM"]["Config"][0]["Subnet"] for row in rows() if "IPAM" in row}


def differences(before: State, after: State) -> list[str]:
    """Return in words what the host has and had not, or had and has not."""
    return [
        f"{part}: {verb} {item}"
        for part in before
        for verb, items in (("new is", after[part] - before[part]), ("gone is", before[part] - after[part]))
        for item in sorted(items)
        if (part, verb) != (DEAD, "gone is")  # what was left before may well be cleaned up
    ]


class SameHost:
    """Compares the host at the beginning and at the end; a difference fails the session, and is named."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self.patience_s = patience_s
        self.before: State = {}
        self.wall_ns = 0
        self.wrong: list[str] = []

    def pytest_sessionstart(self) -> None:
        """Look how the host is."""
        self.before, self.wall_ns = state(), wall_ns()

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Look whether it is still so, until it is, for a while."""
        deadline = time.monotonic() + self.patience_s
        while (wrong := differences(self.before, state())) and time.monotonic() < deadline:
            time.sleep(0.5)
        step_ns = wall_ns() - self.wall_ns
        if abs(step_ns) > STEP_NS_MAX:
            wrong.append(f"clock: it was set by {step_ns / 1e6:+.0f} ms")
        self.wrong = wrong
        if wrong:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what differs."""
        if self.wrong:
            terminalreporter.section("the host is not as it was before these tests", red=True)
            for line in self.wrong:
                terminalreporter.line(line)
