"""A reader of EDN, the notation of Jepsen's and Knossos's histories.

Values come as Python's own: nil, booleans, integers, floats, strings, tuples (vectors and lists, which EDN holds
equal), frozensets, dicts, Fraction and Decimal; Keyword, Symbol, Char and Tagged stand for what Python lacks. Text is
read by one regular expression and an explicit stack: neither size nor depth of the input can exhaust Python's.

https://github.com/edn-format/edn is followed, and where Clojure's own reader takes more (radix integers, `##Inf`,
namespaced maps `#:a{…}`), that too, since it is what wrote the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from harness.formats.edn_atoms import DIGITS_MAX, NAME, EdnError, Keyword, Symbol, atom

DEPTH_MAX: Final = 100
"""Collections inside each other; a deeper one is an error rather than a crash of whoever walks the value."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """`#tag value`."""

    tag: str
    value: Any


class Map(dict[Any, Any]):
    """A map, which may be a key or an element of a set; it is not changed after it was read."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


_TOKENS: Final = r"""
      (?:[\s,]+ | ;[^\n]*)*                                   # what separates
      ( FLAT "(?:[^"\\]|\\.)*"                                      # string
      | \\(?:[^\s,\[\](){}";]+ | [\[\](){}",;])                # character
      | \#\{ | \#_ | \#\#[^\s,\[\](){}";]+                     # set, discard, ##Inf
      | \#[^\s,\[\](){}"\\;\#]+                                # tag
      | [\[\](){}]
      | [^\s,\[\](){}";\\]+                                    # number, keyword, symbol, nil, true, false
      | . )?                                                   # what is none of them
    """
_TOKEN: Final = re.compile(_TOKENS.replace("FLAT", ""), re.VERBOSE | re.DOTALL)
_TOKEN_OR_FLAT: Final = re.compile(_TOKENS.replace("FLAT", r'\{[^{}()"\\;\#]*\} |'), re.VERBOSE | re.DOTALL)
_FLAT_WORDS: Final = re.compile(r"\[[^\[\]]*\]|[^\s,\[\]]+|[\[\]]")
_CLOSING: Final = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_CACHED_MAX: Final = 65_536  # atoms; the same keywords and small numbers fill a history
_DISCARD: Final = "#_"


def is_sequence(text: str) -> bool:
    """Say whether the first value in `text` is a vector or a list."""
    match = _TOKEN.match(text)
    return match is not None and match[1] in ("[", "(")


def read_all(text: str) -> Iterator[tuple[int, Any]]:
    """Yield each value at the top level of `text`, with the offset of its first character.

    Raises:
        EdnError: where the text stops being EDN; what comes before it has been yielded.
    """
    yield from _Reader(text).values(0)


