"""Whose a leftover is: only what a process that is certainly gone has made may be removed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from clusters import leftovers, owner


def test_a_living_owner_is_not_gone() -> None:
    """This process, read back from its labels, is alive."""
    here = owner.current("run")
    assert owner.parse(here.labels()) == here
    assert not owner.gone(here)


def test_the_dead_the_reused_pid_and_the_last_boot_are_gone() -> None:
    """No such process, another one under the same pid, and any process of an earlier boot are gone."""
    here = owner.current("run")
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    assert owner.gone(msgspec.structs.replace(here, pid=str(ended.pid)))
    assert owner.gone(msgspec.structs.replace(here, start="1"))
    assert owner.gone(msgspec.structs.replace(here, boot="another"))


def test_an_owner_that_cannot_be_seen_counts_as_alive() -> None:
    """In another pid namespace a pid says nothing, so nothing is removed."""
    here = owner.current("run")
    assert not owner.gone(msgspec.structs.replace(here, space="pid:[1]", pid="1", start="1"))


def test_labels_that_are_not_ours_have_no_owner() -> None:
    """Without every one of our labels there is no owner, so nothing is ever removed for a look-alike."""
    labels = owner.current("run").labels()
    assert owner.parse({}) is None
    for name in labels:
        assert owner.parse({other: labels[other] for other in labels if other != name}) is None


def test_folders_go_only_with_their_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead run's folder goes, and an old one that nobody signed; a living run's and a fresh unsigned one stay."""
    monkeypatch.setattr(owner, "runs_folder", lambda: tmp_path)
    for name in ("living", "dead", "fresh", "old"):
        (tmp_path / name).mkdir()
    owner.sign(tmp_path / "living", "living")
    gone = msgspec.structs.replace(owner.current("dead"), start="1")
    (tmp_path / "dead" / owner.SIGNATURE).write_bytes(msgspec.json.encode(gone))
    os.utime(tmp_path / "old", (0, 0))
    assert set(leftovers.clean_folders()) == {f"folder {tmp_path / 'dead'}", f"folder {tmp_path / 'old'}"}
    assert {folder.name for folder in tmp_path.iterdir()} == {"living", "fresh"}
