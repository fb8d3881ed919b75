"""Stopping another process's threads to change what they run: ptrace(2) by ctypes, no signal that they could notice.

The threads are seized and interrupted, never sent SIGSTOP, and they go on when whoever stopped them ends, however it
ends. So this is used in a short-lived child of the agent (`apart`), and all calls come from its one thread.
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

from clusters.agent.processes import LIBC, Refused, die_with

TIMEOUT_S = 5.0
"""A thread that has not stopped by then hangs in the kernel: everything is left as it is."""

CONT, SINGLESTEP, GETREGS, SETREGS, DETACH = 7, 9, 12, 13, 17
SEIZE, INTERRUPT, GETSIGMASK, SETSIGMASK = 0x4206, 0x4207, 0x420A, 0x420B
EVENT_STOP = 128
WAIT_ALL = 0x40000000  # __WALL: threads too
RAX, RDI, RSI, ORIG_RAX, RIP, RSP = 10, 14, 13, 15, 16, 19  # places in the kernel's user_regs_struct
NO_SYSCALL = (1 << 64) - 1
STEPS_MAX, STOPS_MAX = 20_000, 10
BREAKPOINT = b"\xcc"
FRAME_BYTES = 32 << 10  # of a stack, above its pointer: where the frame of a signal that is being handled lies

Registers = ctypes.c_ulonglong * 27

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
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.tids: list[int] = []
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
            ptrace(SEIZE, tid)
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
        values = Registers()
        ptrace(GETREGS, tid, 0, ctypes.addressof(values))
        return values

    def set_registers(self, tid: int, values: Any) -> None:
        ptrace(SETREGS, tid, 0, ctypes.addressof(values))

    def step(self, tid: int, done: Callable[[Any], bool]) -> None:
        """Let one thread run, an instruction at a time, until its registers are `done`.

        Raises:
            Refused: they never are.
        """
        with self._undisturbed(tid):
            for _ in range(STEPS_MAX):
                if done(self.registers(tid)):
                    return
                self._go_on(tid, SINGLESTEP)
        raise Refused(f"thread {tid} does not get on: it is where {STEPS_MAX} instructions lead nowhere")

    def call(self, address: int, trap: int, *arguments: int) -> int:
        """Call a function of at most two arguments by one of the threads, at full speed; return what it returns.

        Args:
            address: of the function.
            trap: where it returns to: a byte in code that nobody runs, put back afterwards.
            arguments: one that is negative is an offset from the top of 256 bytes of scratch, which the function may
                write; `scratch` holds them afterwards.
        """
        tid = self.tids[0]
        before = self.registers(tid)
        top = (before[RSP] - 1024) & ~15
        low = top - 2048
        saved, replaced = peek(self.memory, top - low, low), peek(self.memory, 1, trap)
        work = Registers(*before)
        work[RSP] = top - 264  # as after a call: 8 bytes off 16
        work[RIP], work[ORIG_RAX] = address, NO_SYSCALL
        for place, value in zip((RDI, RSI), arguments):  # noqa: B905 # the node's Python may be 3.9
            work[place] = value if value >= 0 else top + value
        poke(self.memory, trap.to_bytes(8, sys.byteorder), work[RSP])
        poke(self.memory, BREAKPOINT, trap)
        try:
            with self._undisturbed(tid):
                self.set_registers(tid, work)
                self._go_on(tid, CONT)
                after = self.registers(tid)
                if after[RIP] != trap + 1:
                    raise Refused(f"a function called in thread {tid} did not return")
                self.scratch = peek(self.memory, 256, top - 256)
        finally:
            poke(self.memory, replaced, trap)
            poke(self.memory, saved, low)
            # Into a stop like the first: registers that are set in it are those that a broken-off system call needs.
            ptrace(INTERRUPT, tid)
            ptrace(CONT, tid)
            self._wait(tid)
            self.set_registers(tid, before)
        result: int = after[RAX]
        return result

    @contextlib.contextmanager
    def _undisturbed(self, tid: int) -> Iterator[None]:
        """Keep signals from a thread, but for SIGTRAP: the kernel would take the program's handler of it away."""
        mask, blocked = ctypes.c_ulonglong(), ctypes.c_ulonglong(NO_SYSCALL & ~(1 << signal.SIGTRAP - 1))
        ptrace(GETSIGMASK, tid, 8, ctypes.addressof(mask))
        ptrace(SETSIGMASK, tid, 8, ctypes.addressof(blocked))
        try:
            yield
        finally:
            ptrace(SETSIGMASK, tid, 8, ctypes.addressof(mask))

    def _go_on(self, tid: int, how: int) -> None:
        """Let one thread run until it traps."""
        for _ in range(STOPS_MAX):
            ptrace(how, tid)
            _, status = os.waitpid(tid, WAIT_ALL)
            if not os.WIFSTOPPED(status):
                raise Refused(f"thread {tid} ended while it was traced")
            if status >> 16 != EVENT_STOP:  # a process that is paused stops once more on its way
                return
        raise Refused(f"thread {tid} does not leave its stop")

    def places(self, tid: int, start: int, end: int) -> list[int]:
        """Return where within start ≤ … < end a thread is, or comes back to when a signal's handler returns.

        A signal's frame keeps the interrupted place on the stack, among other words that only look like one.
        """
        registers = self.registers(tid)
        stack = os.pread(self.memory, FRAME_BYTES, registers[RSP] & ~7)
        found = [registers[RIP]]
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
