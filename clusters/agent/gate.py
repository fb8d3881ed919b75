"""A gate before the server's disk: the calls by which it flushes can be held for a while before they are done.

The kernel asks us about each of these calls (seccomp's user notification); we answer at once, or later. No file system
or device has to be slow for that, and static programs have to pass, too. What is not held: writes to files that are
opened with O_SYNC, and io_uring.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import itertools
import os
import platform
import select
import selectors
import socket
import struct
import subprocess
import time
from typing import Any

from clusters.agent.processes import LIBC, Refused, spawn

ARCHITECTURES = {
    "x86_64": (0xC000003E, 317, (74, 75, 277, 26, 162, 306)),
    "aarch64": (0xC00000B7, 277, (82, 83, 84, 227, 81, 267)),
}
"""Of each the kernel's name for it, the number of seccomp(2), and those of fsync, fdatasync, sync_file_range, msync,
sync and syncfs."""
SET_MODE_FILTER, GET_NOTIF_SIZES, NEW_LISTENER = 1, 3, 8
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER_AT, ARCHITECTURE_AT = 0, 4  # in struct seccomp_data
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
CALL = struct.Struct("QII64x")  # struct seccomp_notif: the call's id, the thread, flags, the call itself
ANSWER, GO_ON = struct.Struct("QqiI"), 1  # struct seccomp_notif_resp: the call's id, result, error, flags
RECEIVE, SEND = 0xC0502100, 0xC0182101
HOLD_S_MAX = 5.0


class Gate:
    """Holds the flushes of whatever was started through it.

    Args:
        selector: the agent's.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.selector = selector
        self.there = False  # whether what is started from now on goes through it
        self.hold_s, self.count = 0.0, 0
        self.held: list[tuple[float, int, Listener, int, int]] = []  # a heap: when it goes on, …, the call, the thread
        self.due: dict[int, float] = {}  # by thread: a call that was interrupted comes again, and has waited already
        self.numbers = itertools.count()

    def put(self) -> None:
        """Let all that is started from now on go through it.

        Raises:
            Refused: this kernel cannot do that.
        """
        sizes = struct.pack("HHH", CALL.size, ANSWER.size, 64)
        found = ctypes.create_string_buffer(6)
        if platform.machine() not in ARCHITECTURES or seccomp(GET_NOTIF_SIZES, 0, found) or found.raw != sizes:
            raise Refused("this kernel cannot ask about system calls (seccomp's user notification, Linux 5.0)")
        self.there = True

    def spawn(self, argv: list[str], folder: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a child as `processes.spawn` does, through the gate where it is there."""
        if not self.there:
            return spawn(argv, folder, **options)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = spawn(argv, folder, last=lambda: hand_over(theirs), **options)
            _, (descriptor,), _, _ = socket.recv_fds(ours, 1, 1)
        listener = Listener(descriptor)
        self.selector.register(descriptor, selectors.EVENT_READ, lambda: self.take(listener))
        return process

    def hold(self, seconds: float) -> None:
        """Hold each flush for so long from now on; 0 lets all go on."""
        if not 0 <= seconds <= HOLD_S_MAX or (seconds and not self.there):
            raise Refused(f"flushes are held for up to {HOLD_S_MAX:g} s, on nodes that were made for it")
        self.hold_s = seconds
        if seconds:
            self.count = 0
        else:
            self.held = [(0.0, *entry[1:]) for entry in self.held]
            self.tick()

    def take(self, listener: Listener) -> None:
        """Hear of one call, or of the end of all processes that could make one."""
        if listener.ended():
            self.selector.unregister(listener.descriptor)
            listener.close()
            return
        call = listener.receive()
        if call is None:
            return
        number, thread = call
        if not self.hold_s:
            listener.release(number)
            return
        now = time.monotonic()
        if thread not in self.due:
            self.due[thread] = now + self.hold_s
            self.count += 1
        heapq.heappush(self.held, (self.due[thread], next(self.numbers), listener, number, thread))

    def tick(self) -> float | None:
        """Let those go on whose time has come; return the seconds until the next one's, or None."""
        now = time.monotonic()
        while self.held and self.held[0][0] <= now:
            _, _, listener, number, thread = heapq.heappop(self.held)
            self.due.pop(thread, None)
            listener.release(number)
        return max(0.0, self.held[0][0] - now) if self.held else None


class Listener:
    """What the kernel asks by, of one child and its descendants."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.poll = select.poll()
        self.poll.register(descriptor, select.POLLIN)

    def ended(self) -> bool:
        """Say whether none of these processes is left."""
        return any(event & select.POLLHUP for _, event in self.poll.poll(0))

    def receive(self) -> tuple[int, int] | None:
        """Return a call's id and its thread; None where it was interrupted meanwhile."""
        buffer = bytearray(CALL.size)
        try:
            fcntl.ioctl(self.descriptor, RECEIVE, buffer, True)
        except FileNotFoundError:
            return None
        number, thread, _ = CALL.unpack(buffer)
        return number, thread

    def release(self, number: int) -> None:
        """Let the kernel do a call."""
        if self.descriptor >= 0:
            try:
                fcntl.ioctl(self.descriptor, SEND, ANSWER.pack(number, 0, 0, GO_ON))
            except FileNotFoundError:  # interrupted, or its process has ended
                return

    def close(self) -> None:
        self.poll.unregister(self.descriptor)
        os.close(self.descriptor)
        self.descriptor = -1


def hand_over(to: socket.socket) -> None:
    """In a child: put the filter before this process and its descendants, and hand over what listens to it."""
    architecture, _, calls = ARCHITECTURES[platform.machine()]
    count = len(calls)
    program = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (JUMP_IF_EQUAL, 0, count + 1, architecture),
        (LOAD, 0, 0, NUMBER_AT),
        *((JUMP_IF_EQUAL, count - at, 0, call) for at, call in enumerate(calls)),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, NOTIFY),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
    descriptor = seccomp(SET_MODE_FILTER, NEW_LISTENER, filters)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    socket.send_fds(to, [b"f"], [descriptor])


def seccomp(operation: int, flags: int, argument: Any) -> int:
    """Call seccomp(2)."""
    _, number, _ = ARCHITECTURES[platform.machine()]
    return int(LIBC.syscall(number, operation, flags, argument))
