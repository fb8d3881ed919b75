"""The system `noop`: every operation succeeds and does nothing. It measures the harness's own cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from clusters.memory.facet import turn
from clusters.memory.system import check_version, in_memory
from harness.protocols import FacetFactory, Node


class Noop:
    """Does nothing, on nodes in memory. Reads give None, so a checker rightly accuses it.

    Args:
        version: "" or "1".
        options: none of its own.

    Raises:
        UsageError: there is no such version.
    """

    name = "noop"
    summary = "does nothing and always says ok: measures the harness's own cost"
    versions: ClassVar = ("1",)
    backends: Sequence[str] = ("memory",)
    logs: Sequence[str] = ("server.log",)

    def __init__(self, version: str = "", options: Mapping[str, Any] | None = None) -> None:
        check_version(self.name, version, self.versions)
        self.version = version or self.versions[0]
        self.facets: Mapping[str, FacetFactory] = {"register": lambda node, options: NoopRegister()}

    async def install(self) -> Sequence[Path]:
        return ()

    async def boot(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            await self.start(in_memory(self.name, node))

    async def start(self, node: Node) -> None:
        await node.start(("noop",))

    async def ready(self, node: Node) -> bool:
        return await node.state() == "running"


class NoopRegister:
    """Facet "register". Each operation gives way once, so that many clients take turns."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def read(self, key: Any) -> Any:
        await turn()

    async def write(self, key: Any, value: Any) -> None:
        await turn()

    async def cas(self, key: Any, old: Any, new: Any) -> None:
        await turn()
