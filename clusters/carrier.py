"""The harness's end of a node agent: a local subprocess that carries it, JSON lines on its pipes, one reader task.

Only the argv differs between backends (`docker exec -i …`, `unshare …`, `ssh …`). The agent's files go first, over
stdin, to a loader of a few lines: no file of ours is on the node.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import itertools
import json
import os
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

from harness.errors import ClusterError

LINE_BYTES_MAX = 16 << 20  # asyncio's own limit, 64 KiB, is less than one piece of a log
HELLO_TIMEOUT_S = 20.0
CALL_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 3.0
AGENT = Path(__file__).with_name("agent")
LOADER = """
import json, sys
from importlib.machinery import ModuleSpec
class Travelled:
    sources = json.loads(sys.stdin.buffer.read(SIZE))
    def find_spec(self, name, path, target=None):
        if name in self.sources:
            return ModuleSpec(name, self, origin=name, is_package=name in ("clusters", "clusters.agent"))
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(compile(self.sources[module.__name__], module.__name__, "exec"), module.__dict__)
sys.meta_path.insert(0, Travelled())
from clusters.agent.main import main
main()
"""
"""What the node's Python runs: imports that find the agent's files, which come first on stdin."""

HINTS = {
    errno.ENOSPC: "free space on the disk that holds the node's folder (Docker: the engine's data root; netns: TMPDIR)",
    errno.EDQUOT: "the disk quota is used up: free space where the node's folder is",
    errno.EACCES: "the node may not do that: see the file's rights",
    errno.ENOENT: "see that the file is there: nodes read only the host's paths that up() was given",
}


class AgentGone(ClusterError):
    """A node's agent ended or its carrier was cut, so the node is gone: see its last words, then run again."""


class Carrier:
    """One agent, ready for calls; belongs to the event loop that opened it."""

    def __init__(self, who: str, process: asyncio.subprocess.Process, words: BinaryIO) -> None:
        self.who = who
        self.pid = process.pid
        self._process = process
        self._words = words
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._gone: AgentGone | None = None
        self._hello: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())
        _open_carriers.add(self)

    @classmethod
    async def open(cls, prefix: Sequence[str], who: str, *, python: str = "python3") -> Self:
        """Start an agent and wait for its first word.

        Args:
            prefix: the argv that runs what follows it on the node.
            who: the node's name, for messages.
            python: the node's interpreter.

        Raises:
            ClusterError: the carrier cannot be started, or the agent never answers.
        """
        sources = json.dumps(_sources()).encode()
        loader = LOADER.replace("SIZE", str(len(sources)))
        words = tempfile.TemporaryFile()  # noqa: SIM115 # lives as long as the carrier
        try:
            process = await asyncio.create_subprocess_exec(
                *[*prefix, python, "-ISuc", loader],
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=words,
                limit=LINE_BYTES_MAX,
                start_new_session=True,  # Ctrl-C is for the harness, not for the carrier
            )
        except BaseException as error:
            words.close()
            if not isinstance(error, OSError):
                raise
            said = f"{who}: {prefix[0]} cannot be started: {error.strerror}"
            raise ClusterError(said, HINTS.get(error.errno or 0, "")) from error
        carrier = cls(who, process, words)
        try:
            assert process.stdin is not None
            process.stdin.write(sources)
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                await carrier._hello
        except TimeoutError:
            await carrier.close(timeout_s=0)
            raise ClusterError(f"{who}: the agent did not answer within {HELLO_TIMEOUT_S:g} s", OVERLOADED) from None
        except BaseException:
            await carrier.close(timeout_s=0)
            raise
        return carrier

    async def call(self, cmd: str, *, timeout_s: float = CALL_TIMEOUT_S, **args: Any) -> Any:
        """Do one request and return its result.

        Raises:
            AgentGone: the agent ended.
            ClusterError: it refused, or did not answer within `timeout_s` seconds.
        """
        if self._gone is not None:
            raise self._gone
        number = next(self._numbers)
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"id": number, "cmd": cmd, "args": args}).encode() + b"\n")
            async with asyncio.timeout(timeout_s):
                reply = await answer
        except TimeoutError:
            raise ClusterError(
                f"{self.who}: the agent did not answer {cmd!r} within {timeout_s:g} s", OVERLOADED
            ) from None
        finally:
            del self._waiting[number]
        if "error" in reply:
            raise ClusterError(f"{self.who}: {cmd}: {reply['error']}", HINTS.get(reply.get("errno"), ""))
        return reply["ok"]

    async def close(self, *, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Close the agent's stdin, so that it heals all and ends, and wait for that; kill it after `timeout_s`."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._reader
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self._process.stdin.wait_closed()
        self._words.close()
        _open_carriers.discard(self)

    async def _read(self) -> None:
        """Hand every reply to whoever waits for it; the end of the stream fails them all."""
        assert self._process.stdout is not None
        reason = "the agent ended"
        try:
            while line := await self._process.stdout.readline():
                message = json.loads(line)
                if "hello" in message and not self._hello.done():
                    self._hello.set_result(message["hello"])
                elif (answer := self._waiting.get(message.get("id"))) is not None and not answer.done():
                    answer.set_result(message)
        except ValueError as error:
            reason = f"what the agent said is not a reply: {error}"
        self._gone = AgentGone(f"{self.who}: {reason}{self._last_words()}", "see the node's log; then run again")
        for answer in [self._hello, *self._waiting.values()]:
            if not answer.done():
                answer.set_exception(self._gone)
        if not self._hello.cancelled():
            self._hello.exception()  # retrieved, so that nobody warns of it

    def _last_words(self) -> str:
        """Return the end of what the carrier wrote to stderr, if anything."""
        size = self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, size - 500))
        text = self._words.read().decode(errors="replace").strip()
        return f": {text}" if text else ""

    def _descriptors(self) -> list[int]:
        """Return this side's ends of the pipes."""
        transport = self._process._transport  # type: ignore[attr-defined]  # noqa: SLF001 # the only way
        pipes = [transport.get_pipe_transport(number) for number in (0, 1)]
        return [pipe.get_extra_info("pipe").fileno() for pipe in pipes if pipe is not None and not pipe.is_closing()]


OVERLOADED = "the machine may be overloaded: use fewer nodes, or see what else runs"
_open_carriers: weakref.WeakSet[Carrier] = weakref.WeakSet()


@functools.cache
def _sources() -> dict[str, str]:
    """Return the agent's files by the names of their modules."""
    files = {f"clusters.agent.{path.stem}": path.read_text() for path in AGENT.glob("*.py")}
    return {"clusters": "", "clusters.agent": files.pop("clusters.agent.__init__"), **files}


async def settle(opening: Sequence[asyncio.Task[Carrier]]) -> list[Carrier]:
    """Wait until every opening has ended, and return the carriers that came of it, so that each can be closed."""
    await asyncio.wait(opening)
    return [task.result() for task in opening if not task.cancelled() and task.exception() is None]


def _let_go() -> None:
    """In a forked child: let go of the pipes, or the agents would not notice the harness's death while it lives.

    The descriptors are replaced rather than closed, since their objects, copied by the fork, close them once more.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for carrier in list(_open_carriers):
        for descriptor in carrier._descriptors():  # noqa: SLF001
            os.dup2(null, descriptor)
    os.close(null)


os.register_at_fork(after_in_child=_let_go)
