"""The commands check and export on files: several at once, formats, exit codes, JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

STALE = """{:process 0 :type :invoke :f :write :value 1}{:process 0 :type :ok :f :write :value 1}
{:process 0 :type :invoke :f :write :value 2}{:process 0 :type :ok :f :write :value 2}
{:process 1 :type :invoke :f :read}{:process 1 :type :ok :f :read :value 1}"""
FINE = STALE.replace(":read :value 1", ":read :value 2")


def kingslayer(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    argv = [sys.executable, "-c", "from harness.cli import main; main()", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def files(folder: Path) -> tuple[Path, Path]:
    """Write a valid and an invalid history."""
    (folder / "fine.edn").write_text(FINE)
    (folder / "stale.edn").write_text(STALE)
    return folder / "fine.edn", folder / "stale.edn"


def test_several_files_are_one_result(tmp_path: Path) -> None:
    """The worst verdict wins, each file has its own, and anomalies name the file they are in."""
    fine, stale = files(tmp_path)
    done = kingslayer("check", fine, stale, "--model", "register", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["verdict"]) == (1, "invalid")
    assert found["files"] == {str(fine): "valid", str(stale): "invalid"}
    assert [anomaly["file"] for anomaly in found["anomalies"]] == [str(stale)]
    assert found["ops"] == {"invoke": 6, "ok": 6, "fail": 0, "info": 0}


def test_one_file_is_as_ever(tmp_path: Path) -> None:
    """A single file's result names no file, and a small history alone is no failed run."""
    fine, _ = files(tmp_path)
    done = kingslayer("check", fine, "--model", "register", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["verdict"]) == (0, "valid")
    assert "files" not in found


def test_people_see_each_file(tmp_path: Path) -> None:
    """Without --json, every file is named above its verdict."""
    fine, stale = files(tmp_path)
    done = kingslayer("check", fine, stale, "--model", "register")
    assert done.returncode == 1
    assert f"{fine}\nVALID" in done.stdout
    assert f"{stale}\nINVALID" in done.stdout


def test_a_malformed_file_ends_the_command(tmp_path: Path) -> None:
    """One file that cannot be read is a usage error, with one JSON object that says which."""
    fine, stale = files(tmp_path)
    stale.write_text(STALE[:-9])
    done = kingslayer("check", fine, stale, "--model", "register", "--json")
    assert done.returncode == 2
    assert f"{stale}:3:" in json.loads(done.stdout)["error"]
    assert "Traceback" not in done.stderr


def test_export_and_check_again(tmp_path: Path) -> None:
    """An export gets the verdict of what it was made of; a history is not overwritten by its own export."""
    _, stale = files(tmp_path)
    out = tmp_path / "out.edn"
    done = kingslayer("export", stale, "--to", "jepsen-edn", "--output", out)
    assert (done.returncode, done.stdout) == (0, f"{out}\n")
    assert kingslayer("check", out, "--model", "register").returncode == 1
    assert kingslayer("export", stale, "--to", "jepsen-edn").returncode == 2
    assert stale.read_text() == STALE
