"""What faults may change of a node, as the kernel tells it: equal before the first fault and after the last heal."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence

from clusters.agent.processes import Refused, thread_states, tool

QUEUES = "/proc/net/netfilter/nfnetlink_queue"


def network() -> dict[str, list[str]]:
    """Return the firewall's rules, and the numbers of the queues that packets are held in."""
    rules: list[str] = []
    with contextlib.suppress(Refused):  # no iptables here, so no rule of ours
        rules = tool(["iptables", "-S"]).splitlines()
    return {"rules": rules, "queues": [f"queue {line.split()[0]}" for line in lines(QUEUES)]}


def mounts() -> dict[str, str]:
    """Return every mount, by what is told of it (where, options, what, type), with the place where it is."""
    found = {}
    for line in lines("/proc/self/mountinfo"):
        place, _, kind = line.partition(" - ")
        root, point, options = place.split()[3:6]
        found[f"{point} {options} of {root} on {kind}"] = point
    return found


def own_mounts(folder: str, inherited: Collection[str]) -> list[str]:
    """Return the mounts of a node's folder, and all that it did not inherit.

    A namespace starts with copies of the host's mounts, which go when the host removes their places.
    """
    found = mounts().items()
    return sorted(told for told, point in found if f"{point}/".startswith(f"{folder}/") or told not in inherited)


def limits(pid: int) -> list[str]:
    """Return the limits of a process: name, soft, hard, unit."""
    return [" ".join(line.split()) for line in lines(f"/proc/{pid}/limits")[1:]]


def held(pids: Collection[int]) -> list[str]:
    """Return in which ways the server's processes are held up: a thread is stopped, or traced."""
    ways = ["a process of the server is stopped" for pid in pids if "T" in thread_states(pid)]
    traced = [line for pid in pids for line in lines(f"/proc/{pid}/status") if line.startswith("TracerPid:")]
    return ways + ["a process of the server is traced" for line in traced if line.split()[1] != "0"]


def names(pids: Collection[int]) -> list[str]:
    """Return what processes are called; those that have ended are left out."""
    return sorted(name for pid in pids for name in lines(f"/proc/{pid}/comm"))


def lines(path: str) -> Sequence[str]:
    """Return a file's lines; none where there is no such file, or no more."""
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError:
        return []
