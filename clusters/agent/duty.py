"""The server's duty cycle: stopped for a share of each period, whatever processes it consists of."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Sequence

from clusters.agent.processes import Refused, judge, thread_states

PERIOD_S_MIN = 0.01
SHARE_MAX = 0.99


class Duty:
    """Stops the server and lets it go on, again and again; driven by the agent's loop.

    Args:
        family: returns the server's processes now.
    """

    def __init__(self, family: Callable[[], Sequence[int]]) -> None:
        self.family = family
        self.period_s, self.share = 0.0, 0.0
        self.next_s, self.stopped = 0.0, False
        self.rounds, self.stops = 0, 0

    def begin(self, period_s: float, share: float) -> None:
        """Stop the server for a share of each period from now on, in place of any other cycle."""
        if period_s < PERIOD_S_MIN or not 0 < share <= SHARE_MAX:
            raise Refused(f"a duty cycle takes {PERIOD_S_MIN:g} s at least, and stops a share of up to {SHARE_MAX:g}")
        self.end()
        self.period_s, self.share, self.rounds, self.stops = period_s, share, 0, 0
        self.next_s = time.monotonic()

    def end(self) -> None:
        """Let the server go on for good."""
        if self.stopped:
            self._send(signal.SIGCONT)
        self.period_s, self.stopped = 0.0, False

    def cycle(self) -> list[str]:
        """Return the cycle that is kept, in words; empty where there is none."""
        return [f"stopped for {self.share:g} of each {self.period_s:g} s"] if self.period_s else []

    def tick(self) -> float | None:
        """Stop the server or let it go on, if it is time; return the seconds until the next time, None for never."""
        if not self.period_s:
            return None
        now = time.monotonic()
        if now >= self.next_s:
            if self.stopped:
                # counted at its end: by then every thread must have stopped
                self.stops += judge([state for pid in self.family() for state in thread_states(pid)]) == "paused"
                self.rounds += 1
                self._send(signal.SIGCONT)
            else:
                self._send(signal.SIGSTOP)
            self.stopped = not self.stopped
            self.next_s = now + self.period_s * (self.share if self.stopped else 1 - self.share)
        return max(0.001, self.next_s - now)

    def _send(self, number: int) -> None:
        for pid in self.family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def pending(pids: Collection[int], number: int) -> bool:
    """Say whether a signal waits to be delivered to any of these processes."""
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as file:
            masks = [int(line.split()[1], 16) for line in file if line.startswith(("SigPnd:", "ShdPnd:"))]
            if any(mask >> number - 1 & 1 for mask in masks):
                return True
    return False
