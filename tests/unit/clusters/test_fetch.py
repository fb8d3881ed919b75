"""Fetching binaries: cache, crash, two processes at once, sources that lie, hang or are away."""

from __future__ import annotations

import hashlib
import io
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clusters import fetch
from clusters.debian import Package
from clusters.fetch import Binary, Release, SourceError, ensure
from harness.errors import ClusterError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kingslayer"


def script(version: str) -> str:
    return f"#!/bin/sh\necho tool Version: {version}\n"


@dataclass
class Script:
    """A source whose binary is a shell script that prints a version."""

    version: str
    calls: list[Path] = field(default_factory=list)

    def fetch(self, folder: Path) -> Path:
        self.calls.append(folder)
        (folder / "got").write_text(script(self.version))
        return folder / "got"


class Away:
    """A source that does not answer."""

    def fetch(self, folder: Path) -> Path:
        raise SourceError("the far mirror: connection refused")


def tool(*sources: fetch.Source) -> Binary:
    return Binary("tool", "1.2.3", ("--version",), sources)


def test_the_second_time_it_comes_from_the_cache() -> None:
    """A binary that is in the cache and runs is not fetched again."""
    source = Script("1.2.3")
    path = ensure(tool(source))
    assert ensure(tool(source, Away())) == path
    assert len(source.calls) == 1


def test_sources_are_tried_in_their_order_and_must_have_the_version() -> None:
    """A source that is away or has moved on to another version is passed over."""
    moved, good, spare = Script("1.2.4"), Script("1.2.3"), Script("1.2.3")
    path = ensure(tool(Away(), moved, good, spare))
    assert subprocess.run([path], capture_output=True, text=True, check=True).stdout == "tool Version: 1.2.3\n"
    assert (len(moved.calls), len(good.calls), len(spare.calls)) == (1, 1, 0)


def test_when_all_fail_the_error_says_what_was_tried_and_what_to_do(cache: Path) -> None:
    """The message lists every source with its reason, the hint names the place to put the binary."""
    with pytest.raises(ClusterError) as caught:
        ensure(tool(Away(), Script("1.2.4")))
    assert "connection refused" in caught.value.message
    assert "it has 1.2.4, not 1.2.3" in caught.value.message
    assert str(cache) in caught.value.hint


def test_what_a_crash_left_is_replaced() -> None:
    """A half-made folder and a binary that does not run are no obstacle."""
    path = ensure(tool(Script("1.2.3")))
    path.write_text("half a bin")
    (path.parent / "partial").mkdir()
    (path.parent / "partial" / "rest").write_text("rest")
    source = Script("1.2.3")
    assert ensure(tool(source)) == path
    assert len(source.calls) == 1
    assert sorted(left.name for left in path.parent.iterdir()) == ["lock", "tool"]


def test_a_cache_that_cannot_be_written_is_the_environments_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the folder and the variable that moves it."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ClusterError) as caught:
        ensure(tool(Script("1.2.3")))
    assert str(tmp_path / "file") in caught.value.message
    assert "XDG_CACHE_HOME" in caught.value.hint


PROCESS = """
import sys
from pathlib import Path
from clusters.fetch import Binary, ensure
class Counting:
    def fetch(self, folder):
        with open(sys.argv[1], "a") as count:
            count.write("fetched\\n")
        (folder / "got").write_text("#!/bin/sh\\necho 1.2.3\\n")
        return folder / "got"
print(ensure(Binary("tool", "1.2.3", (), [Counting()])))
"""


def test_processes_at_once_fetch_once_and_agree(tmp_path: Path) -> None:
    """Of several processes that want the same binary one fetches, and all get the whole file."""
    argv = [sys.executable, "-c", PROCESS, str(tmp_path / "count")]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    paths = {process.communicate(timeout=60)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert len(paths) == 1
    assert (tmp_path / "count").read_text() == "fetched\n"


@dataclass
class Site:
    """A web server with a folder, as the makers of a server publish it."""

    folder: Path
    base: str

    def publish(self, content: str, *, sum_of: bytes | None = None) -> Release:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as archive:
            member = tarfile.TarInfo("tool-v1/tool")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
        (self.folder / "tool.tar.gz").write_bytes(data.getvalue())
        digest = hashlib.sha256(sum_of or data.getvalue()).hexdigest()
        (self.folder / "SUMS").write_text(f"{'0' * 64}  other.zip\n{digest}  tool.tar.gz\n")
        return Release(self.base, "tool.tar.gz", "SUMS", "tool-v1/tool")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Site(folder, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def test_a_release_is_taken_when_its_sum_is_right(site: Site) -> None:
    """The archive is fetched, its sum compared, the binary taken out and run."""
    path = ensure(tool(site.publish(script("1.2.3"))))
    assert path.read_text() == script("1.2.3")


def test_a_release_whose_sum_is_wrong_is_never_run(site: Site) -> None:
    """A damaged archive is refused."""
    with pytest.raises(ClusterError, match="SHA-256"):
        ensure(tool(site.publish(script("1.2.3"), sum_of=b"other")))


def test_a_release_that_is_not_there_says_so(site: Site) -> None:
    """A missing list of sums is a reason, not a traceback."""
    with pytest.raises(ClusterError, match="404"):
        ensure(tool(Release(site.base, "tool.tar.gz", "SUMS", "tool")))


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


def test_a_release_that_does_not_answer_ends_in_bounded_time(
    silent_server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time-out of the connection ends it."""
    monkeypatch.setattr(fetch, "CONNECT_TIMEOUT_S", 0.1)
    with pytest.raises(ClusterError, match="timed out"):
        ensure(tool(Release(f"http://127.0.0.1:{silent_server}", "tool.tar.gz", "SUMS", "tool")))


needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt-get is not installed")


def etc_with(tmp_path: Path, uri: str) -> Path:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "sources.list").write_text(f"deb {uri} stable main\n")
    return etc


@needs_apt
def test_a_mirror_that_refuses_is_named(tmp_path: Path) -> None:
    """The reason that apt gives reaches the user."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ClusterError, match=f"127.0.0.1:{port}"):
        ensure(tool(Package("tool", "stable", "usr/bin/tool", etc_with(tmp_path, f"http://127.0.0.1:{port}/debian"))))


@needs_apt
def test_a_mirror_that_does_not_answer_ends_in_bounded_time(
    tmp_path: Path, silent_server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever apt does, the fetch ends."""
    monkeypatch.setattr(fetch, "FETCH_TIMEOUT_S", 2)
    source = Package("tool", "stable", "usr/bin/tool", etc_with(tmp_path, f"http://127.0.0.1:{silent_server}/debian"))
    with pytest.raises(ClusterError, match="no end within 2 s"):
        ensure(tool(source))


def test_a_host_without_a_mirror_of_debian_says_so(tmp_path: Path) -> None:
    """On another distribution the source is passed over, with the reason."""
    with pytest.raises(ClusterError, match="no mirror of Debian"):
        ensure(tool(Package("tool", "stable", "usr/bin/tool", tmp_path)))
