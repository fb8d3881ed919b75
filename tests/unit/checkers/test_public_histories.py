"""Recorded histories of real systems get the verdict that their source says they deserve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import checkers
from harness.check import check
from harness.errors import HistoryError, UsageError

_ROOT = Path(__file__).parents[3]
_FOLDER = _ROOT.parent / "shared" / "data" / "histories"
_LIMIT_S = 60.0


def _entries() -> list[Any]:
    return [
        pytest.param(file.parent / name, entry["model"].split()[0], entry["expected"], id=f"{file.parent.name}/{name}")
        for file in sorted(_FOLDER.glob("*/expected.json"))
        for name, entry in json.loads(file.read_text())["files"].items()
    ]


def _supported(model: str) -> bool:
    try:
        return bool(checkers.checker_for(model))
    except UsageError:
        return False


_ABSENT = pytest.param(None, "", None, marks=pytest.mark.skip("the public histories are not beside this checkout"))
_ENTRIES = _entries() or [_ABSENT]


@pytest.mark.parametrize(("path", "model", "expected"), _ENTRIES)
def test_a_public_history_gets_its_verdict(path: Path, model: str, expected: bool | None) -> None:
    """The format is found, and the verdict is the source's own; what is not supported says so."""
    warnings: list[str] = []
    if not _supported(model):
        with pytest.raises(UsageError, match=model):
            check(path, model, _LIMIT_S, warnings.append)
    elif expected is None:  # its cluster never started
        with pytest.raises(HistoryError, match="no event in it"):
            check(path, model, _LIMIT_S, warnings.append)
    else:
        summary, _ = check(path, model, _LIMIT_S, warnings.append)
        assert (summary.verdict, warnings) == ("valid" if expected else "invalid", [])
