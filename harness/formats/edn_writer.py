"""The writer of EDN: the other half of harness.formats.edn."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from harness.formats.edn import Tagged
from harness.formats.edn_atoms import CHARS, ESCAPES, SPECIAL, Char, Keyword, Symbol


def write(value: Any) -> str:
    """Return the EDN of a value: JSON's types, and those of this module.

    Raises:
        TypeError: a value of another type.
    """
    if value is None or isinstance(value, bool):
        return {None: "nil", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int):
        return str(value) if -(2**63) <= value < 2**63 else f"{value}N"
    if isinstance(value, float):
        return next((name for name, special in SPECIAL.items() if repr(special) == repr(value)), repr(value))
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(write, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{write(key)} {write(item)}' for key, item in value.items())}}}"
    if isinstance(value, frozenset | set):
        return f"#{{{' '.join(sorted(map(write, value)))}}}"
    if isinstance(value, Keyword):
        return f":{value.name}"
    if isinstance(value, Symbol):
        return value.name
    if isinstance(value, Char):
        return _written_char(value.text)
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Decimal):
        return f"{value}M"
    if isinstance(value, Tagged):
        return f"#{value.tag} {write(value.value)}"
    raise TypeError(f"no EDN for {type(value).__name__}")


_WRITTEN_ESCAPES: Final = {ord(plain): f"\\{escape}" for escape, plain in ESCAPES.items()}
_WRITTEN_CHARS: Final = {plain: name for name, plain in CHARS.items()}


def _quoted(text: str) -> str:
    return f'"{text.translate(_WRITTEN_ESCAPES)}"'


def _written_char(text: str) -> str:
    if text in _WRITTEN_CHARS:
        return f"\\{_WRITTEN_CHARS[text]}"
    return f"\\{text}" if text.isprintable() and not text.isspace() else f"\\u{ord(text):04x}"
