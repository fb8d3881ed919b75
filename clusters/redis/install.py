"""Where each version of Redis comes from, with the libraries that it is linked to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from clusters.trees import Tree, ensure, libraries

_PACKAGES: Final = (
    "redis-server", "redis-tools", "libatomic1", "libcap2", "libgcrypt20", "libgpg-error0", "libjemalloc2", "liblz4-1",
    "liblzf1", "liblzma5", "libssl3", "libstdc++6", "libgcc-s1", "libsystemd0", "libzstd1",
)  # fmt: skip

TREES: Final[Mapping[str, Tree]] = {"7.0.15": Tree("redis", "7.0.15", "bookworm", _PACKAGES)}

VERSIONS: Final = tuple(TREES)


class Installed(NamedTuple):
    """Where things are on this host, and on every node.

    Attributes:
        folder: that a node must be able to read.
        server: the program; with --sentinel it is one.
        libraries: LD_LIBRARY_PATH for it.
    """

    folder: Path
    server: Path
    libraries: str


def install(version: str) -> Installed:
    """Return where a version is on this host, fetching it where needed.

    Raises:
        ClusterError: no source has it.
    """
    files = ensure(TREES[version])
    return Installed(files, files / "usr/bin/redis-server", libraries(files))
