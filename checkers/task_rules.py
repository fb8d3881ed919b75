"""What one task promises, rule by rule; checkers/claims.py says why each is sound."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from checkers.models import NEVER_COMPLETES
from checkers.task_acts import Act, Log
from checkers.task_findings import Finding, finding, granted, span
from checkers.words import seconds, show
from harness.facets import Task
from harness.op import freeze

SECOND_NS: Final = 1_000_000_000
CLOCKS_AGREE: Final = 0.01
"""The service's clock and the harness's differ by at most this share of the time that they measure."""

_NOUNS: Final = {"complete": "completion", "fail": "failure", "offer": "offer", "steal": "steal"}


def one_claim_at_a_time(log: Log) -> Iterator[Finding]:
    """No two grants at one epoch, and none while a claim at a smaller epoch surely stands."""
    if len(log.grants) < 2:
        return
    grants = sorted(log.grants, key=lambda act: act.epoch)
    ends = _surely_until(log)
    later: Act | None = None  # of those at greater epochs the one that returned first
    for at in range(len(grants) - 1, -1, -1):
        act = grants[at]
        if at and grants[at - 1].epoch == act.epoch:
            one, other = sorted((grants[at - 1], act), key=lambda each: each.end)
            yield finding(
                "double claim",
                f"task {log.id} was {granted(one)} and {granted(other)}: two claims at one epoch",
                log.id,
                one,
                other,
            )
        until = ends.get(act.row, 0)
        if later is not None and act.begin <= later.end < until and log.task is not None:
            yield finding(
                "double claim",
                f"task {log.id} was {granted(act)} for {log.task.timeout_s:g} s, and {granted(later)}, while the first "
                "claim surely stood: its time was not over, and nobody had asked to end it",
                log.id,
                log.submitted,
                act,
                later,
            )
        if later is None or act.end < later.end:
            later = act


def _surely_until(log: Log) -> dict[int, int]:
    """Return until when each grant surely stood, by its row."""
    if log.task is None:
        return {}
    asked: dict[int, int] = {}
    for act in log.ends:
        if act.possible or act.f != "steal":  # its holder that was told "no" may have been told that it had ended
            asked[act.ended] = min(asked.get(act.ended, NEVER_COMPLETES), act.begin)
    timeout_ns = int(log.task.timeout_s * (1 - CLOCKS_AGREE) * SECOND_NS)
    return {act.row: min(act.begin + timeout_ns, asked.get(act.epoch, NEVER_COMPLETES)) for act in log.grants}


def epochs_grow(log: Log) -> Iterator[Finding]:
    """A grant that was asked for after another one's return, or of its claim, has a greater epoch."""
    returned = sorted(log.grants, key=lambda act: act.end)
    greatest: Act | None = None
    at = 0
    for act in sorted(log.grants, key=lambda act: act.begin):
        while returned[at].end < act.begin:
            if greatest is None or returned[at].epoch > greatest.epoch:
                greatest = returned[at]
            at += 1
        if greatest is not None and greatest.epoch > act.epoch:
            summary = f"task {log.id} was {granted(greatest)}, and after that {granted(act)}, which is not greater"
            yield finding("epoch went back", summary, log.id, greatest, act)
        if act.f != "claim" and act.ended >= act.epoch:
            before = f"task {log.id} went from a claim at epoch {act.ended} to the next one"
            summary = f"{before}, {granted(act)}, which is not greater"
            yield finding("epoch went back", summary, log.id, act)


def a_claim_ends_once(log: Log) -> Iterator[Finding]:
    """Of what ends a claim one thing is accepted, and a task is completed once."""
    if len(log.ends) < 2:
        return
    ended: dict[int, Act] = {}
    completed: Act | None = None
    for act in sorted((act for act in log.ends if act.happened), key=lambda act: act.end):
        if act.f == "complete":
            if completed is not None:
                times = f"{_of(completed)} and {_of(act)}"
                yield finding("completed twice", f"task {log.id}: both {times} were accepted", log.id, completed, act)
            completed = act
        other = ended.setdefault(act.ended, act)
        if other is not act and not other.f == act.f == "complete":
            summary = f"task {log.id}: both {_of(other)} and {_of(act)} were accepted, of one claim"
            yield finding("claim ended twice", summary, log.id, other, act)


