"""Trees of Debian packages: versions, links that stay inside, and packages that are not to be had."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from clusters import trees
from clusters.fetch import SourceError
from clusters.trees import FILES, Tree, ensure, libraries
from harness.errors import ClusterError

TREE = Tree("tool", "1.2", "bookworm", ("tool", "library"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kingslayer"


def package(folder: Path, name: str, version: str) -> Path:
    """Build a real package with a file, a link to /etc and a library's folder."""
    root = folder / name
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: us <us@example.invalid>\nDescription: x\n"
    )
    (root / "etc" / name).mkdir(parents=True)
    (root / "etc" / name / "conf").write_text(name)
    (root / "usr/lib/x-linux-gnu").mkdir(parents=True)
    (root / "usr/lib" / name).symlink_to(f"/etc/{name}/conf")
    subprocess.run(["dpkg-deb", "--build", "-Znone", root, folder], check=True, capture_output=True)
    return next(folder.glob(f"{name}_*.deb"))


class Mirror:
    """Stands for the download: packages that were built here, and how often they were asked for."""

    def __init__(self, version: str) -> None:
        self.version, self.asked = version, 0

    def __call__(self, suite: str, packages: tuple[str, ...]) -> Mirror:
        return self

    def fetch(self, folder: Path) -> list[Path]:
        self.asked += 1
        return [package(folder, "tool", self.version), package(folder, "library", "9")]


@pytest.mark.parametrize("version", ["1.2", "1.2.7-1", "3:1.2.0+dfsg-1", "1.2-3+b1"])
def test_packages_are_unpacked_together_once(monkeypatch: pytest.MonkeyPatch, cache: Path, version: str) -> None:
    """Their links stay in the folder, their libraries are found, and the second time nothing is fetched."""
    mirror = Mirror(version)
    monkeypatch.setattr(trees, "Download", mirror)
    files = ensure(TREE)
    assert (files / "usr/lib/tool").read_text() == "tool"
    assert (files / "usr/lib/library").read_text() == "library"
    assert (files / "usr/lib/tool").readlink() == Path("../../etc/tool/conf")
    assert libraries(files) == str(files / "usr/lib/x-linux-gnu")
    assert ensure(TREE) == files
    assert mirror.asked == 1
    assert {path.name for path in files.parent.iterdir()} == {"files", "lock"}
    assert files.is_relative_to(cache)


@pytest.mark.parametrize("version", ["1.20-1", "1.3", "2:1", "12"])
def test_a_suite_that_has_moved_on_is_refused(monkeypatch: pytest.MonkeyPatch, cache: Path, version: str) -> None:
    """Another version is not taken for the one that was asked for, and leaves nothing in the cache."""
    monkeypatch.setattr(trees, "Download", Mirror(version))
    with pytest.raises(ClusterError, match=rf"it has {version}, not 1\.2") as caught:
        ensure(TREE)
    assert "library" in caught.value.hint
    assert not list(cache.glob(f"*/{FILES}"))


def test_packages_that_cannot_be_had_are_an_error_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the reason, the hint what to do."""

    class Away(Mirror):
        def fetch(self, folder: Path) -> list[Path]:
            raise SourceError("the mirror is away")

    monkeypatch.setattr(trees, "Download", Away("1.2"))
    with pytest.raises(ClusterError, match="the mirror is away") as caught:
        ensure(TREE)
    assert "unpack the packages (tool, library)" in caught.value.hint
