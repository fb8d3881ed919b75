"""The store: folders that never collide, files that are whole or not there."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from harness.config import RunConfig, RunRecord
from harness.errors import ClusterError, HistoryError
from harness.store import RUN, VERDICT, RunFolder
from harness.verdict import Summary

RECORD = RunRecord(config=RunConfig(system="memory", options={"bug": "x"}), name="n", started="s", nodes={"n1": "ip"})


def test_many_runs_at_once_get_folders_of_their_own(tmp_path: Path) -> None:
    """Runs that begin in the same millisecond do not share a folder; latest points to one of them."""
    found: list[Path] = []

    def create() -> None:
        for _ in range(10):
            found.append(RunFolder.create(tmp_path / "store", "same").path)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 80
    assert (tmp_path / "store" / "latest").resolve() in [path.resolve() for path in found]


def test_latest_points_to_the_newest(tmp_path: Path) -> None:
    """store/latest is replaced by every run, and holds wherever the store is moved to."""
    for name in "ab":
        folder = RunFolder.create(tmp_path / "store", name)
    (tmp_path / "store").rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "latest").resolve() == tmp_path / "moved" / folder.path.relative_to(tmp_path / "store")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """run.json, verdict.json and the logs; what is not there yet is None or empty."""
    folder = RunFolder.create(tmp_path, "run")
    assert (folder.record(), folder.summary(), folder.logs(10)) == (None, None, {})
    folder.write_json(RUN, RECORD)
    folder.write_json(VERDICT, Summary(verdict="valid"))
    folder.write("nodes/n1/server.log", b"0123456789 the end\xff")
    assert (folder.record(), folder.summary()) == (RECORD, Summary(verdict="valid"))
    assert folder.logs(9) == {"n1": {"server.log": " the end\ufffd"}}
    assert sorted(path.name for path in folder.path.iterdir()) == ["nodes", RUN, VERDICT]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"verdict": "fine"}', b"\xff"])
def test_a_corrupt_file_is_named(tmp_path: Path, data: bytes) -> None:
    """The error names the file, and says that the history may be intact."""
    folder = RunFolder.create(tmp_path, "run")
    folder.write(RUN, data)
    folder.write(VERDICT, data)
    for name, read in ((RUN, folder.record), (VERDICT, folder.summary)):
        with pytest.raises(HistoryError, match="cannot be read") as caught:
            read()
        assert str(folder.path / name) in caught.value.message


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    """A store below a file is a ClusterError with what to do, and so is a file below a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ClusterError, match="cannot be written") as caught:
        RunFolder.create(tmp_path / "file" / "store", "run")
    assert "--store" in caught.value.hint
    folder = RunFolder.create(tmp_path, "run")
    folder.write("nodes", "a file")
    with pytest.raises(ClusterError, match="cannot be written"):
        folder.write("nodes/n1/log", "text")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """A file that cannot be replaced stays whole, and no partial one is left beside it."""
    folder = RunFolder.create(tmp_path, "run")
    (folder.path / RUN).mkdir()
    (folder.path / RUN / "x").write_text("")
    with pytest.raises(ClusterError):
        folder.write(RUN, b"new")
    assert [path.name for path in folder.path.iterdir()] == [RUN]