def read_elements(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the elements of the one vector or list that `text` holds, each with its offset, one at a time.

    Raises:
        EdnError: as above; the text is no single vector or list.
    """
    match = _TOKEN.match(text)
    if match is None or match[1] not in ("[", "("):
        raise EdnError(0, "a vector or a list was expected")
    reader = _Reader(text)
    yield from reader.values(match.end(), _CLOSING[match[1]])
    for offset, _ in reader.values(reader.end):
        raise EdnError(offset, "something follows the vector")


def read(text: str) -> Any:
    """Return the one value in `text`.

    Raises:
        EdnError: it holds no value, or several, or is no EDN.
    """
    found = list(read_all(text))
    if len(found) != 1:
        raise EdnError(found[1][0] if found else len(text), "one value was expected")
    return found[0][1]


def read_first(text: str) -> tuple[Any, int]:
    """Return the first value in `text`, and where it ends; what follows need not be EDN.

    Raises:
        EdnError: no value is there.
    """
    reader = _Reader(text)
    for _, value in reader.values(0):
        return value, reader.end
    raise EdnError(len(text), "one value was expected")


@dataclass(slots=True)
class _Open:
    """What is still to be completed: a collection, a tag or a discard.

    Attributes:
        word: what opened it.
        offset: where.
        items: what is in it so far.
    """

    word: str
    offset: int
    items: list[Any]


class _Atoms(dict[str, Any]):
    """What tokens mean: the same keywords and small numbers fill a history. Also knows whole vectors of atoms."""

    def __missing__(self, word: str) -> Any:
        value: Any
        if word.isdecimal() and word.isascii() and word[0] != "0" and len(word) <= DIGITS_MAX:
            value = int(word)
        elif word[0] == "[" and word[-1] == "]":
            value = tuple([self[word] for word in _FLAT_WORDS.findall(word[1:-1])])
        else:
            value = atom(word, 0)
        if len(self) < _CACHED_MAX:
            self[word] = value
        return value


class _Reader:
    """Reads values one after the other; `end` is where the last one ended.

    A map without strings, comments, tags or deeper collections than a vector of atoms, as an operation usually is, is
    one word, which is twice as fast. Whatever is odd about such a map, the full reader says so, or reads it.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._atoms = _Atoms()
        self.end = 0

    def values(
        self, start: int, closing: str = "", pattern: re.Pattern[str] = _TOKEN_OR_FLAT
    ) -> Iterator[tuple[int, Any]]:
        """Yield values from `start` up to the end of the text, or up to `closing`."""
        stack: list[_Open] = []
        atoms = self._atoms
        began = start
        for match in pattern.finditer(self._text, start):
            word = match[1]
            if word is None:
                break
            offset = match.start(1)
            if not stack:
                began = offset
            if len(word) > 1 and word[0] == "{":
                value = self._flat(word, offset)
            else:
                if word in _CLOSING or (word[0] == "#" and word[1:2] != "#"):
                    if len(stack) == DEPTH_MAX:
                        raise EdnError(offset, f"more than {DEPTH_MAX} levels of nesting")
                    stack.append(_Open(word, offset, []))
                    continue
                if word in ("]", ")", "}"):
                    if not stack and word == closing:
                        self.end = match.end()
                        return
                    value = _close(stack, word, offset)
                else:
                    value = atoms[word] if word in atoms else self._atom(word, offset)
            while stack and stack[-1].word[0] == "#" and stack[-1].word != "#{":
                tag = stack.pop()
                if tag.word == _DISCARD:
                    break
                value = _tagged(tag, value)
            else:
                if stack:
                    stack[-1].items.append(value)
                else:
                    self.end = match.end()
                    yield began, value
        self.end = len(self._text)
        if stack:
            raise EdnError(stack[-1].offset, f"{stack[-1].word} is never completed")
        if closing:
            raise EdnError(max(start - 1, 0), f"the opening bracket is never closed by {closing}")

    def _atom(self, word: str, offset: int) -> Any:
        try:
            return self._atoms[word]
        except EdnError as error:
            raise EdnError(offset + error.offset, error.reason) from error

    def _flat(self, word: str, offset: int) -> Any:
        words = _FLAT_WORDS.findall(word, 1, len(word) - 1)
        items = map(self._atoms.__getitem__, words)
        try:
            fields = Map(zip(items, items, strict=False))  # takes from the same iterator in turn
        except EdnError:
            return _fully(word, offset)
        return fields if 2 * len(fields) == len(words) else _fully(word, offset)


def _fully(word: str, offset: int) -> Any:
    """Read one flat map word by word."""
    reader = _Reader(word)
    try:
        ((_, value),) = reader.values(0, pattern=_TOKEN)
    except EdnError as error:
        raise EdnError(offset + error.offset, error.reason) from error
    return value


def _close(stack: list[_Open], word: str, offset: int) -> Any:
    if not stack:
        raise EdnError(offset, f"{word} closes nothing")
    opened = stack.pop()
    if _CLOSING.get(opened.word) != word:
        raise EdnError(offset, f"{word} stands where {opened.word} is not completed")
    items = opened.items
    if word != "}":
        return tuple(items)
    if opened.word == "#{":
        elements = frozenset(items)
        if len(elements) != len(items):
            raise EdnError(opened.offset, "an element is twice in a set")
        return elements
    if len(items) % 2:
        raise EdnError(opened.offset, "a map has a key without a value")
    fields = Map(zip(items[::2], items[1::2], strict=True))
    if 2 * len(fields) != len(items):
        raise EdnError(opened.offset, "a key is twice in a map")
    return fields


def _tagged(tag: _Open, value: Any) -> Any:
    name = tag.word[1:]
    if not name.startswith(":"):
        if not NAME.fullmatch(name):
            raise EdnError(tag.offset, f"{tag.word} is no tag")
        return Tagged(name, value)
    if not isinstance(value, Map):
        raise EdnError(tag.offset, f"no map follows {tag.word}")
    return Map((_in_namespace(key, name[1:]), item) for key, item in value.items())


def _in_namespace(key: Any, namespace: str) -> Any:
    if not isinstance(key, Keyword | Symbol) or "/" in key.name:
        return key
    return type(key)(f"{namespace}/{key.name}")
