"""Folders of files out of Debian packages, for servers that are more than one binary: from the user's cache, or made.

Several packages of one suite are unpacked into one folder, which is mounted into the nodes at the same path. Nothing
of the host is touched, and nothing of it is needed but its C library: what a server links to is among the packages.

A folder is made under another name and renamed when it is whole, so that a crash never leaves half of one.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from clusters.debian import Download
from clusters.fetch import SourceError, cache_folder, locked, run
from harness.errors import ClusterError

FILES: Final = "files"
"""Below a tree's folder: what was unpacked, as a root file system."""


class Tree(NamedTuple):
    """Packages that are unpacked together.

    Attributes:
        name: of the tree, such as "zookeeper".
        version: that the first package must have; "17" is any 17.x.
        suite: of Debian.
        packages: what to unpack; the first one gives the version.
    """

    name: str
    version: str
    suite: str
    packages: Sequence[str]

    def __str__(self) -> str:
        return f"Debian package {self.packages[0]} of {self.suite}"


def ensure(tree: Tree) -> Path:
    """Return the folder in the cache that holds the unpacked files, making it where it is not there yet.

    Raises:
        ClusterError: the packages cannot be had, or the cache cannot be written; the hint says what to do.
    """
    folder = cache_folder() / f"{tree.name}-{tree.version}-{platform.machine()}"
    if (folder / FILES).is_dir():
        return folder / FILES
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / "lock"):
            if not (folder / FILES).is_dir():
                _make(tree, folder)
    except SourceError as error:
        raise ClusterError(
            f"no source has {tree.name} {tree.version} for {platform.machine()}:\n  - {error}",
            f"make it reachable, or unpack the packages ({', '.join(tree.packages)}) into {folder / FILES} yourself, "
            "or choose another version",
        ) from error
    except OSError as error:
        raise ClusterError(
            f"cannot keep {tree.name} {tree.version} in {folder}: {error.strerror or error}",
            "make the folder writable or free some space, or set XDG_CACHE_HOME to another one",
        ) from error
    return folder / FILES


def libraries(files: Path) -> str:
    """Return LD_LIBRARY_PATH for what runs out of a tree."""
    return ":".join(str(folder) for folder in (*files.glob("lib/*-linux-gnu*"), *files.glob("usr/lib/*-linux-gnu*")))


def _make(tree: Tree, folder: Path) -> None:
    """Download and unpack; the files appear in one step."""
    partial = folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        (partial / FILES).mkdir(mode=0o755, parents=True)
        (partial / "packages").mkdir()
        found = Download(tree.suite, tree.packages).fetch(partial / "packages")
        _require_version(tree, found[0])
        for package in found:
            run(tree, ["dpkg-deb", "--extract", str(package), str(partial / FILES)], cwd=partial)
        _turn_links(partial / FILES)
        os.replace(partial / FILES, folder / FILES)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _require_version(tree: Tree, package: Path) -> None:
    """See that a package is of the version that was asked for: suites move on."""
    said = run(tree, ["dpkg-deb", "--field", str(package), "Version"], cwd=package.parent).strip()
    upstream = said.partition(":")[2] or said  # an epoch
    upstream = upstream.rpartition("-")[0] or upstream
    if not f"{upstream.partition('+')[0]}.".startswith(f"{tree.version}."):
        raise SourceError(f"{tree}: it has {said}, not {tree.version}")


def _turn_links(files: Path) -> None:
    """Make absolute links relative, so that they stay in the folder: /etc/x of a package is not the host's /etc/x."""
    for parent, folders, names in os.walk(files):
        for path in (Path(parent, name) for name in [*folders, *names]):
            if path.is_symlink() and os.path.isabs(target := os.readlink(path)):
                path.unlink()
                path.symlink_to(os.path.relpath(files / target.lstrip("/"), parent))
