"""Tasks: each anomaly beside its nearest valid twin, and what a history may leave open."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from drawn_tasks import draw

from checkers.claims import Claims
from harness.errors import HistoryError
from harness.history import History
from harness.op import Op
from harness.verdict import Anomaly

SUBMIT = "submit t1 @ 0-2"
RETRIED = 'submit t1 {"retries_max": 5} @ 0-2'

ANOMALIES = [
    (
        "double claim",
        [RETRIED, "claim t1 w1 1 @ 3-5", "claim t1 w2 2 @ 6-8"],
        [RETRIED, "claim t1 w1 1 @ 3-5", "claim t1 w2 2 @ 6-13"],  # a second after w1 asked
        "task t1 was granted to w1 at epoch 1 (claim from 0.30 s to 0.50 s) for 1 s, and granted to w2 at epoch 2 "
        "(claim from 0.60 s to 0.80 s), while the first claim surely stood: its time was not over, and nobody had "
        "asked to end it",
    ),
    (
        "double claim",
        [RETRIED, "claim t1 w1 1 @ 3-5", "claim t1 w2 2 @ 4-8", "complete t1 w1 1! @ 9-10"],
        [RETRIED, "claim t1 w1 1 @ 3-5", "claim t1 w2 2 @ 4-9", "complete t1 w1 1! @ 9-10"],  # told that it had ended
        None,
    ),
    (
        "double claim",
        [RETRIED, "claim t1 w1 1 @ 3-5", "offer t1 w1 1 w2 2 @ 6-8", "claim t1 w3 3 @ 9-15"],
        [RETRIED, "claim t1 w1 1 @ 3-5", "offer t1 w1 1 w2 2 @ 6-8", "claim t1 w3 3 @ 9-16"],
        None,
    ),
    (
        "double claim",
        [RETRIED, "claim t1 w1 1 @ 3-5", "steal t1 w9 7 w2 2 @ 6-8"],
        [RETRIED, "claim t1 w1 1 @ 3-5", "steal t1 w1 1 w2 2 @ 6-8"],
        None,
    ),
    (
        "double claim",
        [RETRIED, "claim t1 w1 4 @ 3-5", "claim t1 w2 4 @ 6-17"],
        [RETRIED, "claim t1 w1 4 @ 3-5", "claim t1 w2 5 @ 6-17"],
        "task t1 was granted to w1 at epoch 4 (claim from 0.30 s to 0.50 s) and granted to w2 at epoch 4 (claim from "
        "0.60 s to 1.70 s): two claims at one epoch",
    ),
    (
        "epoch went back",
        [RETRIED, "claim t1 w1 4 @ 3-5", "fail t1 w1 4 @ 6-7", "claim t1 w2 3 @ 8-9"],
        [RETRIED, "claim t1 w1 4 @ 3-5", "fail t1 w1 4 @ 6-7", "claim t1 w2 5 @ 8-9"],
        "task t1 was granted to w1 at epoch 4 (claim from 0.30 s to 0.50 s), and after that granted to w2 at epoch 3 "
        "(claim from 0.80 s to 0.90 s), which is not greater",
    ),
    (
        "stale completion accepted",
        [RETRIED, "claim t1 w1 1 @ 0-2", "steal t1 w1 1 w2 2 @ 3-5", "complete t1 w1 1 @ 6-8"],
        [RETRIED, "claim t1 w1 1 @ 0-2", "steal t1 w1 1 w2 2 @ 3-5", "complete t1 w1 1! @ 6-8"],
        "task t1: the completion of w1's claim at epoch 1 (from 0.60 s to 0.80 s) was accepted, although it was "
        "granted to w2 at epoch 2 (steal from 0.30 s to 0.50 s) before",
    ),
    (
        "stale completion accepted",
        [RETRIED, "claim t1 w1 1 @ 0-2", "claim t1 w2 2 @ 11-17", "complete t1 w1 1 @ 12-14"],
        [RETRIED, "claim t1 w1 1 @ 0-2", "claim t1 w2 2 @ 11-17?", "complete t1 w1 1 @ 12-14"],
        "task t1: the completion of w1's claim at epoch 1 (from 1.20 s to 1.40 s) was accepted, and it was granted to "
        "w2 at epoch 2 (claim from 1.10 s to 1.70 s): whichever came first, the other had to be refused",
    ),
    (
        "stale claim accepted",
        [RETRIED, "claim t1 w1 1 @ 0-2", "claim t1 w2 2 @ 5-11", "fail t1 w1 1 @ 12-13"],
        [RETRIED, "claim t1 w1 1 @ 0-2", "claim t1 w2 2 @ 5-12", "fail t1 w1 1 @ 11-13"],
        None,
    ),
    (
        "stale claim accepted",
        [RETRIED, "claim t1 w1 1 @ 0-2", "claim t1 w2 2 @ 9-14", "steal t1 w1 1 w3 3 @ 9-20"],
        [RETRIED, "claim t1 w1 1 @ 0-2", "claim t1 w2 3 @ 9-20", "steal t1 w1 1 w3 2 @ 9-15"],
        "task t1: the steal of w1's claim at epoch 1 (from 0.90 s to 2.00 s) was accepted and led to epoch 3, although "
        "it was granted to w2 at epoch 2 (claim from 0.90 s to 1.40 s) in between",
    ),
    (
        "completed twice",
        [RETRIED, "claim t1 w1 1 @ 0-2", "complete t1 w1 1 @ 3-5", "complete t1 w1 1 @ 6-8"],
        [RETRIED, "claim t1 w1 1 @ 0-2", "complete t1 w1 1 @ 3-5", "complete t1 w1 1! @ 6-8"],
        "task t1: both the completion of w1's claim at epoch 1 (from 0.30 s to 0.50 s) and the completion of w1's "
        "claim at epoch 1 (from 0.60 s to 0.80 s) were accepted",
    ),
    (
        "claim ended twice",
        [RETRIED, "claim t1 w1 1 @ 0-2", "fail t1 w1 1 @ 3-5", "complete t1 w1 1 @ 3-5"],
        [RETRIED, "claim t1 w1 1 @ 0-2", "fail t1 w1 1 @ 3-5", "complete t1 w1 1 @ 3-5?"],
        None,
    ),
    (
        "claimed after its completion",
        [RETRIED, "claim t1 w1 1 @ 0-2", "complete t1 w1 1 @ 3-5", "claim t1 w2 2 @ 6-8"],
        [RETRIED, "claim t1 w1 1 @ 0-2", "complete t1 w1 1! @ 3-5", "claim t1 w2 2 @ 6-8"],
        "task t1: the completion of w1's claim at epoch 1 (from 0.30 s to 0.50 s) was accepted, and after that it was "
        "granted to w2 at epoch 2 (claim from 0.60 s to 0.80 s)",
    ),
    (
        "lost task",
        [SUBMIT, "status t1 - @ 3-5"],
        [SUBMIT, "status t1 - @ 2-5"],
        "task t1 was submitted from 0.00 s to 0.20 s, but a status from 0.30 s to 0.50 s says that there is no such "
        "task",
    ),
    (
        "stale status",
        [SUBMIT, "claim t1 w1 1 @ 2-4", "status t1 submitted 0 @ 5-7"],
        [SUBMIT, "claim t1 w1 1 @ 2-4", "status t1 submitted 0 @ 4-7"],
        "task t1 was granted to w1 at epoch 1 (claim from 0.20 s to 0.40 s), but a status from 0.50 s to 0.70 s shows "
        "it at epoch 0",
    ),
    (
        "stale status",
        [SUBMIT, "status t1 claimed 2 @ 0-2", "status t1 claimed 1 @ 3-4"],
        [SUBMIT, "status t1 claimed 2 @ 0-2", "status t1 claimed 2 @ 3-4"],
        None,
    ),
    (
        "completion lost",
        [SUBMIT, "claim t1 w1 1 @ 0-2", "complete t1 w1 1 @ 3-5", "status t1 failed 1 @ 6-8"],
        [SUBMIT, "claim t1 w1 1 @ 0-2", "complete t1 w1 1 @ 3-5?", "status t1 failed 1 @ 6-8"],
        "task t1: the completion of w1's claim at epoch 1 (from 0.30 s to 0.50 s) was accepted, but a status from "
        "0.60 s to 0.80 s says failed",
    ),
    (
        "wrong result",
        [SUBMIT, "claim t1 w1 1 @ 0-2", "complete t1 w1 1 7 @ 3-5", "status t1 completed 1 8 @ 6-8"],
        [SUBMIT, "claim t1 w1 1 @ 0-2", "complete t1 w1 1 7 @ 3-5", "status t1 completed 1 7 @ 6-8"],
        None,
    ),
    (
        "submitted twice",
        [SUBMIT, "submit t1 @ 3-5"],
        [SUBMIT, "submit t1! @ 3-5"],
        None,
    ),
    (
        "phantom task",
        ["claim t1 w1 1 @ 0-2", "submit t1 @ 3-5"],
        ["claim t1 w1 1 @ 0-2", "submit t1 @ 2-5"],
        "task t1 was granted to w1 at epoch 1 (claim from 0.00 s to 0.20 s), but nobody had submitted it",
    ),
    (
        "phantom task",
        ["status t1 submitted 0 @ 0-2", "submit t1 @ 3-5"],
        ["status t1 - @ 0-2", "submit t1 @ 3-5"],
        "task t1 was seen (from 0.00 s to 0.20 s), but nobody had submitted it",
    ),
    (
        "phantom task",
        ["submit t1! @ 0-2", "claim t1 w1 1 @ 3-5"],
        ["submit t1 @ 0-2?", "claim t1 w1 1 @ 3-5"],
        None,
    ),
    (
        "too many retries",
        ['submit t1 {"retries_max": 0} @ 0-2', "claim t1 w1 1 @ 2-4", "claim t1 w2 2 @ 11-16"],
        ['submit t1 {"retries_max": 1} @ 0-2', "claim t1 w1 1 @ 2-4", "claim t1 w2 2 @ 11-16"],
        "task t1 may be retried never, but was claimed twice (at 0.40 s, 1.60 s)",
    ),
    (
        "constraint broken",
        ['submit t1 {"capabilities": ["cpu", "gpu"]} @ 0-2', "claim t1 w1 1 cpu @ 2-4"],
        ['submit t1 {"capabilities": ["cpu"]} @ 0-2', "claim t1 w1 1 cpu @ 2-4"],
        "task t1 needs gpu, but was granted to w1 at epoch 1 (claim from 0.20 s to 0.40 s), who does not have that",
    ),
    (
        "constraint broken",
        ['submit t1 {"excluded": ["w2"]} @ 0-2', "claim t1 w1 1 @ 0-2", "offer t1 w1 1 w2 2 @ 3-5"],
        ['submit t1 {"excluded": ["w3"]} @ 0-2', "claim t1 w1 1 @ 0-2", "offer t1 w1 1 w2 2 @ 3-5"],
        "task t1 must not go to w2, but was granted to w2 at epoch 2 (offer from 0.30 s to 0.50 s)",
    ),
    (
        "claimed after its deadline",
        ['submit t1 {"deadline_s": 0.3} @ 0-2', "claim t1 w1 1 @ 6-8"],
        ['submit t1 {"deadline_s": 0.3} @ 0-2', "claim t1 w1 1 @ 5-8"],
        "task t1 was submitted by 0.20 s to be claimed within 0.3 s, but was granted to w1 at epoch 1 (claim from "
        "0.60 s to 0.80 s)",
    ),
    (
        "priority inversion",
        [SUBMIT, 'submit t2 {"priority": 1} @ 0-2', "next t1 w1 1 @ 3-5"],
        [SUBMIT, 'submit t2 {"priority": 1} @ 0-3', "next t1 w1 1 @ 3-5"],
        "a claim by w1 from 0.30 s to 0.50 s got task t1, of a lower priority, although t2 (priority 1) had been "
        "submitted before and had not been asked for by anybody",
    ),
    (
        "task withheld",
        [SUBMIT, "next - w1 0!! @ 3-5"],
        [SUBMIT, "next - w1 0! @ 3-5"],
        "a claim by w1 from 0.30 s to 0.50 s was told that there is nothing to claim, although t1 (priority 0) had "
        "been submitted before and had not been asked for by anybody",
    ),
    (
        "task withheld",
        [SUBMIT, "claim t1 w1 0!! @ 3-5"],
        [SUBMIT, "claim t1 w1 0!! @ 3-5", "next t2 w2 1 @ 0-3?"],
        None,
    ),
    (
        "task withheld",
        ['submit t1 {"capabilities": ["gpu"]} @ 0-2', "claim t1 w1 0 gpu!! @ 3-5"],
        ['submit t1 {"capabilities": ["gpu"]} @ 0-2', "claim t1 w1 0 cpu!! @ 3-5"],
        None,
    ),
    (
        "task withheld",
        ['submit t1 {"excluded": ["w2"]} @ 0-2', "claim t1 w1 0!! @ 3-5"],
        ['submit t1 {"excluded": ["w1"]} @ 0-2', "claim t1 w1 0!! @ 3-5"],
        None,
    ),
]


def anomalies(*lines: str) -> list[Anomaly]:
    """Check a drawing."""
    return list(Claims().check(draw(*lines)).anomalies)


@pytest.mark.parametrize(("kind", "bad", "good", "summary"), ANOMALIES)
def test_each_anomaly_and_its_valid_twin(kind: str, bad: list[str], good: list[str], summary: str | None) -> None:
    """An anomaly is named and told with its witness; the nearest valid history is valid."""
    (anomaly,) = anomalies(*bad)
    assert anomaly.kind == kind
    assert summary is None or anomaly.summary == summary
    assert 2 <= len(anomaly.witness) <= 6
    assert anomalies(*good) == []


HIGH = 'submit t2 {"priority": 1} @ 0-2'


@pytest.mark.parametrize(
    ("high", "more"),
    [
        (HIGH, ["claim t2 w2 1 @ 5-"]),  # its claim is under way
        (HIGH, ["claim t2 w2 1! @ 1-4"]),  # it failed, and so is no excuse by itself
        (HIGH, ["next t9 w2 1 @ 0-1?"]),  # of unknown outcome: it may have taken it
        (HIGH, ["steal t2 w3 1 w2 2 @ 0-"]),  # somebody must have had it
        ('submit t2 {"priority": 1, "capabilities": ["gpu"]} @ 0-2', []),
        ('submit t2 {"priority": 1, "excluded": ["w1"]} @ 0-2', []),
        ('submit t2 {"priority": 1, "preferred": ["w2"]} @ 0-2', []),
        ('submit t2 {"priority": 1, "affinity": "x"} @ 0-2', []),
        ('submit t2 {"priority": 1, "deadline_s": 0.4} @ 0-2', []),
        ('submit t2 {"priority": 1} @ 0-2?', []),
        ('submit t2 {"priority": 0} @ 0-2', []),
    ],
)
def test_what_may_explain_a_choice(high: str, more: list[str]) -> None:
    """A claim that got the lower task is not accused where anything may have kept it from the higher one."""
    excused = "w2 1!" not in "".join(more)
    lines = [SUBMIT, high, "next t1 w1 1 @ 3-5", *more]
    assert (anomalies(*lines) == []) == excused


def test_unknown_claims_explain_one_task_each() -> None:
    """Of three higher tasks two claims of unknown outcome may have taken two."""
    high = [f'submit h{number} {{"priority": 1}} @ 0-2' for number in range(3)]
    lost = ["next t9 w2 1 @ 0-1?", "next t9 w3 1 @ 1-"]
    claim = "next t1 w1 1 @ 3-5"
    (anomaly,) = anomalies(SUBMIT, *high, *lost, claim)
    assert (anomaly.kind, len(anomaly.witness)) == ("priority inversion", 8)
    assert "save that 2 claims of unknown outcome may have taken as many of them" in anomaly.summary
    assert anomalies(SUBMIT, *high[:2], *lost, claim) == []


LATER = "status t{} - @ 6-8"


def test_the_first_anomaly_of_each_task_is_told() -> None:
    """One anomaly a task, the earliest; at most ten tasks, and how many more there are."""
    many = [line.format(n) for n in range(14) for line in ("submit t{} @ 0-2", "status t{} - @ 3-5", LATER)]
    verdict = Claims().check(draw(*many))
    assert [(each.kind, each.key) for each in verdict.anomalies] == [("lost task", f"t{n}") for n in range(10)]
    assert verdict.reasons == ("4 more tasks have anomalies",)


def test_a_history_without_submits_is_no_offence_against_time() -> None:
    """Where the task that was asked for is not known, nothing is said of timeouts, retries and constraints."""
    twice = ['submit t1 {"timeout_s": 9} @ 0-1', "submit t1! @ 0-1", "submit t1 @ 0-1?"]
    claims = ["claim t1 w1 1 @ 2-3", "claim t1 w2 2 @ 4-5"]
    assert anomalies(*twice, *claims) == []
    assert [each.kind for each in anomalies(*twice[:2], *claims)] == ["double claim"]


def test_nothing_happened() -> None:
    """An empty history is valid, and so is one of faults alone."""
    assert Claims().check(History([])).status == "valid"


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Op(0, 0, 1, "invoke", "read", key="t1"), "event 0: read is no operation on tasks"),
        (Op(0, 0, 1, "invoke", "complete", value={"worker": "w", "epoch": 1}), "event 0: complete names no task"),
        (Op(0, 0, 1, "invoke", "claim", key=["t"], value={"worker": "w"}), "event 0: claim names no task"),
        (Op(0, 0, 1, "invoke", "submit", key="t1", value={"id": 1}), "event 0: submit has a value that is no Task"),
        (Op(0, 0, 1, "invoke", "steal", key="t1", value=7), "event 0: steal has a value that is no Asked"),
    ],
)
def test_malformed_values_are_named(event: Op, message: str) -> None:
    """What is no history of tasks is an error that names the event."""
    with pytest.raises(HistoryError, match=message):
        Claims().check(History([event]))


def test_malformed_answers_are_named() -> None:
    """So are answers: a claim without an epoch, a claim of another task, a state that there is not."""
    for line, value in [
        ("claim t1 w1 1 @ 0-1", {"task": "t1", "worker": "w1"}),
        ("claim t1 w1 1 @ 0-1", {"task": "t2", "worker": "w1", "epoch": 1}),
        ("status t1 claimed 1 @ 0-1", {"state": "gone"}),
    ]:
        first, last = draw(line).events
        with pytest.raises(HistoryError, match="drawing: event 1"):
            Claims().check(History([first, msgspec.structs.replace(last, value=value)], "drawing"))


def test_every_prefix_of_a_valid_history_is_valid(tmp_path: Path) -> None:
    """A run that was cut off is never accused; and a file says the same as what was recorded."""
    history = draw(
        RETRIED, "claim t1 w1 1 @ 2-3", "fail t1 w1 1 @ 4-5", "next t1 w2 2 @ 5-9", "complete t1 w2 2 1 @ 10-12",
        "status t1 completed 2 1 @ 11-13", "next - w1 0!! @ 14-15",
    )  # fmt: skip
    for size in range(len(history) + 1):
        assert Claims().check(History(history.events[:size])).status == "valid"
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in history.events))
    assert Claims().check(History.load(path)).status == "valid"


def one_after_the_other(tasks: int, rounds: int) -> History:
    """Return a history of one client that claims each of so many tasks, and fails, so many times."""
    calls: list[tuple[str, str | None, object, object]] = []
    for number in range(tasks):
        task = {"id": f"t{number}", "retries_max": rounds}
        calls.append(("submit", f"t{number}", task, task))
    for epoch in range(1, rounds + 1):
        for number in range(tasks):
            claim = {"worker": "w", "epoch": epoch}
            calls.append(("claim", None, {"worker": "w"}, claim | {"task": f"t{number}"}))
            calls.append(("fail", f"t{number}", claim, claim))
    events = []
    for at, (f, key, asked, answer) in enumerate(calls):
        events.append(Op(2 * at, 20 * at, 1, "invoke", f, key=key, value=asked))
        events.append(Op(2 * at + 1, 20 * at + 10, 1, "ok", f, key=key, value=answer))
    return History(events)


@pytest.mark.parametrize(("tasks", "rounds"), [(10_000, 2), (1, 25_000)])
def test_a_hundred_thousand_events_take_a_second(tasks: int, rounds: int) -> None:
    """Of many tasks, or of one that is claimed over and over (measured: 0.5 s of the processor)."""
    history = one_after_the_other(tasks, rounds)
    assert len(history) >= 100_000
    assert len(history.columns) == len(history) // 2
    begin_s = time.process_time()
    assert Claims().check(history).status == "valid"
    assert time.process_time() - begin_s < 3  # a machine may be slow
