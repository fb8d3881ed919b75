"""Who may import whom (docs/architecture.md), late imports included."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.source import PACKAGES, imports, module_name, python_files

KERNEL_MODULES = {
    *("op", "columns", "lines", "history", "verdict", "errors"),
    *("facets", "capabilities", "nodes", "protocols", "config", "leaders", "plain_kernel"),
}
KERNEL = {f"harness.{name}" for name in KERNEL_MODULES} | {"harness._kernels"}
KERNEL_NEEDS = {"msgspec", "numpy", "cython"}
PARTS = ("checkers", "nemesis", "clusters", "reports")
FACES = {"harness.cli", "harness.plugin"}
OWN = [path for path in python_files() if path.parts[0] in PACKAGES]


def ours(path: Path) -> set[str]:
    """Return the modules of this project that a file imports."""
    modules = {module_name(each) for each in OWN}
    return {name for name in imports(path) if name in modules}


def beyond(path: Path, *allowed: str) -> set[str]:
    """Return what a file imports of this project outside some packages and modules."""
    return {
        name
        for name in ours(path)
        if not any(name == each or name.startswith(f"{each}.") for each in allowed) and name not in PACKAGES
    } | {name for name in ours(path) if name in PACKAGES and name not in {each.split(".")[0] for each in allowed}}


def of(package: str) -> list[Path]:
    """Return the files of a package."""
    return [path for path in OWN if path.parts[0] == package]


@pytest.mark.parametrize(
    "path", [path for path in OWN if any(module_name(path).startswith(name) for name in KERNEL)], ids=str
)
def test_the_kernel_needs_little(path: Path) -> None:
    """The kernel imports itself, the standard library, msgspec and numpy, and cython for its loops."""
    assert not beyond(path, *KERNEL)
    third_party = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names) - {"harness"}
    assert third_party <= KERNEL_NEEDS


@pytest.mark.parametrize("package", PARTS)
def test_parts_know_the_kernel_and_not_each_other(package: str) -> None:
    """checkers, nemesis, clusters and reports import the kernel and themselves."""
    assert {str(path): found for path in of(package) if (found := beyond(path, package, *KERNEL))} == {}


def test_workloads_know_generators_and_checkers() -> None:
    """Workloads import the kernel, the generators and the checkers; the shipped suite is a test of its own."""
    allowed = ("workloads", "harness.generator", "checkers", *KERNEL)
    paths = [path for path in of("workloads") if path.name != "suite.py"]
    assert {str(path): found for path in paths if (found := beyond(path, *allowed))} == {}


def test_nobody_imports_the_faces() -> None:
    """The command line and the pytest plugin are imported by nobody."""
    assert {str(path): found for path in OWN if (found := ours(path) & FACES)} == {}


AGENT = [path for path in OWN if module_name(path).startswith("clusters.agent")]


@pytest.mark.parametrize("path", AGENT, ids=str)
def test_the_agent_needs_only_the_standard_library(path: Path) -> None:
    """The node agent travels to nodes that have nothing but Python: its files import that and one another."""
    foreign = {name for name in imports(path) if not name.startswith("clusters.agent")}
    assert {name.split(".")[0] for name in foreign} <= set(sys.stdlib_module_names)
