"""Where each version of ZooKeeper comes from, and the Java that runs it: Debian packages, unpacked in the cache."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from clusters.trees import Tree, ensure, libraries
from harness.errors import ClusterError

_SUITES: Final[Mapping[str, str]] = {"3.8.0": "bookworm", "3.9.3": "trixie", "3.9.6": "sid"}

VERSIONS: Final = tuple(_SUITES)

_PACKAGES: Final = ("libzookeeper-java", "libslf4j-java", "libdropwizard-metrics-java", "libsnappy-java")
_JARS: Final = ("zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-simple", "metrics-core", "snappy-java")

# One Java for all: it runs on the nodes' own C library, which is of this suite or a newer one.
_JAVA: Final = Tree(
    "jre", "17", "bookworm", ("openjdk-17-jre-headless", "zlib1g", "libstdc++6", "libgcc-s1")
)  # fmt: skip


class Installed(NamedTuple):
    """Where things are on this host, and on every node.

    Attributes:
        folders: that a node must be able to read.
        java: the program.
        libraries: LD_LIBRARY_PATH for it.
        classpath: ZooKeeper's jars and what they need.
    """

    folders: tuple[Path, ...]
    java: Path
    libraries: str
    classpath: str


def install(version: str) -> Installed:
    """Return where a version is on this host, fetching it where needed.

    Raises:
        ClusterError: no source has it.
    """
    runtime = ensure(_JAVA)
    files = ensure(Tree("zookeeper", version, _SUITES[version], _PACKAGES))
    programs = sorted(runtime.glob("usr/lib/jvm/java-17-openjdk-*/bin/java"))
    jars = [files / "usr/share/java" / f"{name}.jar" for name in _JARS]
    missing = [str(jar) for jar in jars if not jar.is_file()] + ([] if programs else [f"{runtime}/…/bin/java"])
    if missing:
        raise ClusterError(
            f"ZooKeeper {version} lacks {', '.join(missing)}", f"remove {files.parent} and {runtime.parent}, run again"
        )
    return Installed((runtime, files), programs[0], libraries(runtime), ":".join(map(str, jars)))
