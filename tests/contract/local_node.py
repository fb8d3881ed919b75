"""A node on this host's loopback, for the contract tests: a real server process without machines around it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from clusters.agent.processes import thread_states
from harness.protocols import System


class LocalNode:
    """A node on this host's loopback: a real server process, and as much of the protocol as booting needs."""

    name = "n1"

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        # An address of this process alone, so that several of them run at once on a server's usual ports.
        self.ip = f"127.{64 + os.getpid() // 62_500 % 64}.{os.getpid() // 250 % 250}.{1 + os.getpid() % 250}"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: str = "server.log") -> int:
        with Path(self.folder, log).open("ab") as output:
            self.process = subprocess.Popen(argv, stdout=output, stderr=output, env=os.environ | (env or {}))
        return self.process.pid

    async def state(self) -> str:
        return "dead" if self.process is None or self.process.poll() is not None else "running"

    async def read(self, path: str, *, tail_bytes: int | None = None) -> bytes:
        found = Path(self.folder, path)
        return found.read_bytes()[-(tail_bytes or 0) :] if found.exists() else b""

    async def signal(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            while number == signal.SIGSTOP and set(thread_states(self.process.pid)) != {"T"}:
                await asyncio.sleep(0.001)  # a signal takes its time to reach every thread

    async def run(self, argv: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str]:
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, timeout=timeout_s, check=False)
        return done.returncode, done.stdout + done.stderr


@contextmanager
def booted(system: System, folder: Path) -> Iterator[LocalNode]:
    """Run a real server of one node for a while."""
    local = LocalNode(folder)
    try:
        asyncio.run(system.boot([local]))  # type: ignore[list-item]
        yield local
    finally:
        if local.process is not None:
            local.process.kill()
            local.process.wait()
