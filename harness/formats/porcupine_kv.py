"""The text of Porcupine's key-value histories: get, put and append of strings, one map a line.

It looks like EDN and is not: keys and values stand between quotation marks as they are, without any escape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from harness.formats.records import Imported, Place, Reading, Record, imported

KV: Final = "porcupine-kv"
MODEL: Final = "kv"

LINE: Final = re.compile(
    r"\s*\{:process (?P<process>[0-9]{1,18}), :type :(?P<type>\w+), :f :(?P<f>\w+), "
    r':key "(?P<key>.*?)", :value (?:nil|"(?P<value>.*)")\}\s*'
)


def load_kv(text: str, path: str) -> Imported:
    """Read Porcupine's text.

    Raises:
        HistoryError: a line is something else, or contradicts another.
    """
    return replace(imported(list(_records(text, path)), path, Reading(), KV), model=MODEL)


def _records(text: str, path: str) -> Iterator[Record]:
    for line, written in enumerate(text.split("\n"), 1):
        if not written or written.isspace():
            continue
        match = LINE.fullmatch(written)
        if match is None:
            reason = 'not of the form {:process 0, :type :invoke, :f :get, :key "0", :value nil}'
            raise Place(path, line).error(reason)
        yield Record(
            line=line,
            process=int(match["process"]),
            type=match["type"],
            f=match["f"],
            value=match["value"],
            key=match["key"],
        )
