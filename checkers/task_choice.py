"""Which task a claim got, and which it should have got: priorities, and tasks that are withheld."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from checkers.models import NEVER_COMPLETES
from checkers.task_acts import Act, Acts, Log
from checkers.task_findings import Finding, span
from checkers.task_rules import CLOCKS_AGREE, SECOND_NS
from harness.facets import Task


class _Open(NamedTuple):
    """A task that certainly is to be claimed from the return of its submit until `gone`: somebody may take it then."""

    gone: int
    submit: Act
    task: Task


class _Kind(NamedTuple):
    """The open tasks of one priority that need the same capabilities, in the order of their submits' returns."""

    minus_priority: int
    needs: frozenset[str]
    items: list[_Open]


def choices(acts: Acts) -> Iterator[Finding]:
    """A claim gets a task of the greatest priority that there is, and gets one if there is any."""
    kinds: dict[tuple[int, tuple[str, ...]], _Kind] = {}
    waiting = []
    for item in sorted(_opened(acts), key=lambda item: item.submit.end):
        alike = -item.task.priority, tuple(sorted(item.task.capabilities))
        if alike not in kinds:
            kinds[alike] = _Kind(alike[0], frozenset(alike[1]), [])
        waiting.append((item, kinds[alike]))
    ordered = [kinds[alike] for alike in sorted(kinds)]
    at = 0
    for act in sorted(acts.nexts, key=lambda act: act.begin):
        while at < len(waiting) and waiting[at][0].submit.end < act.begin:
            item, kind = waiting[at]
            kind.items.append(item)
            at += 1
        if act.empty or act.claim is not None:
            yield from _better(acts, act, ordered)
    yield from _refused(acts)


def _opened(acts: Acts) -> Iterator[_Open]:
    for log in acts.logs.values():
        item = _open(log)
        if item is not None:
            yield item


def _open(log: Log) -> _Open | None:
    submit, task = log.submitted, log.task
    if submit is None or task is None or not submit.happened or task.affinity is not None:
        return None
    gone = min([act.begin for part in (log.grants, log.tries, log.ends) for act in part], default=NEVER_COMPLETES)
    if task.deadline_s is not None:
        gone = min(gone, submit.begin + int(task.deadline_s * (1 - CLOCKS_AGREE) * SECOND_NS))
    return _Open(gone, submit, task)


def _can(act: Act) -> frozenset[str]:
    """Return what the worker that claims is capable of."""
    assert act.asked is not None
    return frozenset(act.asked.capabilities)


def _is_wanted(act: Act, task: Task) -> bool:
    assert act.asked is not None
    worker = act.asked.worker
    return worker not in task.excluded and (not task.preferred or worker in task.preferred)


def _better(acts: Acts, act: Act, kinds: Sequence[_Kind]) -> Iterator[Finding]:
    """Look for more tasks of a greater priority than claims of unknown outcome may have taken."""
    least = NEVER_COMPLETES  # of -priority: any task is better than none
    if act.claim is not None:
        got = acts.logs[act.claim.task].task
        if got is None or got.affinity is not None or got.preferred:
            return
        least = -got.priority
    can, others = _can(act), bisect_right(acts.unknown_nexts, act.end)
    found: list[_Open] = []
    for kind in kinds:
        if kind.minus_priority >= least or len(found) > others:
            break
        if kind.items and kind.needs <= can:
            kind.items[:] = [item for item in kind.items if item.gone > act.begin]
            fitting = (item for item in kind.items if item.gone > act.end and _is_wanted(act, item.task))
            found += islice(fitting, others + 1 - len(found))
    if len(found) > others:
        yield _told(act, found, others)


def _told(act: Act, found: list[_Open], others: int) -> Finding:
    assert act.asked is not None
    names = ", ".join(f"{item.task.id} (priority {item.task.priority})" for item in found)
    there = f"{names} had been submitted before and had not been asked for by anybody"
    if others:
        there += f", save that {others} claims of unknown outcome may have taken as many of them"
    proof = (*(item.submit for item in found), act)
    who = f"a claim by {act.asked.worker} from {span(act)}"
    if act.claim is None:
        summary = f"{who} was told that there is nothing to claim, although {there}"
        return Finding("task withheld", summary, found[0].task.id, proof, act.end)
    summary = f"{who} got task {act.claim.task}, of a lower priority, although {there}"
    return Finding("priority inversion", summary, act.claim.task, proof, act.end)


def _refused(acts: Acts) -> Iterator[Finding]:
    """Look for claims of one task that were told that it is not to be claimed, although it was."""
    for task, act in acts.refused:
        log = acts.logs.get(task)
        item = None if log is None else _open(log)
        if item is None or not item.submit.end < act.begin or item.gone <= act.end:
            continue
        if not _can(act).issuperset(item.task.capabilities) or not _is_wanted(act, item.task):
            continue
        if not acts.unknown_nexts or acts.unknown_nexts[0] > act.end:
            yield _told(act, [item], 0)
