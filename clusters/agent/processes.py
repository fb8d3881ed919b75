"""Processes of a node: who descends from whom, what state they are in, and how the agent starts its own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

TOOL_TIMEOUT_S = 5.0
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

LIBC = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The request cannot be done; the message goes to the harness."""


def parse_stat(line: str) -> tuple[int, str]:
    """Return (parent's pid, state letter) of one /proc/PID/stat line; the name in brackets may hold anything."""
    state, parent = line.rpartition(")")[2].split()[:2]
    return int(parent), state


def parents() -> dict[int, int]:
    """Return every process's parent."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:  # it may end while we look
            found[int(name)] = parse_stat(file.read())[0]
    return found


def descendants(root: int, parent_of: dict[int, int]) -> set[int]:
    """Return the pids below `root` in a {pid: parent} table."""
    found, grew = {root}, True
    while grew:
        children = {pid for pid, parent in parent_of.items() if parent in found}
        grew = not children <= found
        found |= children
    return found - {root}


def thread_states(pid: int) -> list[str]:
    """Return the state letter of every thread of a process; empty where it is gone."""
    states = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/stat") as file:
                states.append(parse_stat(file.read())[1])
    return states


def judge(states: list[str]) -> str:
    """Say what a server that was not reaped yet is, from its threads' state letters: paused only if all stopped."""
    alive = [state for state in states if state not in "ZX"]
    return "paused" if alive and set(alive) == {"T"} else "running"


def die_with(agent_pid: int) -> None:
    """In a forked child: end with the agent, even with one that was killed with -9."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != agent_pid:
        os._exit(127)


def spawn(
    argv: list[str], folder: str, last: Callable[[], None] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own that dies with this process; `last` is called in it before its program."""
    agent_pid = os.getpid()

    def prepare() -> None:
        die_with(agent_pid)
        if last is not None:
            last()

    options.update(cwd=folder, stdin=subprocess.DEVNULL, start_new_session=True)
    return subprocess.Popen(argv, preexec_fn=prepare, **options)  # noqa: S603


def tool(argv: list[str], text: str = "") -> str:
    """Run one of the system's own quick tools to its end and return its output."""
    try:
        done = subprocess.run(argv, input=text.encode(), capture_output=True, timeout=TOOL_TIMEOUT_S)  # noqa: S603
    except FileNotFoundError:
        raise Refused(f"{argv[0]} is not installed on the node") from None
    if done.returncode:
        raise Refused(f"`{' '.join(argv)}` failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="replace")
