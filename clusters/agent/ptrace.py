"""Stopping another process's threads to change what they run: ptrace(2) by ctypes, no signal that they could notice.

The threads are seized and interrupted, never sent SIGSTOP, and they go on when whoever stopped them ends, however it
ends. So this is used in a short-lived child of the agent (`apart`), and all calls come from its one thread.

Visits are written for x86_64 only. On aarch64 they are harder: no jump back to just any place leaves all registers as
they were, but for rt_sigreturn's; a system call forgets a thread's SVE registers; and a stop shows a system call that
was broken off as if it had not begun (do_signal in arch/arm64/kernel/signal.c), so that a sleep, which the kernel
alone knows how to resume, would begin anew.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from clusters.agent.architectures import Architecture
from clusters.agent.processes import LIBC, Refused, die_with

TIMEOUT_S = 5.0
"""A thread that has not stopped by then hangs in the kernel: everything is left as it is."""

CONT, SINGLESTEP, DETACH, SYSCALL = 7, 9, 17, 24
GETREGSET, SETREGSET, SEIZE, INTERRUPT = 0x4204, 0x4205, 0x4206, 0x4207
NT_PRSTATUS, TRACESYSGOOD = 1, 1
SYSCALL_STOP = signal.SIGTRAP | 0x80
EVENT_STOP = 128
WAIT_ALL = 0x40000000  # __WALL: threads too
RAX, RDI, RSI, ORIG_RAX = 10, 14, 13, 15  # x86_64's other registers, for visits
NO_SYSCALL = (1 << 64) - 1
STEPS_MAX, STOPS_MAX = 20_000, 1000
GETPID, RESTART_SYSCALL = 39, 219
RESTARTS = {NO_SYSCALL - 511: 0, NO_SYSCALL - 512: 0, NO_SYSCALL - 513: 0, NO_SYSCALL - 515: RESTART_SYSCALL}
"""What an interrupted system call returns, as only the kernel sees it, and the call to make then, 0 for the same."""
SYSCALL_CODE = b"\x0f\x05"
RED_ZONE_BYTES = 128
FRAME_BYTES = 32 << 10  # of a stack, above its pointer: where the frame of a signal that is being handled lies

LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


def ptrace(request: int, tid: int, address: int = 0, data: Any = 0) -> None:
    """Call ptrace(2).

    Raises:
        OSError: it failed.
    """
    if LIBC.ptrace(request, tid, address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def peek(memory: int, size: int, place: int) -> bytes:
    """Read a process's memory; raise ProcessLookupError where it has ended, or runs another program by now."""
    try:
        data = os.pread(memory, size, place)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        data = b""
    if len(data) < size:
        raise ProcessLookupError(errno.ESRCH, "the process has ended")
    return data


def poke(memory: int, data: bytes, place: int) -> None:
    """Write a process's memory, its code too; raise ProcessLookupError like `peek`."""
    try:
        written = os.pwrite(memory, data, place)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        written = 0
    if written < len(data):
        raise ProcessLookupError(errno.ESRCH, "the process has ended")


