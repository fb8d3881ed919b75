"""The drive of all workers: stops, and going on after them, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from stage import TIMEOUT_S, Do, Stage, seconds

from harness.errors import ContractError
from harness.generator import calls, limit, once, phases, sleep, stagger, time_limit
from harness.history import History
from harness.op import Call, Op
from tests.virtual_time import run

READ = Call("read", "k")
WORKERS = 4


async def slow(call: Call) -> Any:
    """Take longer than any test waits before it stops."""
    await asyncio.sleep(TIMEOUT_S / 2)


async def swallow(call: Call) -> Any:
    """Take long, and answer when cancelled."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(TIMEOUT_S / 2)


def stopped(folder: Path, invoke: Any, stop_s: float) -> tuple[list[Op], list[Op], float]:
    """Stop a drive that has no end, then drive a little more; return both histories and when the first had ended."""

    async def whole() -> tuple[list[Op], list[Op], float]:
        loop = asyncio.get_running_loop()
        stage = Stage(folder, lambda node: Do(invoke), WORKERS)
        loop.call_later(stop_s, stage.stop.set)
        first = await stage.drive(calls(lambda random: READ))
        ended_s = loop.time() - 1000
        stage.stop.clear()
        both = await stage.drive(limit(2 * WORKERS, calls(lambda random: Call("after"))))
        await stage.close()
        return first, both[len(first) :], ended_s

    return run(whole())


def test_a_stop_leaves_operations_open_and_their_processes_behind(tmp_path: Path) -> None:
    """What is under way at a stop stays without completion; its process never has another operation."""
    first, after, ended_s = stopped(tmp_path, slow, 0.12)
    assert ended_s == pytest.approx(0.12, abs=0.001)
    last = {op.process: op for op in first}
    assert [op.type for op in last.values()] == ["invoke"] * WORKERS
    assert {op.process for op in after} == {process + WORKERS for process in last if isinstance(process, int)}
    assert History([*first, *after]).counts().info == WORKERS


def test_a_stop_reaches_clients_that_swallow_it(tmp_path: Path) -> None:
    """A client that answers instead of being cancelled does not keep its worker going."""
    first, after, ended_s = stopped(tmp_path, swallow, 0.12)
    assert ended_s <= 0.12 + TIMEOUT_S
    assert max(seconds(op) for op in first) <= 0.12 + TIMEOUT_S
    assert History([*first, *after]).counts().invoke > 2 * WORKERS


@pytest.mark.parametrize("stop_ms", range(95, 125, 3))
def test_a_stop_in_the_turn_of_a_cut(tmp_path: Path, stop_ms: int) -> None:
    """A stop that meets operations that are being cut off ends the drive all the same."""

    async def hang(call: Call) -> Any:
        if call.f == "after":
            return
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0.01)

    first, _, ended_s = stopped(tmp_path, hang, stop_ms / 1000)
    assert ended_s <= stop_ms / 1000 + 0.05
    assert History(first).counts().ok == 0


def test_a_stop_while_clients_open(tmp_path: Path) -> None:
    """A client that was cut off while it opened is closed, and a fresh one is opened by the next drive."""
    log: list[str] = []

    class Opening(Do):
        async def open(self) -> None:
            await super().open()
            await asyncio.sleep(TIMEOUT_S / 2)

    async def whole() -> list[Op]:
        stage = Stage(tmp_path, lambda node: Opening(slow, log))
        asyncio.get_running_loop().call_later(0.01, stage.stop.set)
        with pytest.raises(Exception, match="no event"):
            await stage.drive(once(READ))
        stage.stop.clear()
        events = await stage.drive(once(READ))
        await stage.close()
        return events

    events = run(whole())
    assert [op.type for op in events] == ["invoke", "ok"]
    assert log == ["open", "close", "open", "close"]


def test_a_stop_while_everybody_waits(tmp_path: Path) -> None:
    """Workers that wait for their time, or at a barrier, stop at once."""

    async def whole() -> None:
        stage = Stage(tmp_path, lambda node: Do(slow), WORKERS)
        loop = asyncio.get_running_loop()
        loop.call_later(1, stage.stop.set)
        paced = stagger(100, calls(lambda random: READ))
        await stage.drive(phases(limit(1, calls(lambda random: READ)), sleep(0.1), paced))
        assert loop.time() == pytest.approx(1001)
        await stage.close()

    run(whole())


def test_barriers_wake_who_waits(tmp_path: Path) -> None:
    """On the real drive, too, everybody takes part after a barrier, at once, and under a time limit."""

    async def whole() -> list[Op]:
        stage = Stage(tmp_path, lambda node: Do(slow), WORKERS)
        work = limit(3 * WORKERS, calls(lambda random: READ))
        events = await stage.drive(time_limit(100, phases(once(READ), sleep(0.1), sleep(0.1), work)))
        await stage.close()
        return events

    events = run(whole())
    assert {op.process for op in events[2:]} == set(range(WORKERS))
    assert seconds(events[-1]) < 1


def test_a_worker_that_fails_ends_the_drive_for_all(tmp_path: Path) -> None:
    """One client's broken contract stops all workers at once; what was recorded before stays."""

    async def invoke(call: Call) -> Any:
        await asyncio.sleep(0.01)
        return object() if call.f == "bad" else None

    async def whole() -> None:
        stage = Stage(tmp_path, lambda node: Do(invoke), WORKERS)
        with pytest.raises(ContractError):
            await stage.drive(phases(limit(40, calls(lambda random: READ)), once(Call("bad"))))
        await stage.close()

    run(whole())
    history = History.load(tmp_path / "history.jsonl")
    assert history.counts().ok == 40


def test_the_file_follows_the_run_closely(tmp_path: Path) -> None:
    """While clients are slow or idle, what was recorded is on the disk soon, for whoever kills the process."""

    async def whole() -> None:
        stage = Stage(tmp_path, lambda node: Do(slow))
        lines: list[int] = []

        async def look() -> None:
            await asyncio.sleep(0.5)
            lines.append(len(stage.path.read_bytes().splitlines()))

        looking = asyncio.create_task(look())
        await stage.drive(phases(once(READ), sleep(2)))
        await looking
        assert lines == [2]
        await stage.close()

    run(whole())
