"""Moments that a fault can wait for: what a node newly says of itself, or a new line in its log.

The nodes' statuses come from the run's own poll, which hurries (HASTE_S) as long as somebody waits. Logs are asked for
what is new in them, as often.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.capabilities import NodeStatus
from harness.config import When
from harness.errors import HarnessError
from harness.protocols import Node

BECAME_LEADER: Final = "became leader"
LOST_LEADERSHIP: Final = "lost leadership"
ELECTION: Final = "election"
LOG_LINE: Final = "log line"

MOMENTS: Final[Mapping[str, str]] = {
    BECAME_LEADER: "a node says that it leads, and did not before, or in an earlier term",
    LOST_LEADERSHIP: "a node that led says that it does not",
    ELECTION: "a node has become a candidate, or has lost sight of the leader that it knew",
    LOG_LINE: "a new line of a node's log matches `pattern`",
}

HASTE_S: Final = 0.02
LINE_CHARS_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment that came.

    Attributes:
        node: whom it was seen on.
        said: the status, or the line: for the record.
        seen_s: when it was seen, by the event loop's clock.
    """

    node: str
    said: dict[str, Any]
    seen_s: float


def is_news(moment: str, before: NodeStatus | None, now: NodeStatus) -> bool:
    """Say whether a node's status, after the one before it, is the moment; without one before nothing is new."""
    if before is None:
        return False
    if moment == BECAME_LEADER:
        return now.role == "leader" and (before.role, before.term) != (now.role, now.term)
    if moment == LOST_LEADERSHIP:
        return before.role == "leader" and now.role != "leader"
    lost_sight = before.leader is not None and now.leader is None
    return lost_sight or (now.role == "candidate" and before.role != "candidate")


class Lookout:
    """Waits for moments, any number at a time; it is told every status.

    Args:
        nodes: by name.
        logs: paths of their logs.
    """

    def __init__(self, nodes: Mapping[str, Node], logs: Sequence[str]) -> None:
        self._nodes = nodes
        self._logs = logs
        self._last: dict[str, NodeStatus] = {}
        self._waiting: dict[asyncio.Future[Moment], str] = {}
        self._hurry = asyncio.Event()

    def tell(self, node: str, status: NodeStatus) -> None:
        """Hear what a node says of itself."""
        before, self._last[node] = self._last.get(node), status
        for found, moment in self._waiting.items():
            if not found.done() and moment != LOG_LINE and is_news(moment, before, status):
                said = {"role": status.role, "term": status.term, "leader": status.leader}
                found.set_result(Moment(node, said, asyncio.get_running_loop().time()))

    async def rest(self, seconds: float) -> None:
        """Sleep between two looks at a status; only HASTE_S where somebody waits, from when on they do."""
        if not self._hurry.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._hurry.wait()
            return
        await asyncio.sleep(HASTE_S)

    async def wait(self, when: When) -> Moment:
        """Wait until the moment comes, from now on; whoever asks gives a limit.

        Statuses hurry for a line of a log, too: the record shows in which state it came.
        """
        found: asyncio.Future[Moment] = asyncio.get_running_loop().create_future()
        self._waiting[found] = when.moment
        self._hurry.set()
        try:
            return await (self._log_line(re.compile(when.pattern)) if when.moment == LOG_LINE else found)
        finally:
            del self._waiting[found]
            if not self._waiting:
                self._hurry.clear()

    async def _log_line(self, pattern: re.Pattern[str]) -> Moment:
        tasks = [asyncio.create_task(self._follow(name, log, pattern)) for name in self._nodes for log in self._logs]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return min((task.result() for task in done), key=lambda moment: moment.seen_s)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, name: str, log: str, pattern: re.Pattern[str]) -> Moment:
        """Read what is added to a log, until a whole line of it matches."""
        node, loop = self._nodes[name], asyncio.get_running_loop()
        at, half_line = await node.size(log), b""
        while True:
            await asyncio.sleep(HASTE_S)
            try:
                data = await node.read(log, offset=at)
            except HarnessError:  # a node that does not answer now may do so later
                continue
            at += len(data)
            *lines, half_line = (half_line + data).split(b"\n")
            for line in lines:
                text = line.decode(errors="replace")
                if pattern.search(text):
                    return Moment(name, {"log": log, "line": text[:LINE_CHARS_MAX]}, loop.time())
