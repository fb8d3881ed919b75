"""The client process: makes facets and does their calls, for the harness that started it and only as long as it lives.

It speaks frames on stdin and stdout; the first message that it gets is a Setting.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from harness.errors import Indefinite, OpError
from harness.hosts.frames import ALIVE, Answer, Ask, Cancel, Forget, Make, decode, encode
from harness.registry import find_system

_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True)
class Address:
    """As much of a node as a facet needs."""

    name: str
    ip: str
    folder: str


class Setting(NamedTuple):
    """What facets are made from.

    Attributes:
        harness: pid of the harness.
        system, version: of the system.
        options: of the run.
        nodes: by name.
    """

    harness: int
    system: str
    version: str
    options: Mapping[str, Any]
    nodes: Mapping[str, Address]


class _Alive:
    async def alive(self) -> None: ...


class _Child:
    def __init__(self, setting: Setting, writer: asyncio.StreamWriter) -> None:
        self._setting = setting
        self._factories = find_system(setting.system)(setting.version, setting.options).facets
        self._writer = writer
        self._facets: dict[int, Any] = {ALIVE: _Alive()}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def take(self, message: Make | Ask | Cancel | Forget) -> None:
        if isinstance(message, Make):
            node = self._setting.nodes[message.node]
            self._facets[message.facet] = self._factories[message.name](node, self._setting.options)
        elif isinstance(message, Ask):
            task = asyncio.create_task(self._do(message))
            self._tasks[message.number] = task
            task.add_done_callback(lambda _: self._tasks.pop(message.number))
        elif isinstance(message, Cancel):
            if message.number in self._tasks:
                self._tasks[message.number].cancel()
        else:
            task = asyncio.create_task(self._facets.pop(message.facet).close())
            self._closing.add(task)
            task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled():
            task.exception()  # what closing says changes nothing

    async def _do(self, ask: Ask) -> None:
        try:
            result = getattr(self._facets[ask.facet], ask.method)(*ask.args)
            if isinstance(result, AsyncIterator):
                async for item in result:
                    self._say(Answer(ask.number, item, last=False))
                    await self._writer.drain()
                self._say(Answer(ask.number))
            else:
                self._say(Answer(ask.number, await result))
        except asyncio.CancelledError:
            self._say(Answer(ask.number, error=Indefinite("cancelled")))
            raise
        except Exception as error:  # whatever a facet raises is the harness's to judge
            self._say(Answer(ask.number, error=_portable(error)))

    def _say(self, answer: Answer) -> None:
        self._writer.write(encode(answer))


def _portable(error: Exception) -> Exception:
    """Return an error that can be pickled: one of ours, or its name and words in an Indefinite."""
    if isinstance(error, OpError) and type(error).__module__ == "harness.errors":
        return error
    return Indefinite(f"{type(error).__name__}: {error}")


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(1, "wb"))
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    setting: Setting = await decode(reader)
    # a client that is frozen cannot see that its harness is gone: the kernel ends it
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != setting.harness:
        return
    child = _Child(setting, writer)
    writer.write(encode(Answer(0)))
    while True:
        try:
            child.take(await decode(reader))
        except asyncio.IncompleteReadError:
            return


def main() -> None:
    """Serve until the harness is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the harness
    asyncio.run(_serve())
