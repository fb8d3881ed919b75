"""Histories of tasks written as text: one line an operation, with the tenths of a second of its begin and its end."""

from __future__ import annotations

import json
from typing import Any

from harness.history import History
from harness.op import Op

STEP_NS = 100_000_000


def draw(*lines: str) -> History:
    """Return the history that the lines tell, each `label @ begin-end`, each by a process of its own.

    Labels, in words, and after them a `!` where it failed, `!!` where it failed because it saw nothing to claim:

    - `submit t1 {"retries_max": 1}`: with any of a task's attributes;
    - `claim t1 w1 1`, `next t1 w1 1`: of this task or of any, by w1, at epoch 1; `cpu` after it: what w1 can do;
    - `complete t1 w1 1 "result"`, `fail t1 w1 1`: of w1's claim at epoch 1;
    - `offer t1 w1 1 w2 2`, `steal t1 w1 1 w2 2`: w1's claim at epoch 1 goes to w2 at epoch 2; `cpu` as above;
    - `status t1 claimed 1`, with a result after it; `status t1 -`: no such task.

    Times: `3-5`; `3-5?` a completion of unknown outcome; `3-` never completes.
    """
    events: list[tuple[int, int, dict[str, Any]]] = []
    for process, line in enumerate(lines):
        label, times = line.rsplit(" @ ", 1)
        words = label.rstrip("!").split(" ")
        call, answer = _read(words)
        call = {"process": process} | call
        begin, end = times.split("-")
        events.append((int(begin), process, call | {"type": "invoke"}))
        if end:
            kind = "info" if end.endswith("?") else "fail" if label.endswith("!") else "ok"
            saw = {"observed": None} if label.endswith("!!") else {}
            done = {"value": answer} if kind == "ok" else {}
            events.append((int(end.rstrip("?")), process, call | {"type": kind} | done | saw))
    events.sort(key=lambda event: event[:2])
    return History([Op(index=at, time=event[0] * STEP_NS, **event[2]) for at, event in enumerate(events)], "drawing")


def _read(words: list[str]) -> tuple[dict[str, Any], Any]:
    """Return what was asked, and what was answered."""
    f, task, *rest = words
    if f == "submit":
        value: Any = {"id": task} | (json.loads(" ".join(rest)) if rest else {})
        return {"f": f, "key": task, "value": value}, value
    if f == "status":
        state, *more = rest
        seen = None if state == "-" else {"state": state, "epoch": int(more[0])}
        if seen is not None and len(more) > 1:
            seen["result"] = json.loads(more[1])
        return {"f": f, "key": task, "value": None}, seen
    worker, number, *more = rest
    if f in ("claim", "next"):
        key = task if f == "claim" else None
        asked = {"worker": worker, "capabilities": more}
        return {"f": "claim", "key": key, "value": asked}, {"task": task, "worker": worker, "epoch": int(number)}
    asked = {"worker": worker, "epoch": int(number)}
    if f in ("offer", "steal"):
        to, epoch, *capabilities = more
        asked |= {"to": to} | ({"capabilities": capabilities} if f == "steal" else {})
        return {"f": f, "key": task, "value": asked}, {"task": task, "worker": to, "epoch": int(epoch)}
    asked |= {"result": json.loads(more[0]) if more else None} if f == "complete" else {"error": "no luck"}
    return {"f": f, "key": task, "value": asked}, asked