def nothing_stale_is_accepted(log: Log) -> Iterator[Finding]:
    """What names a claim is refused when a newer one is there; and what is completed is not claimed again."""
    grants = sorted(log.grants, key=lambda act: act.epoch)
    epochs = [act.epoch for act in grants]
    firsts = list(grants)  # of each grant and those at greater epochs the one that returned first
    for at in range(len(grants) - 2, -1, -1):
        if firsts[at + 1].end < grants[at].end:
            firsts[at] = firsts[at + 1]
    for act in log.ends:
        newer = bisect_right(epochs, act.ended)
        if not act.happened or newer == len(grants):
            continue
        first = firsts[newer]
        kind = "stale completion accepted" if act.f == "complete" else "stale claim accepted"
        if first.end < act.begin:
            yield finding(kind, f"{_accepted(log, act)}, although it was {granted(first)} before", log.id, first, act)
        elif act.claim is not None and epochs[newer] < act.epoch:
            between = grants[newer]
            handed = f"and led to epoch {act.epoch}, although it was {granted(between)} in between"
            yield finding(kind, f"{_accepted(log, act)} {handed}", log.id, between, act)
        elif act.f == "complete" and first.begin <= act.end:
            both = f"and it was {granted(first)}: whichever came first, the other had to be refused"
            yield finding(kind, f"{_accepted(log, act)}, {both}", log.id, first, act)


def completed_is_final(log: Log) -> Iterator[Finding]:
    """A task that was completed is not granted again."""
    done = min((act for act in log.ends if act.happened and act.f == "complete"), key=lambda act: act.end, default=None)
    again = [] if done is None else [act for act in log.grants if act.begin > done.end]
    if done is not None and again:
        first = min(again, key=lambda act: act.end)
        summary = f"task {log.id}: {_of(done)} was accepted, and after that it was {granted(first)}"
        yield finding("claimed after its completion", summary, log.id, done, first)


def submitted_once(log: Log) -> Iterator[Finding]:
    """There is a submit before any claim, and one that is accepted."""
    accepted = [act for act in log.submits if act.happened]
    if len(accepted) > 1:
        summary = f"task {log.id} was submitted from {span(accepted[0])} and again from {span(accepted[1])}"
        yield finding("submitted twice", summary, log.id, *accepted[:2])
    begun = min([act.begin for act in log.submits], default=NEVER_COMPLETES)
    for act in (*log.grants, *log.statuses):
        if act.end < begun and (act.f != "status" or act.status is not None):
            told = f"seen (from {span(act)})" if act.f == "status" else granted(act)
            yield finding("phantom task", f"task {log.id} was {told}, but nobody had submitted it", log.id, act)


def retries_are_counted(log: Log) -> Iterator[Finding]:
    """A task is claimed at most once more than it may be retried; offers and steals go on with a claim."""
    if log.task is None or len(log.grants) <= (most := log.task.retries_max + 1):
        return
    claims = sorted((act for act in log.grants if act.f == "claim"), key=lambda act: act.end)
    if len(claims) <= most:
        return
    times = ", ".join(seconds(*(act.end for act in claims[: most + 1])))
    summary = f"task {log.id} may be retried {_times(most - 1)}, but was claimed {_times(most + 1)} (at {times})"
    yield finding("too many retries", summary, log.id, log.submitted, *claims[: most + 1])


