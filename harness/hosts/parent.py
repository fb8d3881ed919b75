"""The harness's end of client processes: facets that look like any other, and whose calls are done over there.

A process that is stopped (SIGSTOP) falls silent in the middle of whatever its clients do, background threads of client
libraries included; a pause inside the harness could not do that. Calls wait meanwhile, and time out as `info`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from typing import Any, Final

from harness.config import RunConfig
from harness.errors import ClusterError, Indefinite
from harness.hosts.child import Address, Setting
from harness.hosts.frames import ALIVE, Answer, Ask, Cancel, Forget, Make, decode, encode
from harness.protocols import Node

START_S: Final = 20.0
COMMAND: Final = (sys.executable, "-c", "from harness.hosts.child import main; main()")

_GONE: Final = "the client process is gone"


class Host:
    """One client process.

    Attributes:
        name: c1, c2, …
        pid: of the process.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Queue[Answer]] = {}
        self._gone = False
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, name: str, setting: Setting) -> Host:
        """Start a process, and wait until it can make facets.

        Raises:
            ClusterError: it never answers.
        """
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the harness
        )
        host = cls(name, process)
        ready = host.expect(0)
        host.send(setting)
        try:
            async with asyncio.timeout(START_S):
                answer = await ready.get()
        except TimeoutError:
            answer = Answer(0, error=Indefinite(f"no answer within {START_S:g} s"))
        except BaseException:
            await host.end()
            raise
        if answer.error is not None:
            await host.end()
            raise ClusterError(f"client process {name} did not start: {answer.error}", "its last words are above")
        return host

    def number(self) -> int:
        """Return a number that no call or facet had before."""
        return next(self._numbers)

    def expect(self, number: int) -> asyncio.Queue[Answer]:
        """Return where the answers to a call will come in."""
        queue = self._waiting[number] = asyncio.Queue()
        return queue

    def forget(self, number: int) -> None:
        """Take no more answers to a call."""
        self._waiting.pop(number, None)

    def send(self, message: Any) -> None:
        """Send a message; a process that is gone gets none.

        Raises:
            ConnectionError: it is gone.
        """
        if self._gone:
            raise ConnectionError(_GONE)
        assert self._process.stdin is not None
        self._process.stdin.write(encode(message))

    def signal(self, number: int) -> None:
        """Send a signal to the process; one that is gone gets none."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def state(self) -> str:
        """Return running, paused or dead, as the kernel has it."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                letter = file.read().rpartition(b")")[2].split()[0]
        except OSError:
            return "dead"
        return {b"T": "paused", b"Z": "dead", b"X": "dead"}.get(letter, "running")

    async def end(self) -> None:
        """End the process, frozen or not."""
        self.signal(signal.SIGKILL)
        await self._process.wait()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while True:
                answer: Answer = await decode(self._process.stdout)
                if queue := self._waiting.get(answer.number):
                    queue.put_nowait(answer)
        except asyncio.IncompleteReadError:
            self._gone = True
            for number, queue in self._waiting.items():
                queue.put_nowait(Answer(number, error=Indefinite(_GONE)))


class HostedFacet:
    """A facet of any kind whose calls are done in a client process."""

    def __init__(self, host: Host, name: str, node: str) -> None:
        self._host = host
        self._facet = host.number()
        self._made = Make(self._facet, name, node)

    async def open(self) -> None:
        """Make it over there, and open it."""
        self._host.send(self._made)
        await _Pending(self._host, self._facet, "open", ())

    async def close(self) -> None:
        """Close it over there, as soon as that process runs."""
        with contextlib.suppress(ConnectionError):
            self._host.send(Forget(self._facet))

    async def alive(self) -> None:
        """Return as soon as its process runs: what a client does after this, it does as one that is not frozen."""
        await _Pending(self._host, ALIVE, "alive", ())

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *args: _Pending(self._host, self._facet, method, args)


class _Pending:
    """A call that begins when it is awaited, or iterated over: a coroutine or an asynchronous generator, as used."""

    def __init__(self, host: Host, facet: int, method: str, args: tuple[Any, ...]) -> None:
        self._host = host
        self._ask = Ask(host.number(), facet, method, args)
        self._stream: AsyncGenerator[Any, None] | None = None

    def __await__(self) -> Generator[Any, None, Any]:
        return self._once().__await__()

    async def _once(self) -> Any:
        with self._asked() as answers:
            return _value(await answers.get())

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self._stream is None:
            self._stream = self._items()
        return await anext(self._stream)

    async def aclose(self) -> None:
        """Leave the stream, as one leaves an asynchronous generator."""
        if self._stream is not None:
            await self._stream.aclose()

    async def _items(self) -> AsyncGenerator[Any, None]:
        with self._asked() as answers:
            while not (answer := await answers.get()).last:
                yield _value(answer)
            _value(answer)

    @contextlib.contextmanager
    def _asked(self) -> Iterator[asyncio.Queue[Answer]]:
        """Make the call, and give it up over there when it is left early; one that has ended does not mind."""
        number = self._ask.number
        answers = self._host.expect(number)
        try:
            self._host.send(self._ask)
            yield answers
        finally:
            self._host.forget(number)
            with contextlib.suppress(ConnectionError):
                self._host.send(Cancel(number))


def _value(answer: Answer) -> Any:
    if answer.error is not None:
        raise answer.error
    return answer.value


class Hosts:
    """The client processes of a run; facets are dealt out to them in turn.

    Attributes:
        hosts: by name.
    """

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self._turn: Iterator[Host] = iter(())

    async def start(self, count: int, config: RunConfig, nodes: Sequence[Node]) -> None:
        """Start `count` processes.

        Raises:
            ClusterError: one does not start.
        """
        addresses = {node.name: Address(node.name, node.ip, node.folder) for node in nodes}
        setting = Setting(os.getpid(), config.system, config.version, dict(config.options), addresses)
        names = [f"c{number}" for number in range(1, count + 1)]
        started = await asyncio.gather(*(Host.start(name, setting) for name in names), return_exceptions=True)
        self.hosts = {host.name: host for host in started if isinstance(host, Host)}
        self._turn = itertools.cycle(self.hosts.values())
        for failed in started:
            if isinstance(failed, BaseException):
                raise failed

    def facet(self, name: str, node: str) -> HostedFacet:
        """Return an unopened facet of a node, in the process whose turn it is."""
        return HostedFacet(next(self._turn), name, node)

    async def end(self) -> None:
        """End all processes."""
        hosts, self.hosts = self.hosts, {}
        await asyncio.gather(*(host.end() for host in hosts.values()))
