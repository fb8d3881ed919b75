"""What people install is what we mean to ship."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.source import PACKAGES, ROOT, python_files

DATA = {"clusters/image/Dockerfile"}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in a wheel built without a C compiler; `make setup` is the other case."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    # from a copy: building leaves files in the tree that it builds
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    for name in names:
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    argv = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder / "out"), str(tree)]
    env = {name: value for name, value in os.environ.items() if name != "KINGSLAYER_REQUIRE_NATIVE"}
    subprocess.run(argv, check=True, capture_output=True, env={**env, "CC": "/nonexistent/cc"})
    (wheel,) = (folder / "out").glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_the_packages_and_nothing_else(shipped: set[str]) -> None:
    """The six packages, kingslayer.py, data and metadata; no tests, no benchmarks, and here nothing compiled."""
    code = {str(path) for path in python_files() if path.parts[0] in PACKAGES} | {"kingslayer.py"}
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "reports/templates").iterdir()}
    kernels = {str(path.relative_to(ROOT)) for path in ROOT.glob("*/_kernels/*.pxd")}
    metadata = {name for name in shipped if ".dist-info/" in name}
    assert shipped - metadata == code | DATA | templates | kernels


def test_the_wheel_has_its_licence_and_its_plugin(shipped: set[str]) -> None:
    """Licence and entry points are in the metadata."""
    names = {Path(name).name for name in shipped if ".dist-info/" in name}
    assert {"LICENSE", "entry_points.txt", "METADATA"} <= names
