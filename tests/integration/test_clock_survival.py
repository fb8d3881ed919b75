"""What is skewed lives on: paused, stuck, patched by others, skewed again and again, or left by a killed injector."""

from __future__ import annotations

import itertools
import os
import platform
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clock_servers import HOUR_NS, PYTHON, Server, kernels_bytes, near
from waiting import until_now

from clusters.agent import ptrace
from clusters.agent.architectures import X86_64
from clusters.agent.clock import Clock
from clusters.agent.processes import Refused, thread_states
from clusters.agent.vdso import Image, Skew, Target

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="clocks are skewed on x86_64 only")
Start = Callable[[list[str]], Server]

CYCLES = int(os.environ.get("KINGSLAYER_SKEW_CYCLES", "50"))


def test_a_paused_server_is_skewed_and_stays_paused(busy: Server) -> None:
    """Injecting, changing, measuring and healing need no running server, and leave a stopped one stopped."""
    clock = Clock(lambda: [busy.pid])
    os.kill(busy.pid, signal.SIGSTOP)
    until_now(lambda: set(thread_states(busy.pid)) == {"T"}, "stopped")
    clock.skew([(1000, HOUR_NS, 0)], ["realtime"])
    assert near(clock.read()[0]["clocks"]["realtime"][0], HOUR_NS, 20_000_000)
    until_now(lambda: set(thread_states(busy.pid)) == {"T"}, "still stopped")
    os.kill(busy.pid, signal.SIGCONT)
    until_now(lambda: near(busy.offset_ns(), HOUR_NS), "skewed")  # its first answer may be from before the pause
    os.kill(busy.pid, signal.SIGSTOP)
    until_now(lambda: set(thread_states(busy.pid)) == {"T"}, "stopped again")
    clock.heal()
    assert kernels_bytes(busy.pid)
    os.kill(busy.pid, signal.SIGCONT)
    until_now(lambda: near(busy.offset_ns(), 0), "right again")


def test_many_skews_under_load_leave_the_server_as_it_was(busy: Server) -> None:
    """After each of many injections and heals the process lives, sees the right time and has the kernel's bytes."""
    clock = Clock(lambda: [busy.pid])
    for cycle in range(CYCLES):
        clock.skew([(1000, (cycle - 25) * HOUR_NS + 1, 0)], ["realtime"])
        clock.read()
        assert clock.heal() == ""
        assert kernels_bytes(busy.pid)
    assert near(busy.offset_ns(), 0)
    assert "t" not in thread_states(busy.pid)


def test_an_injector_killed_at_any_time_harms_nobody(busy: Server) -> None:
    """After each SIGKILL the server runs on, and the next injector puts right whatever state it finds."""
    chance = random.Random(5)
    image = Image.own()
    for _ in range(CYCLES):
        child = os.fork()
        if not child:
            try:
                target = Target(image, busy.pid)
                while True:
                    target.patch()
                    target.update(Skew(HOUR_NS), Skew())
                    target.clocks()
                    target.restore()
                    target.clocks()
            finally:
                os._exit(1)
        time.sleep(chance.random() * 0.02)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        busy.tells()
        assert "t" not in thread_states(busy.pid)
    ptrace.apart(lambda: Target(image, busy.pid).restore())
    assert kernels_bytes(busy.pid)
    assert near(busy.offset_ns(), 0)


def read_until(image: Image, pid: int, last: int) -> None:
    """Read a process's clocks, and be killed just before the step of that number."""
    plain, visit, steps = ptrace.ptrace, ptrace.Stopped.visit, itertools.count()

    def step(*args: Any) -> None:
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        plain(*args)

    def counted(stopped: ptrace.Stopped, *args: Any) -> Any:
        ptrace.ptrace = step
        return visit(stopped, *args)

    ptrace.Stopped.visit = counted  # type: ignore[method-assign]
    Target(image, pid).clocks()


def test_a_reader_killed_at_any_step_harms_nobody(start: Start) -> None:
    """Whichever step of a visit is our last, the thread that ran for us goes on where it was."""
    server = start(["python3", "-c", "import select; print('up', flush=True); select.epoll().poll(3); print('done')"])
    image, began = Image.own(), time.monotonic()
    for last in itertools.count():
        child = os.fork()
        if not child:
            try:
                read_until(image, server.pid, last)
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        until_now(lambda: thread_states(server.pid) == ["S"], "goes on")
        if status == 0:
            break
        assert status == signal.SIGKILL
    assert last > 8
    assert server.process.stdout is not None
    assert server.process.stdout.readline() == "done\n"
    assert 2.9 < time.monotonic() - began + 0.1 < 4.5


def test_the_patch_of_another_version_is_undone(busy: Server) -> None:
    """A patch of which only the place is known is not taken for ours, and is replaced or removed all the same."""
    image = Image.own()
    other = Image(X86_64._replace(code=X86_64.code[:-2] + b"\x90\x90"), image.original)
    ptrace.apart(lambda: Target(other, busy.pid).patch())
    target = Target(image, busy.pid)
    assert not target.patched()
    clock = Clock(lambda: [busy.pid])
    clock.skew([(1000, HOUR_NS, 0)], ["realtime"])
    assert target.patched()
    assert near(busy.offset_ns(), HOUR_NS)
    clock.heal()
    assert kernels_bytes(busy.pid)


def test_a_vdso_that_is_not_the_kernels_is_refused(start: Start) -> None:
    """A process whose vDSO somebody else has changed is left alone, with a message that says so."""
    server = start([sys.executable, "-c", PYTHON])
    image = Image.own()
    target = Target(image, server.pid)
    with open(f"/proc/{server.pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(target.start + 0x30)
        memory.write(b"\x01")
    with pytest.raises(Refused, match="does not have this kernel's own 64-bit vDSO"):
        Clock(lambda: [server.pid]).skew([(1000, HOUR_NS, 0)], ["realtime"])
    assert near(server.offset_ns(), 0)


VFORK = "import ctypes, time; print('up', flush=True); ctypes.CDLL(None).syscall(58) or time.sleep(600)"


def test_a_thread_that_cannot_stop_is_left_alone(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a thread hangs in the kernel, the attempt ends in time, says so, and has changed nothing."""
    server = start([sys.executable, "-c", VFORK])  # its child sleeps in its memory, and it waits, deaf, for the end
    until_now(lambda: thread_states(server.pid) == ["D"], "hangs")
    monkeypatch.setattr(ptrace, "TIMEOUT_S", 0.3)
    began = time.monotonic()
    with pytest.raises(Refused, match=r"did not stop within 0\.3 s"):
        Clock(lambda: [server.pid]).skew([(1000, HOUR_NS, 0)], ["realtime"])
    assert time.monotonic() - began < 3
    assert kernels_bytes(server.pid)
    assert thread_states(server.pid) == ["D"]
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
