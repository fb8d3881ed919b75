"""Clients of systems, imported when one is made: their libraries are heavy, and extras of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from clusters.choices import chosen_reads
from harness.errors import UsageError
from harness.facets import Facet
from harness.protocols import FacetFactory, Node


@dataclass(frozen=True)
class Clients:
    """Where the clients of a system are.

    Attributes:
        system: its name, for messages.
        package: of the modules, such as "clusters.etcd".
        extra: of kingslayer, which installs the libraries that they import.
        port: at which a node serves them.
    """

    system: str
    package: str
    extra: str
    port: int

    def load(self, module: str, name: str) -> Any:
        """Return a class of a module.

        Raises:
            UsageError: its library is not installed.
        """
        try:
            return getattr(import_module(f"{self.package}.{module}"), name)
        except ImportError as error:
            what = f"the client of {self.system} cannot be loaded: {error}"
            raise UsageError(what, f"pip install 'kingslayer[{self.extra}]'") from error

    def facet(self, module: str, name: str, reads: Sequence[str] = ()) -> FacetFactory:
        """Return what makes a facet on a node: `name` of `module`, from the node's address.

        Args:
            reads: how it may be read, the usual way first; then it is told which, by `reads`.
        """

        def make(node: Node, options: Mapping[str, Any]) -> Facet:
            chosen = {"reads": chosen_reads(options, reads, self.system)} if reads else {}
            facet: Facet = self.load(module, name)(self.address(node), **chosen)
            return facet

        return make

    def address(self, node: Node) -> str:
        """Return where a node serves its clients, as "ip:port"."""
        return f"{node.ip}:{self.port}"
