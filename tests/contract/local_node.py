"""A node on this host's loopback, for the contract tests: a real server process without machines around it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from clusters.agent.processes import thread_states
from harness.facets import Facet
from harness.protocols import System

OPEN_PATIENCE_S: Final = 20.0


class LocalNode:
    """A node on this host's loopback: a real server process, and as much of the protocol as booting needs.

    Args:
        folder: of its own.
        network: 64 or 128, for a second node of one process.
    """

    name = "n1"

    def __init__(self, folder: Path, network: int = 64) -> None:
        self.folder = str(folder)
        # An address of this process alone, so that several of them run at once on a server's usual ports.
        self.ip = f"127.{network + os.getpid() // 62_500 % 64}.{os.getpid() // 250 % 250}.{1 + os.getpid() % 250}"
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
            assert self.process.poll() is None, "the server has ended: does another one have its address?"
            self.process.send_signal(number)
            while number == signal.SIGSTOP and set(thread_states(self.process.pid)) != {"T"}:
                await asyncio.sleep(0.001)  # a signal takes its time to reach every thread

    async def run(self, argv: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str]:
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, timeout=timeout_s, check=False)
        return done.returncode, done.stdout + done.stderr


@contextmanager
def booted(
    system: System,
    folder: Path,
    network: int = 64,
    configured: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[LocalNode]:
    """Run a real server of one node for a while, which is started while it is `configured`."""
    local = LocalNode(folder, network)
    try:
        with configured():
            asyncio.run(system.boot([local]))  # type: ignore[list-item]
        yield local
    finally:
        if local.process is not None:
            local.process.kill()
            local.process.wait()


@asynccontextmanager
async def opened(
    system: System, node: LocalNode, facet: str, count: int = 1, **options: Any
) -> AsyncIterator[list[Any]]:
    """Clients of one facet on a node, open for a while."""
    made: list[Any] = [system.facets[facet](node, options) for _ in range(count)]  # type: ignore[arg-type]
    await asyncio.gather(*map(open_patiently, made))
    try:
        yield made
    finally:
        await asyncio.gather(*(each.close() for each in made))


async def open_patiently(facet: Facet) -> None:
    """Open a client of a server that is there, however busy this host is: a client itself gives up sooner."""
    async with asyncio.timeout(OPEN_PATIENCE_S):
        while True:
            try:
                await facet.open()
                return
            except OSError:
                await facet.close()
