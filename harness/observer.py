"""How a run looks while it goes: plain lines on stderr, so that stdout holds the result alone."""

from __future__ import annotations

import time

import click

from harness.runner import Progress


class Console:
    """Tells a person; each line begins with the seconds since the command's start."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()
        self._last: dict[str, int] = {}

    def phase(self, text: str) -> None:
        """Print what begins now."""
        self._say(text)

    def progress(self, progress: Progress) -> None:
        """Print how many operations ended how since the last line, and which faults are on."""
        parts = []
        for kind in ("ok", "fail", "info"):
            total = progress.clients[kind]
            parts.append(f"{kind} {total - self._last.get(kind, 0):>5,}")
            self._last[kind] = total
        faults = f"   {', '.join(progress.faults)} on" if progress.faults else ""
        self._say(f"  {'  '.join(parts)}{faults}")

    def warn(self, text: str) -> None:
        """Print what went wrong."""
        click.secho(f"warning: {text}", fg="yellow", err=True)

    def _say(self, text: str) -> None:
        click.echo(f"{time.monotonic() - self._start_s:6.1f} s  {text}", err=True)
