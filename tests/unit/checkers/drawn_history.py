"""Histories drawn as text: one line an operation, one column an instant."""

from __future__ import annotations

import re
from typing import Any

from harness.history import History
from harness.op import Op

_STEP_NS = 100_000_000
_LABEL = re.compile(r"(?P<f>[rwc])(?P<value>[^!]*)(?P<failed>!?)(?P<observed>.*)")


def draw(*lines: str, key: Any = None) -> History:
    """Return the history that the lines draw, each `label: timeline`, one process a line.

    Labels: `r4` read of 4, `w4` write of 4, `c4>9` cas from 4 to 9; a `!` after it says that it failed, and a value
    after that what a failed cas observed. Values are integers, or `-` for None.
    Timelines: `[` is the invocation, `]` the completion, `?` a completion of unknown outcome; a `[` alone never
    completes. Of two events in one column, that of the upper line comes first.
    """
    events: list[tuple[int, int, dict[str, Any]]] = []
    for process, line in enumerate(lines):
        label, timeline = line.split(":")
        match = _LABEL.fullmatch(label.strip())
        assert match, label
        f = {"r": "read", "w": "write", "c": "cas"}[match["f"]]
        value = [_value(part) for part in match["value"].split(">")] if f == "cas" else _value(match["value"])
        call = {"process": process, "f": f, "key": key}
        asked = None if f == "read" else value
        events.append((timeline.index("["), process, call | {"type": "invoke", "value": asked}))
        end = max(timeline.find("]"), timeline.find("?"))
        if end >= 0:
            kind = "info" if timeline[end] == "?" else "fail" if match["failed"] else "ok"
            saw = {"observed": _value(match["observed"])} if match["observed"] else {}
            seen = asked if kind != "ok" else value
            events.append((end, process, call | {"type": kind, "value": seen} | saw))
    events.sort(key=lambda event: event[:2])
    return History([Op(index=at, time=event[0] * _STEP_NS, **event[2]) for at, event in enumerate(events)], "drawing")


def _value(text: str) -> int | None:
    return None if text == "-" else int(text)
