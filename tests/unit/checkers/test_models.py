"""What each model of the general engine calls an anomaly, beside its nearest valid twin; and a user's own model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from checkers import MODEL_NAMES, Linearizable, checker_for, linearizable, model
from harness.errors import HistoryError, UsageError
from harness.history import History
from harness.op import Op
from harness.verdict import Verdict

_DOCS = Path(__file__).parents[3] / "docs"

Call = tuple[int, str, Any, Any]
"""Process, f, what was asked, and what was answered; or "?" for an unknown outcome."""


def _one_by_one(*calls: Call) -> History:
    """Return the history of calls of which each begins when the one before has returned."""
    events: list[Op] = []
    for process, f, asked, answer in calls:
        lost = answer == "?"
        events.append(Op(len(events), len(events) * 10**8, process, "invoke", f, value=asked))
        value = asked if lost else answer
        events.append(Op(len(events), len(events) * 10**8, process, "info" if lost else "ok", f, value=value))
    return History(events, "calls")


def _check(name: str, *calls: Call) -> Verdict:
    return linearizable(name).check(_one_by_one(*calls))


def _acquire(process: int) -> Call:
    return (process, "acquire", None, None)


def _release(process: int) -> Call:
    return (process, "release", None, None)


SUBMIT: Call = (0, "submit", None, None)

ANOMALIES: dict[str, tuple[str, str, list[Call], list[Call]]] = {
    "two hold a semaphore of one": (
        "semaphore:1",
        "double grant",
        [(1, "acquire", None, None), (2, "acquire", None, None)],
        [(1, "acquire", None, None), (1, "release", None, "?"), (2, "acquire", None, None)],
    ),
    "more permits than there are": (
        "semaphore:3",
        "double grant",
        [(1, "acquire", 2, 2), (2, "acquire", 2, 2)],
        [(1, "acquire", 2, 2), (2, "acquire", None, None)],
    ),
    "more given back than held": (
        "semaphore:3",
        "released without holding",
        [(1, "acquire", 1, 1), (2, "release", 2, 2)],
        [(1, "acquire", 2, 2), (2, "release", 2, 2)],
    ),
    "held by another, although by nobody else twice": (
        "reentrant-mutex",
        "double grant",
        [
            (1, "acquire", None, None),
            (1, "acquire", None, None),
            (1, "release", None, None),
            (2, "acquire", None, None),
        ],
        [
            (1, "acquire", None, None),
            (1, "acquire", None, None),
            (1, "release", None, None),
            (1, "release", None, None),
        ],
    ),
    "the greater one came out": (
        "priority-queue",
        "dequeued out of order",
        [(1, "enqueue", 1, 1), (1, "enqueue", 2, 2), (2, "dequeue", None, 2)],
        [(1, "enqueue", 1, 1), (1, "enqueue", 2, 2), (3, "dequeue", None, "?"), (2, "dequeue", None, 2)],
    ),
    "one that nobody put in": (
        "priority-queue",
        "never enqueued",
        [(1, "enqueue", 1, 1), (2, "dequeue", None, 7)],
        [(1, "enqueue", 7, "?"), (2, "dequeue", None, 7)],
    ),
    "one came out twice": (
        "priority-queue",
        "dequeued twice",
        [(1, "enqueue", [1, 2], None), (2, "dequeue", None, [1, 2]), (3, "dequeue", None, [1, 2])],
        [(1, "enqueue", [1, 2], None), (2, "dequeue", None, [1, 2]), (3, "dequeue", None, None)],
    ),
    "found empty": (
        "priority-queue",
        "element missed",
        [(1, "enqueue", 1, 1), (2, "dequeue", None, None)],
        [(1, "enqueue", 1, "?"), (2, "dequeue", None, None)],
    ),
    "two workers at one epoch": (
        "task",
        "double claim",
        [SUBMIT, (1, "claim", None, 1), (2, "claim", None, 1)],
        [SUBMIT, (1, "claim", None, 1), (2, "claim", None, 2)],
    ),
    "completed after it was taken away": (
        "task",
        "stale completion",
        [SUBMIT, (1, "claim", None, 1), (2, "claim", None, 2), (1, "complete", 1, 1)],
        [SUBMIT, (1, "claim", None, 1), (2, "claim", None, 2), (2, "complete", 2, 2)],
    ),
    "submitted again": (
        "task",
        "submitted twice",
        [SUBMIT, (1, "submit", None, None)],
        [(0, "submit", None, "?"), (1, "submit", None, None)],
    ),
    "an old status": (
        "task",
        "stale status",
        [SUBMIT, (1, "claim", None, 1), (1, "fail", 1, 1), (2, "status", None, "claimed")],
        [SUBMIT, (1, "claim", None, 1), (1, "fail", 1, "?"), (2, "status", None, "claimed")],
    ),
    "half of a write": (
        "multi-register",
        "not linearizable",
        [(1, "write", {"x": 1, "y": 1}, None), (2, "read", None, {"x": 1, "y": None})],
        [(1, "write", {"x": 1}, None), (2, "read", None, {"x": 1, "y": None})],
    ),
}


@pytest.mark.parametrize("what", ANOMALIES)
def test_an_anomaly_and_its_valid_twin(what: str) -> None:
    """The anomaly has its kind and a sentence that names the operations of its witness; the twin is valid."""
    name, kind, bad, good = ANOMALIES[what]
    (anomaly,) = _check(name, *bad).anomalies
    assert anomaly.kind == kind
    for index in anomaly.witness:
        assert f"process {_one_by_one(*bad).events[index].process} " in f"{anomaly.summary} "
    assert _check(name, *good).status == "valid"


def test_the_sentence_tells_who_did_what_and_when() -> None:
    """The operation that came last is named first, then those that rule it out, with their times."""
    (anomaly,) = _check("task", SUBMIT, (1, "claim", None, 1), (2, "claim", None, 1)).anomalies
    assert anomaly.summary == (
        "claim that gave 1 by process 2 (0.40 s to 0.50 s) succeeded, but in no order of the operations can it have, "
        "given claim that gave 1 by process 1 (0.20 s to 0.30 s)"
    )


@pytest.mark.parametrize(
    ("name", "calls", "message"),
    [
        ("multi-register", [(1, "write", 7, 7)], "is 7 and not an object"),
        ("semaphore:2", [(1, "acquire", 0, 0)], "is 0 and not a number of permits"),
        ("priority-queue", [(1, "enqueue", "a", "a")], "is 'a' and neither a number"),
        ("task", [(1, "claim", None, "x")], "the epoch of claim is 'x'"),
        ("task", [(1, "status", None, 5)], "the status 5 is no text"),
    ],
)
def test_a_value_that_a_model_cannot_read_is_an_error(name: str, calls: list[Call], message: str) -> None:
    """It gives no verdict, but names the event."""
    with pytest.raises(HistoryError, match=f"event .: .*{message}"):
        _check(name, *calls)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_every_model_has_its_checker(name: str) -> None:
    """By name, with limits of the search; nothing at all is valid by each of them."""
    checker = checker_for(name.replace(":N", ":2"), time_limit_s=5.0)
    assert checker.check(_one_by_one()).status == "valid"


def test_a_semaphore_has_permits() -> None:
    """One without any is no model."""
    with pytest.raises(UsageError, match="0 permits"):
        linearizable("semaphore:0")


def test_the_documented_model_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The code in docs/how-to-model.md runs as it stands, and finds a stack that is none."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", (_DOCS / "how-to-model.md").read_text(), re.DOTALL))
    monkeypatch.chdir(tmp_path)
    pushes: list[Call] = [(1, "push", [1], None), (1, "push", [2], None)]
    for pops, status in (([[2], [1]], "valid"), ([[1]], "invalid"), (["?", [1]], "valid")):
        calls = [(2 + number, "pop", None, answer) for number, answer in enumerate(pops)]
        lines = [msgspec.json.encode(op) for op in _one_by_one(*pushes, *calls).events]
        (tmp_path / "history.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        exec(compile(code, "how-to-model.md", "exec"), {})
        assert capsys.readouterr().out.split("\n")[0] == status


def test_values_reach_a_users_step_as_json() -> None:
    """True is not 1, lists are tuples, and objects are objects."""
    asked: list[Any] = []

    def step(state: Any, op: Any) -> Any:
        asked.append((op.value, op.result))
        return state

    history = _one_by_one((1, "do", [True, {"a": [1]}], None), (1, "do", 1, True), (2, "do", None, "?"))
    assert Linearizable(model("any", 0, step, unknown="lost")).check(history).status == "valid"
    assert asked == [((True, {"a": (1,)}), None), (1, True), (None, "lost")]
