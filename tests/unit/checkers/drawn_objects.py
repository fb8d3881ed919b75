"""Histories of locks, sets, queues, counters and ids drawn as text: one line an operation, one column an instant."""

from __future__ import annotations

import json
import re
from typing import Any

from harness.history import History
from harness.op import Op

_STEP_NS = 100_000_000
_LABEL = re.compile(r"(?:(?P<process>\d+) )?(?P<f>[a-z]+) ?(?P<value>[^!]*)(?P<failed>!?)")
_ANSWERED = ("read", "dequeue", "generate", "acquire")


def draw(*lines: str) -> History:
    """Return the history that the lines draw, each `label: timeline`.

    Labels: an operation's name and its value as JSON, such as `enqueue 4`, `read [1,2]`, `acquire`; before it the
    process, else it is the line's number; after it a `!` where it failed. For read, dequeue, generate and acquire the
    value is what was answered, for the others what was asked.
    Timelines: as in drawn_history: `[` invocation, `]` completion, `?` a completion of unknown outcome.
    """
    events: list[tuple[int, int, dict[str, Any]]] = []
    for number, line in enumerate(lines):
        label, timeline = line.rsplit(":", 1)
        match = _LABEL.fullmatch(label.strip())
        assert match, label
        value = json.loads(match["value"]) if match["value"] else None
        answered = match["f"] in _ANSWERED
        call = {"process": int(match["process"] or number), "f": match["f"]}
        events.append((timeline.index("["), number, call | {"type": "invoke", "value": None if answered else value}))
        end = max(timeline.find("]"), timeline.find("?"))
        if end >= 0:
            kind = "info" if timeline[end] == "?" else "fail" if match["failed"] else "ok"
            seen = None if answered and kind != "ok" else value
            events.append((end, number, call | {"type": kind, "value": seen}))
    events.sort(key=lambda event: event[:2])
    return History([Op(index=at, time=event[0] * _STEP_NS, **event[2]) for at, event in enumerate(events)], "drawing")
