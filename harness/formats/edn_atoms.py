"""The atoms of EDN: what one word means that is no bracket and no tag."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, ClassVar, Final

DIGITS_MAX: Final = 4_000  # of an integer: Python refuses to read longer ones


class EdnError(ValueError):
    """Text that is not EDN.

    Args:
        offset: where, in characters from the start of the text.
        reason: why.
    """

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset
        self.reason = reason


class Keyword:
    """`:name`, without the colon. There is one object for each name, so that comparing and hashing cost nothing."""

    __slots__ = ("name",)
    name: str
    _known: ClassVar[dict[str, Keyword]] = {}

    def __new__(cls, name: str) -> Keyword:
        found = cls._known.get(name)
        if found is None:
            found = cls._known[name] = super().__new__(cls)
            found.name = name
        return found

    def __repr__(self) -> str:
        return f"Keyword({self.name!r})"


@dataclass(frozen=True, slots=True)
class Symbol:
    """`name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Char:
    r"""`\c`: one character."""

    text: str


_NUMBER: Final = re.compile(
    r"""[+-]?(?:
        (?P<integer>0|[1-9][0-9]*)N?
      | (?P<ratio>[0-9]+/[0-9]+)
      | (?P<decimal>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?M)
      | (?P<float>[0-9]+(?:\.[0-9]*(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+))
      | 0[xX](?P<hex>[0-9A-Fa-f]+)N?
      | 0(?P<octal>[0-7]+)N?
      | (?P<radix>[0-9]{1,2})[rR](?P<digits>[0-9A-Za-z]+)N?
    )""",
    re.VERBOSE,
)
NAME: Final = re.compile(r"(?:[^\s\d/:#@^`~\[\]][^\s/@^`~\[\]]*/)?(?:[^\s\d/:#@^`~\[\]][^\s/@^`~\[\]]*|/)")
_KEYWORD: Final = re.compile(r":[^\s/:@^`~][^\s/@^`~]*(?:/[^\s@^`~]+)?")
_CONSTANTS: Final[dict[str, Any]] = {"nil": None, "true": True, "false": False}
SPECIAL: Final = {"##Inf": math.inf, "##-Inf": -math.inf, "##NaN": math.nan}
CHARS: Final = {
    "newline": "\n", "return": "\r", "space": " ", "tab": "\t", "formfeed": "\f", "backspace": "\b",
}  # fmt: skip
ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\"}
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|[0-3]?[0-7]{1,2}|.)", re.DOTALL)


def atom(word: str, offset: int) -> Any:
    """Return the value that `word` stands for.

    Raises:
        EdnError: none; with `offset`, where the word stands.
    """
    first = word[0]
    if first == ":":
        if not _KEYWORD.fullmatch(word):
            raise EdnError(offset, f"{word} is no keyword")
        return Keyword(word[1:])
    if first == '"':
        return _string(word, offset)
    if first == "\\":
        return _char(word, offset)
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if first == "#":
        if word not in SPECIAL:
            raise EdnError(offset, f"{word} is no value")
        return SPECIAL[word]
    if first.isdecimal() or (first in "+-" and word[1:2].isdecimal()):
        return _number(word, offset)
    if not NAME.fullmatch(word):
        raise EdnError(offset, f"{word} is no value")
    return Symbol(word)


def _number(word: str, offset: int) -> int | float | Fraction | Decimal:
    match = _NUMBER.fullmatch(word) if len(word) <= DIGITS_MAX and word.isascii() else None
    if match is None:
        raise EdnError(offset, f"{word[:40]} is no number")
    sign = -1 if word[0] == "-" else 1
    try:
        if match["integer"]:
            return sign * int(match["integer"])
        if match["float"]:
            return float(word)
        if match["ratio"]:
            fraction = sign * Fraction(match["ratio"])
            return fraction if fraction.denominator != 1 else fraction.numerator
        if match["decimal"]:
            return Decimal(word[:-1])
        digits = match["hex"] or match["octal"] or match["digits"]
        base = 16 if match["hex"] else 8 if match["octal"] else int(match["radix"])
        return sign * int(digits, base)
    except (ValueError, ZeroDivisionError, InvalidOperation) as error:
        raise EdnError(offset, f"{word} is no number") from error


def _string(word: str, offset: int) -> str:
    if len(word) < 2 or word[-1] != '"':
        raise EdnError(offset, "a string is never closed")
    if "\\" not in word:
        return word[1:-1]

    def plain(match: re.Match[str]) -> str:
        escape = match[1]
        if len(escape) == 5:
            return chr(int(escape[1:], 16))
        if escape[0].isdecimal():
            return chr(int(escape, 8))
        if escape not in ESCAPES:
            raise EdnError(offset + 1 + match.start(), f"\\{escape} is no escape of a string")
        return ESCAPES[escape]

    return _whole(_ESCAPE.sub(plain, word[1:-1]), offset)


def _char(word: str, offset: int) -> Char:
    name = word[1:]
    if len(name) == 1:
        return Char(name)
    if name in CHARS:
        return Char(CHARS[name])
    if re.fullmatch(r"u[0-9A-Fa-f]{4}", name):
        return Char(_whole(chr(int(name[1:], 16)), offset))
    if re.fullmatch(r"o[0-3]?[0-7]{1,2}", name):
        return Char(chr(int(name[1:], 8)))
    raise EdnError(offset, f"{word} is no character")


def _whole(text: str, offset: int) -> str:
    r"""Join the halves of a pair such as \ud83d\ude00, in which Java writes a character beyond U+FFFF."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise EdnError(offset, "half of a surrogate pair") from error