def constraints_are_kept(log: Log) -> Iterator[Finding]:
    """Who gets a task has all its capabilities, is not excluded, and claims it before its deadline."""
    task = log.task
    if task is None:
        return
    needs = frozenset(task.capabilities)
    for act in log.grants:
        lacking = needs.difference(act.asked.capabilities) if act.asked is not None else ()
        if lacking and act.f != "offer":  # what the other worker of an offer can do is not said
            named = ", ".join(sorted(lacking))
            summary = f"task {log.id} needs {named}, but was {granted(act)}, who does not have that"
            yield finding("constraint broken", summary, log.id, log.submitted, act)
        if act.taker in task.excluded:
            summary = f"task {log.id} must not go to {act.taker}, but was {granted(act)}"
            yield finding("constraint broken", summary, log.id, log.submitted, act)
    yield from _deadline(log, task)


def _deadline(log: Log, task: Task) -> Iterator[Finding]:
    submit = log.submitted
    if task.deadline_s is None or submit is None or not submit.happened:
        return
    last_ns = submit.end + int(task.deadline_s * (1 + CLOCKS_AGREE) * SECOND_NS)
    for act in log.grants:
        if act.f == "claim" and act.begin > last_ns:
            limit = f"was submitted by {seconds(submit.end)[0]} to be claimed within {task.deadline_s:g} s"
            summary = f"task {log.id} {limit}, but was {granted(act)}"
            yield finding("claimed after its deadline", summary, log.id, submit, act)


def status_is_true(log: Log) -> Iterator[Finding]:
    """A status shows what had happened before it was asked for."""
    if not log.statuses:
        return
    accepted = [act for act in log.submits if act.happened]
    done = min((act for act in log.ends if act.happened and act.f == "complete"), key=lambda act: act.end, default=None)
    known = sorted([*log.grants, *log.statuses, *accepted], key=lambda act: act.end)
    newest: Act | None = None
    at = 0
    for act in sorted(log.statuses, key=lambda act: act.begin):
        while known[at].end < act.begin:
            if newest is None or _seen(known[at]) > _seen(newest):
                newest = known[at]
            at += 1
        if newest is not None:
            yield from _compared(log, newest, act)
        if done is not None and done.end < act.begin:
            yield from _after_completion(log, done, act)


def _seen(act: Act) -> int:
    """Return what an act tells of its task: the epoch; -1: there is none."""
    if act.f == "status":
        return -1 if act.status is None else act.status.epoch
    return 0 if act.claim is None else act.epoch


def _compared(log: Log, before: Act, act: Act) -> Iterator[Finding]:
    if _seen(before) <= _seen(act):
        return
    told = f"submitted from {span(before)}"
    if before.f == "status":
        told = f"seen at epoch {_seen(before)} (from {span(before)})"
    elif before.f != "submit":
        told = granted(before)
    if act.status is None:
        summary = f"task {log.id} was {told}, but a status from {span(act)} says that there is no such task"
        yield finding("lost task", summary, log.id, before, act)
    else:
        summary = f"task {log.id} was {told}, but a status from {span(act)} shows it at epoch {act.status.epoch}"
        yield finding("stale status", summary, log.id, before, act)


def _after_completion(log: Log, done: Act, act: Act) -> Iterator[Finding]:
    assert done.asked is not None
    if act.status is None:
        return
    if act.status.state != "completed":
        told = f"{_accepted(log, done)}, but a status from {span(act)} says {act.status.state}"
        yield finding("completion lost", told, log.id, done, act)
    elif freeze(act.status.result) != freeze(done.asked.result):
        seen, given = show(act.status.result), show(done.asked.result)
        told = f"{_accepted(log, done)}, but a status from {span(act)} shows the result {seen} and not {given}"
        yield finding("wrong result", told, log.id, done, act)


def _accepted(log: Log, act: Act) -> str:
    return f"task {log.id}: {_of(act)} was accepted"


def _of(act: Act) -> str:
    assert act.asked is not None
    return f"the {_NOUNS[act.f]} of {act.asked.worker}'s claim at epoch {act.ended} (from {span(act)})"


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


RULES: Final[Sequence[Callable[[Log], Iterator[Finding]]]] = (
    submitted_once, one_claim_at_a_time, epochs_grow, nothing_stale_is_accepted, a_claim_ends_once, completed_is_final,
    retries_are_counted, constraints_are_kept, status_is_true,
)  # fmt: skip
