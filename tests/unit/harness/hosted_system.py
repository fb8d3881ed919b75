"""A system whose facet "odd" does what the tests of client processes need; imported in those processes too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import Definite


class Odd:
    """A facet that answers, raises, streams and waits."""

    def __init__(self, name: str, notes: Path) -> None:
        self._name = name
        self._notes = notes

    def _note(self, text: str) -> None:
        with self._notes.open("a") as file:
            file.write(f"{text}\n")

    async def open(self) -> None:
        self._note("open")

    async def close(self) -> None:
        self._note("close")

    async def answer(self, value: Any) -> Any:
        return [self._name, value]

    async def refuse(self) -> None:
        raise Definite("refused", observed=7)

    async def crash(self) -> None:
        raise ZeroDivisionError("by nought")

    async def hang(self) -> None:
        self._note("hang")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._note("cancelled")
            raise

    async def count(self, most: int) -> AsyncIterator[int]:
        for number in range(most):
            yield number
            await asyncio.sleep(0)  # as a stream that comes from a network does
        self._note("counted")


class Hosted:
    """Its facets note what they do in the file that the option `notes` names."""

    def __init__(self, version: str, options: Mapping[str, Any]) -> None:
        if options.get("broken"):
            raise RuntimeError("it cannot be made")
        self.facets = {"odd": lambda node, options: Odd(node.name, Path(options["notes"]))}
