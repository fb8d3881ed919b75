"""Client processes: facets in processes of their own behave like any other, can be frozen, and never outlive us."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from harness.config import RunConfig
from harness.errors import ClusterError, Definite, Indefinite
from harness.hosts import Hosts
from harness.hosts.child import Address

HERE = Path(__file__).parent
CONFIG = RunConfig(system="hosted_system:Hosted")


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which facets note what they do; their processes find the system."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    path = tmp_path / "notes"
    path.touch()
    return path


def hosted(notes: Path, story: Callable[[Hosts, Any], Awaitable[None]], count: int = 1) -> None:
    """Tell a story with client processes, and an opened facet in the first."""

    async def whole() -> None:
        hosts = Hosts()
        config = RunConfig(system=CONFIG.system, options={"notes": str(notes)})
        await hosts.start(count, config, [Address("n1", "192.0.2.1", "/")])  # type: ignore[list-item]
        try:
            facet = hosts.facet("odd", "n1")
            await facet.open()
            async with asyncio.timeout(20):
                await story(hosts, facet)
        finally:
            await hosts.end()

    asyncio.run(whole())


async def noted(notes: Path, text: str) -> None:
    """Wait until a facet has noted something."""
    while text not in notes.read_text().splitlines():
        await asyncio.sleep(0.01)


def test_calls_answer_and_raise_as_here(notes: Path) -> None:
    """Values come back; Definite keeps what it observed; whatever else is raised may have happened."""

    async def story(hosts: Hosts, facet: Any) -> None:
        assert await facet.answer({"a": 1}) == ["n1", {"a": 1}]
        with pytest.raises(Definite, match="refused") as refused:
            await facet.refuse()
        assert refused.value.observed == 7
        with pytest.raises(Indefinite, match="ZeroDivisionError: by nought"):
            await facet.crash()
        await facet.close()
        await noted(notes, "close")

    hosted(notes, story)


def test_streams_come_item_by_item_and_can_be_left(notes: Path) -> None:
    """An async iterator is one over there; leaving it early ends it there."""

    async def story(hosts: Hosts, facet: Any) -> None:
        assert [number async for number in facet.count(3)] == [0, 1, 2]
        stream = aiter(facet.count(10**9))
        assert [await anext(stream), await anext(stream)] == [0, 1]
        await stream.aclose()
        assert await facet.answer(1) == ["n1", 1]

    hosted(notes, story)


def test_a_call_that_is_cancelled_here_is_cancelled_there(notes: Path) -> None:
    """A timeout of the harness reaches the client."""

    async def story(hosts: Hosts, facet: Any) -> None:
        task = asyncio.ensure_future(facet.hang())
        await noted(notes, "hang")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await noted(notes, "cancelled")

    hosted(notes, story)


def test_a_frozen_process_answers_when_it_goes_on(notes: Path) -> None:
    """SIGSTOP leaves calls waiting, the question whether it is alive too; the other process goes on."""

    async def story(hosts: Hosts, facet: Any) -> None:
        first, second = hosts.hosts.values()
        other = hosts.facet("odd", "n1")
        await other.open()
        first.signal(signal.SIGSTOP)
        while first.state() != "paused":
            await asyncio.sleep(0.01)
        waiting = [asyncio.ensure_future(facet.answer(1)), asyncio.ensure_future(facet.alive())]
        assert await other.answer(2) == ["n1", 2]
        assert second.state() == "running"
        assert not any(task.done() for task in waiting)
        first.signal(signal.SIGCONT)
        assert await asyncio.gather(*waiting) == [["n1", 1], None]

    hosted(notes, story, count=2)


def test_a_process_that_dies_leaves_calls_unknown(notes: Path) -> None:
    """What was under way may have happened; nothing new is sent."""

    async def story(hosts: Hosts, facet: Any) -> None:
        (host,) = hosts.hosts.values()
        task = asyncio.ensure_future(facet.hang())
        await noted(notes, "hang")
        host.signal(signal.SIGKILL)
        with pytest.raises(Indefinite, match="the client process is gone"):
            await task
        while host.state() != "dead":
            await asyncio.sleep(0.01)
        with pytest.raises(ConnectionError):
            await hosts.facet("odd", "n1").open()

    hosted(notes, story)


def test_a_system_that_cannot_be_made_is_an_error(notes: Path) -> None:
    """The process ends, and the error says which one it was."""

    async def start() -> None:
        config = RunConfig(system=CONFIG.system, options={"broken": "yes"})
        await Hosts().start(1, config, [])

    with pytest.raises(ClusterError, match="client process c1 did not start"):
        asyncio.run(start())


def test_even_a_frozen_process_ends_with_its_harness(notes: Path) -> None:
    """kill -9 of the harness leaves no client process behind."""
    code = f"""
import asyncio, signal
from harness.config import RunConfig
from harness.hosts import Hosts
async def main():
    hosts = Hosts()
    await hosts.start(2, RunConfig(system={CONFIG.system!r}, options={{"notes": {str(notes)!r}}}), [])
    next(iter(hosts.hosts.values())).signal(signal.SIGSTOP)
    print(*(host.pid for host in hosts.hosts.values()), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as harness:
        assert harness.stdout is not None
        pids = [int(word) for word in harness.stdout.readline().split()]
        assert len(pids) == 2
        harness.kill()
    until = time.monotonic() + 5
    while any(_there(pid) for pid in pids):
        assert time.monotonic() < until, "client processes are left"
        time.sleep(0.01)


def _there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except (ProcessLookupError, FileNotFoundError):
        return False
