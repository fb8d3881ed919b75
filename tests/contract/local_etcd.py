"""A real etcd of one member on this host's loopback, for the contract tests of its clients."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clusters.etcd import Etcd
from clusters.etcd.system import CLIENT_PORT


class LocalNode:
    """A node on this host's loopback: a real server process, and as much of the protocol as booting needs."""

    name = "n1"

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        # An address of this process alone, so that several of them run at once on etcd's usual ports.
        self.ip = f"127.{64 + os.getpid() // 62_500 % 64}.{os.getpid() // 250 % 250}.{1 + os.getpid() % 250}"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: str = "server.log") -> int:
        with Path(self.folder, log).open("ab") as output:
            self.process = subprocess.Popen(argv, stdout=output, stderr=output, env=env)
        return self.process.pid

    async def state(self) -> str:
        return "dead" if self.process is None or self.process.poll() is not None else "running"

    async def read(self, path: str, *, tail_bytes: int | None = None) -> bytes:
        return Path(self.folder, path).read_bytes()[-(tail_bytes or 0) :]

    async def signal(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)


@contextmanager
def booted(folder: Path) -> Iterator[LocalNode]:
    """Boot it in a folder of its own, and end it."""
    local = LocalNode(folder)
    try:
        asyncio.run(Etcd().boot([local]))  # type: ignore[list-item]
        yield local
    finally:
        if local.process is not None:
            local.process.kill()
            local.process.wait()


async def ask(node: LocalNode, path: str, body: Mapping[str, Any]) -> Any:
    """Ask etcd by its JSON gateway, which is none of our code."""

    def post() -> Any:
        data = json.dumps(body).encode()
        with urllib.request.urlopen(f"http://{node.ip}:{CLIENT_PORT}{path}", data, timeout=5) as reply:
            return json.load(reply)

    return await asyncio.to_thread(post)


async def version(node: LocalNode, key: bytes) -> int:
    """Return etcd's own count of the writes to a key since it was created."""
    reply = await ask(node, "/v3/kv/range", {"key": base64.b64encode(key).decode()})
    pairs = reply.get("kvs", [])
    return int(pairs[0]["version"]) if pairs else 0
