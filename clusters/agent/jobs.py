"""Commands that the agent runs as its children, so that its loop goes on: their output, their end, their time limit."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

OUTPUT_BYTES_MAX = 1 << 20  # the end is kept


class Job:
    """A child, the number of the request that it answers, and what it has written."""

    def __init__(self, number: int, process: subprocess.Popen[bytes], deadline: float) -> None:
        self.number, self.process, self.deadline = number, process, deadline
        assert process.stdout is not None
        self.pipe, self.output = process.stdout, b""
        os.set_blocking(self.pipe.fileno(), False)


class Jobs:
    """The children that run now."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.selector = selector
        self.running: dict[int, Job] = {}  # by pid

    def start(self, number: int, process: subprocess.Popen[bytes], limit_s: float) -> None:
        job = self.running[process.pid] = Job(number, process, time.monotonic() + limit_s)
        self.selector.register(job.pipe, selectors.EVENT_READ, lambda: self.gather(job))

    def gather(self, job: Job) -> None:
        """Take what a child has written; the end of its output is not yet its exit."""
        # nothing there; or closed, by finish, in this very round
        with contextlib.suppress(BlockingIOError, ValueError):
            chunk = os.read(job.pipe.fileno(), 65536)  # as much as a pipe holds
            job.output = (job.output + chunk)[-OUTPUT_BYTES_MAX:]
            if not chunk:
                self.selector.unregister(job.pipe)

    def finish(self, pid: int, code: int) -> dict[str, Any] | None:
        """Return the reply of a child that ended, with the output that is there; None where it is none of ours.

        A grandchild may hold the pipe open for ever, so its end is not waited for.
        """
        job = self.running.pop(pid, None)
        if job is None:
            return None
        job.process.returncode = code
        with contextlib.suppress(KeyError):  # its end was seen already
            self.gather(job)
            self.selector.unregister(job.pipe)
        job.pipe.close()
        output = job.output.decode(errors="replace")
        if code == -signal.SIGKILL and time.monotonic() >= job.deadline:
            return {"id": job.number, "error": f"not done in time, killed; its output ends with {output[-200:]!r}"}
        return {"id": job.number, "ok": [code, output]}

    def tick(self) -> float | None:
        """Kill the children whose time is up; return the seconds until that of the next, or None."""
        now = time.monotonic()
        for job in self.running.values():
            if now >= job.deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(job.process.pid, signal.SIGKILL)
        return min((max(0.001, job.deadline - now) for job in self.running.values()), default=None)
