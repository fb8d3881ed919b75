"""What a workload is: operations, a generator, and the checkers that it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from harness.errors import UsageError
from harness.facets import Facet
from harness.generator import Generator
from harness.protocols import Checker, Client


class Workload(Protocol):
    """One workload on one facet or a few; made anew for each run, for it may remember what it asked.

    Attributes:
        name: such as "register".
        summary: one line for people.
        facets: those that a system must have.
        options: what `--option` may set: name → the allowed values, or () for any.
    """

    name: str
    summary: str
    facets: Sequence[str]
    options: Mapping[str, Sequence[str]]

    @property
    def client(self) -> Callable[..., Client]:
        """Return what makes a client that does this workload's calls, of one unopened facet each."""

    def generator(self) -> Generator:
        """Return what the clients do while faults come and go; without end."""

    def final(self) -> Generator:
        """Return what they do after the last heal, such as final reads; must end by itself on a healthy cluster."""

    def checkers(self) -> Sequence[Checker]:
        """Return what decides."""


WorkloadFactory = Callable[[Mapping[str, Any]], Workload]
"""Makes a workload from the run's options. Raises UsageError for an option's wrong value."""


@runtime_checkable
class Freezable(Protocol):
    """A facet in a client process of its own."""

    async def alive(self) -> None:
        """Return as soon as that process runs."""


class FacetClient:
    """A client whose calls are methods of one facet: the base of the workloads' clients."""

    def __init__(self, facet: Facet) -> None:
        self._facet = facet

    async def open(self) -> None:
        """Open the facet."""
        await self._facet.open()

    async def alive(self) -> None:
        """Return at once, unless the process that holds this client is frozen: then as soon as it goes on.

        A client that believes something, such as that it holds a lock, waits for this before it acts on it: thereby
        it can freeze in between, as a program of its own could.
        """
        if isinstance(self._facet, Freezable):
            await self._facet.alive()

    async def close(self) -> None:
        """Close the facet."""
        await self._facet.close()


def ttl_option(options: Mapping[str, Any], usual_s: float) -> float:
    """Return the option ttl_s in seconds; `usual_s` where it is not given.

    Raises:
        UsageError: it is no number, or none that makes sense.
    """
    text = options.get("ttl_s", usual_s)
    try:
        ttl_s = float(text)
    except ValueError:
        ttl_s = 0.0
    if not 0.01 <= ttl_s <= 60:
        raise UsageError(
            f"ttl_s={text} is no time to live", f"give seconds between 0.01 and 60, such as ttl_s={usual_s:g}"
        )
    return ttl_s
