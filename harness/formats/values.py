r"""Values of EDN as the JSON of a History: different values stay different.

What JSON has, stays. Everything else becomes text that begins with a mark: a keyword `:name`, a character `\c`, a
symbol `'name`, all others `#` and their EDN. A string that begins with a mark itself is put in quotation marks, which
are a mark too. Vectors, lists and sets become arrays, a set's in order.
"""

from __future__ import annotations

import math
from typing import Any, Final

from harness.formats.edn import DEPTH_MAX
from harness.formats.edn_atoms import Char, Keyword, Symbol
from harness.formats.edn_writer import write

_MARKS: Final = (":", "\\", "'", "#", '"')
_NAMES: Final = (str, Keyword, Symbol, Char)  # what can be the name of a field in JSON
_JSON_INTEGER_MAX: Final = 2**63


def to_json(value: Any, depth: int = 0) -> Any:
    """Return a value of EDN as JSON.

    Raises:
        ValueError: collections are nested too deeply, which EDN's reader sees to, and JSON's does not.
    """
    kind = type(value)
    if kind is int:
        return value if -_JSON_INTEGER_MAX <= value < _JSON_INTEGER_MAX else f"#{write(value)}"
    if value is None or kind is bool:
        return value
    if kind is str:
        return write(value) if value.startswith(_MARKS) else value
    if depth > DEPTH_MAX:
        raise ValueError(f"more than {DEPTH_MAX} levels of nesting")
    if kind is tuple or kind is list:
        return [to_json(item, depth + 1) for item in value]
    if kind is frozenset:
        return [to_json(item, depth + 1) for item in sorted(value, key=_order)]
    if kind is float and math.isfinite(value):
        return value
    if kind is Keyword or kind is Char:
        return write(value)
    if kind is Symbol:
        return f"'{value.name}"
    if isinstance(value, dict) and all(type(key) in _NAMES for key in value):
        return {to_json(key): to_json(item, depth + 1) for key, item in value.items()}
    return f"#{write(value)}"


def _order(value: Any) -> tuple[int, Any]:
    return (0, value) if isinstance(value, int | float) and not math.isnan(value) else (1, write(value))
