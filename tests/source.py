"""What the tests of the project's shape look at: every Python file that git knows, parsed."""

from __future__ import annotations

import ast
import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("harness", "clusters", "nemesis", "workloads", "checkers", "reports")


@functools.cache
def python_files() -> tuple[Path, ...]:
    """Return the project's Python files, relative to its root."""
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    names = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return tuple(sorted(Path(name) for name in names if (ROOT / name).exists()))


@functools.cache
def parsed(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse((ROOT / path).read_text(), str(path))


def module_name(path: Path) -> str:
    """Return the dotted name of a file."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere, late imports too, as dotted names."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from harness import store` imports harness.store, so both are named
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found
