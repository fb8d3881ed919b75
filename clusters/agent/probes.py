"""Test packets between agents: which of them arrive is what a partition and shaped links are measured by."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import Any

from clusters.agent.packets import Trials

PORT = 47113
SO_TIMESTAMPNS = 35
BUFFER_BYTES = 4 << 20
SO_RCVBUFFORCE = 33  # beyond the usual limit, which only root may
MESSAGE = b"kingslayer probe"


class Probes:
    """One UDP socket, and who was heard on it."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        # all nodes send at once, and a busy machine reads late: what does not fit is lost, as if a link had lost it
        for option in (socket.SO_RCVBUF, SO_RCVBUFFORCE):
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        self.heard: set[str] = set()
        self.trials = Trials()

    def bind(self, ip: str) -> None:
        self.socket.bind((ip, PORT))

    def reset(self) -> None:
        """Forget who was heard."""
        self.take()
        self.heard.clear()

    def send(self, targets: list[str]) -> None:
        for target in targets:
            self.socket.sendto(MESSAGE, (target, PORT))

    def send_trials(self, targets: list[str], count: int, size: int) -> None:
        """Send numbered test packets to all targets."""
        for target in targets:
            for _ in range(count):
                with contextlib.suppress(BlockingIOError, PermissionError):  # a rule that cuts the way out tells us so
                    self.socket.sendto(self.trials.packet(size), (target, PORT))

    def trial(self) -> dict[str, Any]:
        """Return by source how numbered packets have fared since this was asked last."""
        self.take()
        return self.trials.report()

    def take(self) -> set[str]:
        """Take what has come in; return who was heard."""
        with contextlib.suppress(BlockingIOError):
            while True:
                message, told, _, (source, _) = self.socket.recvmsg(2048, 64)
                if message == MESSAGE:
                    self.heard.add(source)
                elif message.startswith(Trials.MARK):
                    self.trials.take(message, source, arrival_ns(told))
        return self.heard


def arrival_ns(told: list[tuple[int, int, bytes]]) -> int:
    """Return when a packet came, by the monotonic clock: as the kernel tells where it was asked to, or now.

    Its time is that of the packet's coming to the machine. A node holds packets after that, so it must not ask.
    """
    for level, kind, data in told:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, ns = struct.unpack_from("=qq", data)
            late_ns: int = time.time_ns() - (seconds * 1_000_000_000 + ns)
            return time.monotonic_ns() - max(0, late_ns)
    return time.monotonic_ns()
