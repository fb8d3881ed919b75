"""Ctrl-C and SIGTERM: stop early, but heal, check and store what there is."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ClassVar, Final, TypeVar

from harness.errors import HarnessError

T = TypeVar("T")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(HarnessError):
    """Somebody stopped the command before there was a verdict."""

    exit_code: ClassVar[int] = 130


def stop_on_signals(stop: asyncio.Event, tell: Callable[[str], None]) -> None:
    """Set `stop` at the first signal and cancel the current task at the second, instead of dying at once."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def stopped() -> None:
        if stop.is_set():
            task.cancel()
        else:
            tell("stopping: healing, then checking what there is (once more to quit at once)")
            stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stopped)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a signal raise KeyboardInterrupt meanwhile: what computes does not give the event loop its turn."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    wakeup = signal.set_wakeup_fd(-1)
    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, but cut it off when `stop` is set.

    Raises:
        Interrupted: it was cut off.
    """
    task, stopper = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopper}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Interrupted("stopped before the clients started")
        return task.result()
    finally:
        for each in (task, stopper):
            each.cancel()
        await asyncio.gather(task, stopper, return_exceptions=True)
