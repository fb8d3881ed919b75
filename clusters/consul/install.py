"""Where each version of Consul comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from clusters.debian import Package
from clusters.fetch import Binary, Source, ensure

PACKAGED: Final[Mapping[str, Sequence[Source]]] = {"1.8.7": [Package("consul", "bullseye", "usr/bin/consul")]}

VERSIONS: Final = tuple(PACKAGED)


def install(version: str) -> Path:
    """Return the path of Consul's binary on this host, fetching it where needed.

    Raises:
        ClusterError: no source has it.
    """
    return ensure(Binary("consul", version, ("version",), PACKAGED[version]))
