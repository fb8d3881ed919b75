"""Operations as maps, one for each event: Jepsen's and Knossos's EDN, and elle-cli's JSON.

Knossos's reading: an ok read of nil tells nothing, and whatever failed is left out. What kingslayer
exports says more, where the other tools do not look: in a comment on the first line, and in `:observed`, which is what
a failed cas saw.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import UNSET

from harness.errors import HistoryError
from harness.formats.edn import Tagged, is_sequence, read_all, read_elements
from harness.formats.edn_atoms import EdnError, Keyword, Symbol
from harness.formats.records import HINT, Imported, Place, Reading, Record, imported
from harness.formats.values import to_json

EDN: Final = "jepsen-edn"
ELLE: Final = "elle-json"
KNOSSOS: Final = Reading(nil_is_unknown=True)

HEADER: Final = "; kingslayer"
"""How an export's first line begins; KEYED and COMPARING follow where they are so. A read of nil did see nil there."""

KEYED: Final = "keyed"
COMPARING: Final = "comparing"

_INTEGER_MAX: Final = 2**63
_NO_CLIENTS: Final = ("nemesis", "status:")  # whatever else had a name, its operations must not pass unchecked
_SHOWN_MAX: Final = 60  # characters of a value in a message
_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")  # of a surrogate pair: alone it is no text
_FIELDS: Final = ("process", "type", "f", "value", "key", "observed", "error", "index", "time")


def load_edn(text: str, path: str) -> Imported:
    """Read history.edn: one vector or list of maps, or one map after the other.

    Raises:
        HistoryError: it is no such thing; the message names line, column and reason.
    """
    names = {name: Keyword(name) for name in _FIELDS}
    records = []
    line, counted = 1, 0
    try:
        for offset, value in _operations(text):
            line += text.count("\n", counted, offset)
            counted = offset
            fields = value.value if isinstance(value, Tagged) else value  # #jepsen.history.Op{…}
            records.append(_record(fields, names, Place(path, line)))
    except EdnError as error:
        raise malformed_edn(text, path, error) from error
    return imported(records, path, _reading(text), EDN)


def _reading(text: str) -> Reading:
    if not text.startswith(HEADER):
        return KNOSSOS
    words = text[len(HEADER) :].partition("\n")[0].split()
    return Reading(failed_cas_compares=COMPARING in words, keyed=KEYED in words)


def load_elle(text: str, path: str) -> Imported:
    """Read elle-cli's JSON: one array of objects.

    Raises:
        HistoryError: it is no such thing; the message names line, column and reason.
    """
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    halves = _HALF.search(text) is not None
    names = {name: name for name in _FIELDS}
    records = []
    line, counted = 1, 0
    try:
        for offset, value in _elements(text, decoder):
            line += text.count("\n", counted, offset)
            counted = offset
            if halves:
                json.dumps(value, ensure_ascii=False).encode()
            records.append(_record(value, names, Place(path, line)))
    except json.JSONDecodeError as error:
        raise HistoryError(f"{path}:{error.lineno}:{error.colno}: no JSON: {error.msg}", HINT) from error
    except (ValueError, RecursionError) as error:
        raise Place(path, line).error(f"no JSON: {error}") from error
    return imported(records, path, KNOSSOS, ELLE)


def malformed_edn(text: str, path: str, error: EdnError) -> HistoryError:
    """Return the error that says where `text` is no EDN."""
    line = text.count("\n", 0, error.offset) + 1
    column = error.offset - text.rfind("\n", 0, error.offset)
    return HistoryError(f"{path}:{line}:{column}: no EDN: {error.reason}", HINT)


def _operations(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the maps at the top level, or those in the one vector or list that is there."""
    return read_elements(text) if is_sequence(text) else read_all(text)


def _elements(text: str, decoder: json.JSONDecoder) -> Iterator[tuple[int, Any]]:
    """Yield the elements of a JSON array with their offsets."""
    at = _skip(text, 0)
    closed, at = _punctuation(text, at, "["), _skip(text, at + 1)
    if text[at : at + 1] == "]":
        closed, at = True, at + 1
    while not closed:
        value, end = decoder.raw_decode(text, at)
        yield at, value
        at = _skip(text, end)
        closed = _punctuation(text, at, ",]")
        at = _skip(text, at + 1)
    at = _skip(text, at)
    if at < len(text):
        raise json.JSONDecodeError("something follows the array", text, at)


def _punctuation(text: str, at: int, expected: str) -> bool:
    """Say whether the character at `at` is a closing bracket; it must be one of `expected`."""
    if at >= len(text) or text[at] not in expected:
        raise json.JSONDecodeError(f"{' or '.join(expected)} was expected", text, at)
    return text[at] == "]"


def _skip(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _record(fields: Any, names: Mapping[str, Any], place: Place) -> Record:
    if not isinstance(fields, dict):
        raise place.error(f"an operation is a map, and not {_shown(fields)}")
    get = fields.get
    process = _process(get(names["process"], UNSET), place)
    f = get(names["f"])
    error = get(names["error"])
    key, observed = get(names["key"], UNSET), get(names["observed"], UNSET)
    return Record(
        line=place.line,
        process=process,
        type=_type(get(names["type"], UNSET), place),
        f=_name(f, place) if f is not None else "",
        value=to_json(get(names["value"])),
        key=key if key is UNSET else to_json(key),
        observed=observed if observed is UNSET else to_json(observed),
        error=None if error is None else str(to_json(error)),
        number=_integer("index", get(names["index"]), place),
        time_ns=_integer("time", get(names["time"]), place),
    )


def _process(value: Any, place: Place) -> int | str:
    if type(value) is int and 0 <= value < _INTEGER_MAX:
        return value
    name = value.name if isinstance(value, Keyword | Symbol) else value
    if isinstance(name, str) and name.startswith(_NO_CLIENTS):
        return str(to_json(value))
    if value is UNSET:
        raise place.error("the operation has no process")
    raise place.error(f"the process is {_shown(value)}; a client's is an integer, and all others are a nemesis")


def _type(value: Any, place: Place) -> str:
    if value is UNSET:
        raise place.error("the operation has no type")
    return _name(value, place)


def _name(value: Any, place: Place) -> str:
    if type(value) is Keyword or type(value) is Symbol:
        return str(value.name)
    if type(value) is str:
        return value
    raise place.error(f"{_shown(value)} stands where a name was expected")


def _integer(name: str, value: Any, place: Place) -> int | None:
    if value is None or (type(value) is int and -_INTEGER_MAX <= value < _INTEGER_MAX):
        return value
    raise place.error(f"the {name} is {_shown(value)} and not an integer")


def _shown(value: Any) -> str:
    text = json.dumps(to_json(value), ensure_ascii=False)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"
