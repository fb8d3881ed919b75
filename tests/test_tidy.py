"""The shape of the files: small, said what for, and of no one machine."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source import PACKAGES, ROOT, parsed, python_files

FILE_LINES = 400
FUNCTION_LINES = 70
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
CHECKER_SECTIONS = ("Detects", "Cannot detect", "Cost", "Why it is sound")
MACHINE_PATH = re.compile(r"(^|[\s\"'`(=:])/(work|farm|root|home)/")
LATER = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
TEXT = {".py", ".md", ".toml", ".html", ".css", ".js", ".ini", ".yml", ""}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a file, nested ones too."""
    return (node for node in ast.walk(parsed(path)) if isinstance(node, FUNCTION))


def test_files_and_functions_are_small() -> None:
    """No file has more than 400 lines, no function more than 70."""
    long = {str(path): n for path in python_files() if (n := (ROOT / path).read_text().count("\n")) > FILE_LINES}
    for path in python_files():
        for node in functions(path):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES:
                long[f"{path}:{node.name}"] = lines
    assert long == {}


def test_everything_public_says_what_it_is() -> None:
    """Public modules, classes and functions of the packages have docstrings; a method of a protocol's name may not."""
    silent = []
    for path in python_files():
        if path.parts[0] not in PACKAGES:
            continue
        tree = parsed(path)
        if not ast.get_docstring(tree):
            silent.append(str(path))
        for node in tree.body:
            if isinstance(node, (*FUNCTION, ast.ClassDef)) and not node.name.startswith("_"):
                silent += [] if ast.get_docstring(node) else [f"{path}:{node.name}"]
    assert silent == []


def test_checkers_say_what_they_can() -> None:
    """Each checker's docstring has its four sections."""
    lacking = {}
    for path in python_files():
        if path.parts[0] != "checkers":
            continue
        for node in parsed(path).body:
            methods = (
                {each.name for each in node.body if isinstance(each, FUNCTION)} if hasattr(node, "body") else set()
            )
            if isinstance(node, ast.ClassDef) and "check" in methods:
                missing = [name for name in CHECKER_SECTIONS if name not in (ast.get_docstring(node) or "")]
                if missing:
                    lacking[node.name] = missing
    assert lacking == {}


def test_tests_state_their_property() -> None:
    """Every test has a docstring of one sentence."""
    silent = [
        f"{path}:{node.name}"
        for path in python_files()
        if path.name.startswith("test_")
        for node in functions(path)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


@pytest.mark.parametrize("pattern", [MACHINE_PATH, LATER], ids=["machine path", "left for later"])
def test_nothing_of_one_machine_or_of_another_day(pattern: re.Pattern[str]) -> None:
    """No path of a developer's machine stands in the project, and nothing is left for later."""

    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    found = []
    for name in names:
        path = ROOT / name
        if path.suffix in TEXT and path.is_file() and path != Path(__file__):
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if pattern.search(line):
                    found.append(f"{name}:{number}: {line.strip()[:100]}")
    assert found == []


def test_test_files_have_names_of_their_own() -> None:
    """pytest cannot collect two test files of one name without packages around them."""
    names = [path.name for path in python_files() if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))
