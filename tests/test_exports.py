"""What the packages promise to export is there."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.source import PACKAGES, module_name, parsed, python_files

PUBLIC = Path("kingslayer.py")


def exported(path: Path) -> list[str]:
    """Return the names in a module's __all__; empty where it has none."""
    for node in parsed(path).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return list(importlib.import_module(module_name(path)).__all__)
    return []


@pytest.mark.parametrize(
    "path",
    [path for path in python_files() if path.parts[0] in (*PACKAGES, "kingslayer.py") and exported(path)],
    ids=str,
)
def test_exported_names_are_there(path: Path) -> None:
    """Every name in __all__ resolves, and stands there once."""
    module = importlib.import_module(module_name(path))
    names = exported(path)
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(module, name)] == []


def test_the_public_face_is_light() -> None:
    """`import kingslayer` loads nothing heavy; its names do when they are used."""
    heavy = "{'numpy', 'docker', 'plotly', 'grpc', 'jinja2', 'rich'}"
    code = f"import sys, kingslayer; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
