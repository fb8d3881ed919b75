"""Binaries out of packages of any Debian suite, from the mirror that this host's apt uses, without touching its apt.

apt-get runs with a configuration, lists and a cache of its own, so it needs no root and changes nothing. The host's
mirror, keyring, proxy and credentials are taken from its own configuration; its hooks are not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from clusters.fetch import CONNECT_TIMEOUT_S, SourceError, run

_SUITES: Final = frozenset(
    ("oldstable", "stable", "testing", "unstable", "sid", "buster", "bullseye", "bookworm", "trixie", "forky", "duke")
)
"""Suites of the Debian archive itself: its mirror is the one that has them (security and backports end otherwise)."""


class Mirror(NamedTuple):
    """The Debian archive as this host's apt reaches it.

    Attributes:
        uri: of the archive.
        signed_by: a keyring's path, or "" for apt's trusted ones.
    """

    uri: str
    signed_by: str


def find_mirror(etc: Path = Path("/etc/apt")) -> Mirror | None:
    """Return the mirror of Debian's archive in this host's sources, None where there is none."""
    for entry in _entries(etc):
        types, suites, components = (entry.get(name, "").split() for name in ("types", "suites", "components"))
        if "deb" in types and "main" in components and _SUITES.intersection(suites) and entry.get("uris"):
            signed_by = entry.get("signed-by", "")
            return Mirror(entry["uris"].split()[0], signed_by if signed_by.startswith("/") else "")
    return None


def _entries(etc: Path) -> Iterator[Mapping[str, str]]:
    """Yield every source of the host's apt, in the newer format's words."""
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]:
        if path.is_file():
            yield from _one_line_entries(path.read_text(errors="replace").splitlines())
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        yield from _stanzas(path.read_text(errors="replace"))


def _one_line_entries(lines: Iterable[str]) -> Iterator[Mapping[str, str]]:
    """Read `deb [options] uri suite component…`."""
    for line in lines:
        match = re.match(r"(deb)\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line.strip())
        if match:
            kind, options, uri, suite, components = match.groups()
            signed = re.search(r"signed-by=(\S+)", options or "")
            yield {
                "types": kind, "uris": uri, "suites": suite, "components": components,
                "signed-by": signed[1] if signed else "",
            }  # fmt: skip


def _stanzas(text: str) -> Iterator[Mapping[str, str]]:
    """Read stanzas of `Field: value`, continued on lines that begin with a space."""
    for stanza in re.split(r"\n\s*\n", text):
        entry: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                entry[name] = f"{entry.get(name, '')} {line.strip()}".strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                entry[name] = value.strip()
        if entry.get("enabled", "yes").lower() != "no":
            yield entry


class Download(NamedTuple):
    """Packages of a Debian suite, by the host's mirror and keys but with lists and a cache of their own.

    Attributes:
        suite, packages: what to download.
        etc: the host's apt configuration.
    """

    suite: str
    packages: Sequence[str]
    etc: Path = Path("/etc/apt")

    def __str__(self) -> str:
        return f"Debian package {self.packages[0]} of {self.suite}"

    def fetch(self, folder: Path) -> list[Path]:
        """Download into an empty folder; return the packages' files, in the order that was asked for.

        Raises:
            SourceError: why not, in one line.
        """
        mirror = find_mirror(self.etc)
        if mirror is None:
            raise SourceError(f"{self}: this host's apt has no mirror of Debian in {self.etc}")
        env = os.environ | {"APT_CONFIG": str(self._configure(folder, mirror)), "LC_ALL": "C"}
        run(self, ["apt-get", "--quiet", "update", "--error-on=any"], cwd=folder, env=env)
        wanted = [f"{package}/{self.suite}" for package in self.packages]
        run(self, ["apt-get", "--quiet", "download", *wanted], cwd=folder, env=env)
        return [self._file(folder, package) for package in self.packages]

    def _file(self, folder: Path, package: str) -> Path:
        found = list(folder.glob(f"{package}_*.deb"))
        if not found:
            raise SourceError(f"{self}: {package} was not downloaded")
        return found[0]

    def _configure(self, folder: Path, mirror: Mirror) -> Path:
        """Write a configuration of apt that keeps everything in the folder; return its path."""
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        option = f"[signed-by={mirror.signed_by}] " if mirror.signed_by else ""
        (folder / "sources.list").write_text(f"deb {option}{mirror.uri} {self.suite} main\n")
        (folder / "status").touch()
        settings = {
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            # The host's hooks would run, and its index targets would fetch six times as much.
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::main": "/dev/null",
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            # As root apt would change to a user who cannot reach this folder.
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": 0,
            "Acquire::http::Timeout": CONNECT_TIMEOUT_S,
            "Acquire::https::Timeout": CONNECT_TIMEOUT_S,
        }
        host = run(self, ["apt-config", "dump", "--no-empty"], cwd=folder).splitlines()
        lines = [line for line in host if line.startswith("Acquire::") and "::IndexTargets" not in line]
        lines += [f'{name} "{value}";' for name, value in settings.items()]
        path = folder / "apt.conf"
        path.write_text("\n".join(lines) + "\n")
        return path


class Package(NamedTuple):
    """A binary inside a package of a Debian suite.

    Attributes:
        package, suite: what to download.
        member: the binary's path in the package.
        etc: the host's apt configuration.
    """

    package: str
    suite: str
    member: str
    etc: Path = Path("/etc/apt")

    def __str__(self) -> str:
        return f"Debian package {self.package} of {self.suite}"

    def fetch(self, folder: Path) -> Path:
        """See clusters.fetch.Source."""
        (package,) = Download(self.suite, (self.package,), self.etc).fetch(folder)
        run(self, ["dpkg-deb", "--extract", str(package), str(folder / "files")], cwd=folder)
        binary = folder / "files" / self.member
        if not binary.is_file():
            raise SourceError(f"{self}: no {self.member} in it")
        return binary
