"""Plain words for operations, faults and times: what the page and the terminal both say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from harness.op import CONDITION, DIGEST, LOG, STATUS, Op, freeze

_TEXT_CHARS_MAX: Final = 60
NS: Final = 1_000_000_000


def cut(text: str, chars_max: int = _TEXT_CHARS_MAX) -> str:
    """Return `text` on one line, its end replaced by … where it is longer than `chars_max`."""
    text = printable(text)
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def printable(text: str) -> str:
    """Return `text` with control characters as spaces: it comes from outside and may go to a terminal."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def value_text(value: Any) -> str:
    """Return a value as compact JSON (strings in quotes, so that "1" is not 1)."""
    return cut(msgspec.json.encode(value).decode())


def key_text(key: Any) -> str:
    """Return a key as people say it: a name bare, anything else as JSON."""
    return cut(key) if isinstance(key, str) else value_text(key)


def seconds(time_ns: int | None, digits: int = 3) -> str:
    """Return a time since the run's start in seconds, or a dash where there is none."""
    return "—" if time_ns is None else f"{time_ns / NS:.{digits}f} s"


def duration(length_ns: int) -> str:
    """Return how long something took, in the unit that suits it: `1.1 s`, `2.3 ms`, `48 µs`."""
    for unit_ns, unit in ((NS, "s"), (10**6, "ms"), (10**3, "µs")):
        if length_ns >= unit_ns:
            digits = 1 if length_ns < 100 * unit_ns else 0
            return f"{length_ns / unit_ns:.{digits}f} {unit}"
    return f"{length_ns} ns"


def offset(offset_ms: float) -> str:
    """Return how far a clock is off, in the unit that suits it: `+1.5 h`, `-20 ms`."""
    for unit, size_ms in (("days", 86_400_000.0), ("h", 3_600_000.0), ("min", 60_000.0), ("s", 1000.0)):
        if abs(offset_ms) >= size_ms:
            return f"{offset_ms / size_ms:+.3g} {unit}"
    return f"{offset_ms:+.3g} ms"


def amount(number: int, noun: str, plural: str = "") -> str:
    """Return "1 operation" or "12,345 operations"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def capital(text: str) -> str:
    """Return a sentence with a capital, unless it begins with a name such as n1."""
    return text[:1].upper() + text[1:] if text.partition(" ")[0].isalpha() else text


def listed(words: Iterable[str]) -> str:
    """Return "a, b and c"."""
    items = list(words)
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def process_text(process: int | str) -> str:
    """Return who did it: a client's process, or the name of one of the harness's own (its node stands beside it)."""
    if isinstance(process, int):
        return f"process {process}"
    kind = process.partition(":")[0]
    return kind if kind in (STATUS, DIGEST, LOG, CONDITION) else cut(process)


def op_text(invoke: Op, complete: Op | None) -> str:
    """Return an operation with its outcome in short: `write 4`, `read → 9`, `cas 4→9 failed, saw 7`."""
    asked = asked_text(invoke)
    if complete is None or complete.type == "info":
        return f"{asked} → ?"
    if complete.type == "fail":
        return f"{asked} failed" + _saw(complete)
    return asked + _answered(invoke, complete)


def asked_text(invoke: Op) -> str:
    """Return what was asked for: `write 4`, `cas 4→9`, `read`."""
    value = invoke.value
    if invoke.f == "cas" and isinstance(value, list | tuple) and len(value) == 2:
        return f"cas {value_text(value[0])}→{value_text(value[1])}"
    return invoke.f if value is None else f"{invoke.f} {value_text(value)}"


def outcome_text(invoke: Op, complete: Op | None) -> str:
    """Return how an operation ended, with its reason where there is one."""
    if complete is None:
        return "no completion was recorded: it may have happened"
    reason = f": {cut(complete.error, 160)}" if complete.error else ""
    if complete.type == "info":
        return f"info, it may have happened{reason}"
    if complete.type == "fail":
        return f"fail{_saw(complete)}{reason}"
    return f"ok{_answered(invoke, complete)}"


def _saw(complete: Op) -> str:
    return "" if complete.observed is msgspec.UNSET else f", saw {value_text(complete.observed)}"


def _answered(invoke: Op, complete: Op) -> str:
    value = complete.value
    if invoke.f == STATUS and isinstance(value, Mapping) and not isinstance(invoke.process, int):
        told = [str(value.get("role", "?"))]
        told += [f"{name} {value[name]}" for name in ("term", "leader") if value.get(name) is not None]
        return " → " + cut(", ".join(told))
    if invoke.f != "read" and (value is None or freeze(value) == freeze(invoke.value)):
        return ""
    return f" → {value_text(value)}"


def plain(item: Any) -> str:
    """Return any JSON with as little punctuation as can be read."""
    if item is None:
        return ""
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, Mapping):
        return ", ".join(f"{str(name).replace('_', ' ')} {plain(part)}" for name, part in item.items())
    if isinstance(item, list | tuple):
        between = " " if all(isinstance(part, str | int | float) for part in item) else "; "
        return between.join(plain(part) for part in item)
    return f"{item:g}" if isinstance(item, float) else str(item)