class Stopped:
    """All threads of a process, held still for the length of a `with`.

    Args:
        pid: of the process.
        architecture: this one.
    """

    def __init__(self, pid: int, architecture: Architecture) -> None:
        self.pid, self.architecture = pid, architecture
        self.tids: list[int] = []
        self.signals: set[tuple[int, int]] = set()  # that came to a thread while it ran for us, with its id
        self.memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)

    def __enter__(self) -> Stopped:
        try:
            self._stop()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.memory)
        for tid, number in self.signals:
            LIBC.syscall(self.architecture.tgkill, self.pid, tid, number)
        for tid in self.tids:
            with contextlib.suppress(OSError):
                ptrace(DETACH, tid)

    def _stop(self) -> None:
        """Stop every thread; a running one may start others, so look until there is none that is new."""
        known: set[int] = set()
        while new := {int(name) for name in os.listdir(f"/proc/{self.pid}/task")} - known:
            known |= new
            for tid in [tid for tid in new if self._seize(tid)]:
                if self._wait(tid):
                    self.tids.append(tid)
        if not self.tids:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))

    def _seize(self, tid: int) -> bool:
        """Ask a thread to stop; False where it has ended."""
        try:
            ptrace(SEIZE, tid, 0, TRACESYSGOOD)
            ptrace(INTERRUPT, tid)
        except OSError as error:
            if error.errno == errno.ESRCH or _ended(self.pid, tid):
                return False
            raise Refused(
                f"process {self.pid} cannot be traced: {error.strerror}; it takes CAP_SYS_PTRACE, or root, "
                "and that nobody else traces it"
            ) from None
        return True

    def _wait(self, tid: int) -> bool:
        """Wait until a thread has come to its stop; a signal on its way is delivered first. False where it ended."""
        while True:
            with contextlib.suppress(ChildProcessError):
                _, status = os.waitpid(tid, WAIT_ALL)
                if os.WIFSTOPPED(status):
                    if status >> 16 == EVENT_STOP:
                        return True
                    ptrace(CONT, tid, 0, os.WSTOPSIG(status))
                    continue
            return False

    def registers(self, tid: int) -> Any:
        """Return a thread's registers."""
        values = (ctypes.c_ulonglong * self.architecture.registers)()
        self._exchange(GETREGSET, tid, values)
        return values

    def set_registers(self, tid: int, values: Any) -> None:
        self._exchange(SETREGSET, tid, values)

    def _exchange(self, request: int, tid: int, values: Any) -> None:
        vector = (ctypes.c_size_t * 2)(ctypes.addressof(values), ctypes.sizeof(values))
        ptrace(request, tid, NT_PRSTATUS, ctypes.addressof(vector))

    def step(self, tid: int, done: Callable[[int], bool]) -> None:
        """Let one thread run, an instruction at a time, until it is `done`.

        Raises:
            Refused: it never is.
        """
        for _ in range(STEPS_MAX):
            if done(tid):
                return
            self._go_on(tid, SINGLESTEP, signal.SIGTRAP)
        raise Refused(f"thread {tid} does not get on: it is where {STEPS_MAX} instructions lead nowhere")

    def visit(self, code: bytes, place: int, marker: int) -> tuple[int, bytes]:
        """Let a thread run code until it makes the system call `marker`; return its arguments then.

        The code is written for the visit to where nobody runs. Below the thread's stack it finds the address where the
        thread goes on, and would lead it back there by itself, all registers as they were, should we be killed.

        Returns:
            The first argument, and the 16 bytes that the second one points to.
        """
        tid = self.tids[0]
        before, pc, sp = self.registers(tid), self.architecture.pc, self.architecture.sp
        work = type(before)(*before)
        if before[ORIG_RAX] != NO_SYSCALL and before[RAX] in RESTARTS:  # as the kernel would begin it anew
            work[RAX] = RESTARTS[before[RAX]] or before[ORIG_RAX]
            work[pc] -= len(SYSCALL_CODE)
        work[ORIG_RAX] = NO_SYSCALL
        work[sp] -= RED_ZONE_BYTES + 8
        back, work[pc] = work[pc], place
        low = work[sp] - 2048
        stack, replaced = peek(self.memory, before[sp] - low, low), peek(self.memory, len(code), place)
        poke(self.memory, back.to_bytes(8, sys.byteorder), work[sp])
        poke(self.memory, code, place)
        try:
            self.set_registers(tid, work)
            self._go_on(tid, SYSCALL, SYSCALL_STOP)
            while (shown := self.registers(tid))[ORIG_RAX] != marker:
                self._go_on(tid, SYSCALL, SYSCALL_STOP)
            result = shown[RDI], peek(self.memory, 16, shown[RSI])
        finally:
            # Into a stop like the first: registers that are set in it are those that a broken-off system call needs.
            ptrace(INTERRUPT, tid)
            ptrace(CONT, tid)
            self._wait(tid)
            self.set_registers(tid, before)
            poke(self.memory, replaced, place)
            poke(self.memory, stack, low)
        return result

    def _go_on(self, tid: int, how: int, wanted: int) -> None:
        """Let one thread run until it stops as wanted; signals that come meanwhile are sent again in the end."""
        for _ in range(STOPS_MAX):
            ptrace(how, tid)
            _, status = os.waitpid(tid, WAIT_ALL)
            if not os.WIFSTOPPED(status):
                raise Refused(f"thread {tid} ended while it was traced")
            if os.WSTOPSIG(status) == wanted and status >> 16 != EVENT_STOP:
                return
            if status >> 16 != EVENT_STOP:  # a process that is paused stops so once more on its way
                self.signals.add((tid, os.WSTOPSIG(status)))
        raise Refused(f"thread {tid} does not get on: it stops with status {status:#x}")

    def places(self, tid: int, start: int, end: int) -> list[int]:
        """Return where within start ≤ … < end a thread is, or comes back to when a signal's handler returns.

        A signal's frame keeps the interrupted place on the stack, among other words that only look like one.
        """
        registers = self.registers(tid)
        stack = os.pread(self.memory, FRAME_BYTES, registers[self.architecture.sp] & ~7)
        found = [registers[self.architecture.pc]]
        if any(each.to_bytes(8, sys.byteorder)[2:] in stack for each in (start, end)):  # all but the last 16 bits
            found += memoryview(stack[: len(stack) & ~7]).cast("Q")
        return [place for place in found if start <= place < end]


def _ended(pid: int, tid: int) -> bool:
    try:
        with open(f"/proc/{pid}/task/{tid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def apart(function: Callable[[], Any]) -> Any:
    """Return what `function` returns (JSON), called in a child, whose end lets go of all that it stopped.

    Raises:
        Refused: it did; or it was not done within TIMEOUT_S; or the child was killed.
        OSError: it did.
    """
    ours, theirs = os.pipe()
    agent_pid = os.getpid()
    child = os.fork()
    if not child:
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            die_with(agent_pid)
            with limit():
                os.write(theirs, json.dumps({"ok": function()}).encode())
        except OSError as error:
            os.write(theirs, json.dumps({"error": error.strerror or str(error), "errno": error.errno}).encode())
        except BaseException as error:
            text = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
            os.write(theirs, json.dumps({"error": text}).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    if not said:
        raise Refused("the helper that changes clocks was killed")
    answer = json.loads(said)
    if "ok" in answer:
        return answer["ok"]
    if answer.get("errno"):
        raise OSError(answer["errno"], answer["error"])
    raise Refused(answer["error"])


@contextlib.contextmanager
def limit() -> Iterator[None]:
    """Break off whatever waits longer than TIMEOUT_S in all."""

    def late(*_: object) -> None:
        raise Refused(f"a thread did not stop within {TIMEOUT_S:g} s: it hangs in the kernel, or is frozen")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
