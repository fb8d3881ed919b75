"""A Drive in virtual time, with clients that tests write as one function."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

from harness.generator import Generator
from harness.history import History
from harness.op import Call, Op
from harness.protocols import Client
from harness.recorder import Recorder
from harness.worker import Drive
from tests.virtual_time import now_ns

TIMEOUT_S = 0.1

Invoke = Callable[[Call], Awaitable[Any]]


class Do:
    """A client of one function; it counts what is done with it.

    Args:
        invoke: what an invoke does.
        log: gets "open" and "close".
    """

    def __init__(self, invoke: Invoke, log: list[str] | None = None) -> None:
        self._invoke = invoke
        self._log = [] if log is None else log

    async def open(self) -> None:
        self._log.append("open")

    async def close(self) -> None:
        self._log.append("close")

    async def invoke(self, call: Call) -> Any:
        return await self._invoke(call)


class Stage:
    """One recorder and one Drive; `drive` may be called several times."""

    def __init__(
        self, folder: Path, client: Callable[[str], Client], concurrency: int = 1, nemesis: Client | None = None
    ) -> None:
        self.path = folder / "history.jsonl"
        self.recorder = Recorder(self.path, now_ns)
        self.drive_ = Drive(self.recorder, ("n1", "n2", "n3"), client, nemesis, concurrency, TIMEOUT_S)
        self.stop = asyncio.Event()

    async def drive(self, generator: Generator) -> list[Op]:
        """Drive to the end or to the stop; return all events so far, as they are on the disk."""
        await self.drive_.run(generator, Random(1), self.stop)
        return list(History.load(self.path).events)

    async def close(self) -> None:
        """Close clients and file."""
        await self.drive_.close()
        self.recorder.close()


def seconds(op: Op) -> float:
    """When an event happened."""
    return op.time / 1e9
