"""An observer for tests."""

from __future__ import annotations

from harness.runner import Progress


class Silent:
    """Says nothing and remembers the warnings and the phases."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.warnings: list[str] = []

    def phase(self, text: str) -> None:
        self.phases.append(text)

    def progress(self, progress: Progress) -> None: ...

    def warn(self, text: str) -> None:
        self.warnings.append(text)
