"""Small random histories of watches, and an oracle that tries every truth. They share no code with the checker."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from harness.history import History
from harness.op import Op

STEP_NS = 100_000_000
KEYS = ("a/1", "a/2", "b/1")
NEVER = float("inf")
SET = "set to something"


class Did(NamedTuple):
    """One operation: what was asked, what came of it (type and value, or what a failed one observed), and when."""

    f: str
    key: Any
    value: Any
    kind: str
    answer: Any
    begin: int
    end: float


def history(items: Iterable[Did]) -> History:
    """Return these operations as a history, each by a process of its own."""
    events: list[tuple[float, bool, int, dict[str, Any]]] = []
    for number, item in enumerate(items):
        call = {"process": number, "f": item.f, "key": item.key}
        events.append((item.begin, False, number, call | {"type": "invoke", "value": item.value}))
        if item.end == NEVER:
            continue
        value = item.answer if item.kind == "ok" else item.value
        ending = call | {"type": item.kind, "value": value}
        if item.kind == "fail" and item.answer is not None:
            ending["observed"] = item.answer
        events.append((item.end, True, number, ending))
    events.sort(key=lambda event: event[:3])  # of one instant, what begins comes before what ends: they overlap
    ops = [Op(index=at, time=int(event[0] * STEP_NS), **event[3]) for at, event in enumerate(events)]
    return History(ops, "drawing")


def small(rng: random.Random) -> list[Did]:
    """Return up to eleven operations on a true log, with up to two alterations."""
    log: list[tuple[int, str, Any]] = []
    items: list[Did] = []
    compacted = now = 0
    for number in range(rng.randrange(2, 12)):
        begin = now + rng.randrange(3)
        end: float = begin + 1 + rng.randrange(4)
        now = begin + rng.randrange(3)  # may overlap with the next one; the truth stays in this order
        f = rng.choice(("put", "put", "put", "delete", "watch", "watch", "watch", "revision", "compact"))
        key = rng.choice(KEYS)
        unknown = rng.random() < 0.25
        if f in ("put", "delete"):
            value = number if f == "put" else None
            if not unknown or rng.random() < 0.6:
                log.append((len(log) + 1, key, value))
                answer: Any = {"revision": len(log)} | ({"value": value} if f == "put" else {})
            kind, end = ("info", rng.choice((end, NEVER))) if unknown else ("ok", end)
            items.append(Did(f, key, value, kind, None if unknown else answer, begin, end))
        elif f == "revision":
            items.append(Did(f, None, None, "ok", len(log), begin, end))
        elif f == "compact":
            compacted = max(compacted, rng.randrange(1, len(log) + 2))
            items.append(Did(f, None, compacted, "info" if unknown else "ok", compacted, begin, end))
        else:
            items.append(_watch(rng, log, compacted, begin, end))
    for _ in range(rng.choice((0, 1, 2))):
        items = _altered(rng, items)
    return items


def _watch(rng: random.Random, log: Sequence[tuple[int, str, Any]], compacted: int, begin: int, end: float) -> Did:
    start = rng.choice((None, rng.randrange(1, len(log) + 3)))
    prefix = rng.choice(("a/", "b/", "a/1", ""))
    asked = {"start": start}
    if (start is None or start < compacted) and rng.random() < 0.3:
        return Did("watch", prefix, asked, "fail", compacted, begin, end)
    first = start or rng.randrange(1, len(log) + 2)
    changes = [[revision, key, value] for revision, key, value in log if revision >= first and key.startswith(prefix)]
    return Did("watch", prefix, asked, "ok", {"changes": changes[: rng.randrange(len(log) + 2)]}, begin, end)


def _altered(rng: random.Random, items: list[Did]) -> list[Did]:
    at = rng.randrange(len(items))
    item = items[at]
    if item.f == "watch" and item.kind == "ok" and item.answer["changes"]:
        changes = [list(change) for change in item.answer["changes"]]
        place = rng.randrange(len(changes))
        way = rng.randrange(5)
        if way == 0:
            del changes[place]
        elif way == 1:
            changes.insert(place, changes[place])
        elif way == 2:
            changes[place][2] = rng.choice((None, 0, 1, 2, 3))
        elif way == 3:
            changes[place][0] += rng.choice((-1, 1))
        else:
            rng.shuffle(changes)
        item = item._replace(answer={"changes": changes})
    elif item.f in ("put", "delete") and item.kind == "ok":
        item = item._replace(answer=item.answer | {"revision": item.answer["revision"] + rng.choice((-1, 1))})
    elif item.f == "revision":
        item = item._replace(answer=max(0, item.answer + rng.choice((-1, 1))))
    elif item.f == "watch":
        item = item._replace(value={"start": rng.randrange(1, 6)})
    return [*items[:at], item, *items[at + 1 :]]


def untold(items: Iterable[Did]) -> list[Did]:
    """Return the same operations by watches that do not tell to what a key was set."""

    def change(revision: int, key: str, value: Any) -> list[Any]:
        return [revision, key] if value is not None else [revision, key, None]

    return [
        item._replace(answer={"changes": [change(*each) for each in item.answer["changes"]]})
        if item.f == "watch" and item.kind == "ok"
        else item
        for item in items
    ]


def scaled(items: Iterable[Did], by: int) -> list[Did]:
    """Return the same operations with revisions that are farther apart."""

    def answer(item: Did) -> Any:
        if item.f == "watch" and item.kind == "ok":
            return {"changes": [[each[0] * by, *each[1:]] for each in item.answer["changes"]]}
        if item.f in ("put", "delete"):
            return item.answer and item.answer | {"revision": item.answer["revision"] * by}
        return item.answer * by

    def value(item: Did) -> Any:
        if item.f == "watch":
            return {"start": item.value["start"] and item.value["start"] * by}
        return item.value * by if item.f == "compact" else item.value

    return [item._replace(answer=answer(item), value=value(item)) for item in items]


def is_explained(items: Sequence[Did]) -> bool:
    """Try every revision, of those that somebody saw, for each write of unknown outcome; or that nobody saw it."""
    writes = [item for item in items if item.f in ("put", "delete")]
    open_writes = [item for item in writes if item.kind == "info"]
    seen = sorted({change[0] for item in _watches(items) for change in item.answer["changes"]})
    for chosen in itertools.product([None, *seen], repeat=len(open_writes)):
        truth = [(item, item.answer["revision"]) for item in writes if item.kind == "ok"]
        truth += [(item, number) for item, number in zip(open_writes, chosen, strict=True) if number is not None]
        truth = [(item, number) for item, number in truth if number is not None]
        if _holds(items, truth):
            return True
    return False


def _watches(items: Sequence[Did]) -> Iterator[Did]:
    return (item for item in items if item.f == "watch" and item.kind == "ok")


def _holds(items: Sequence[Did], truth: list[tuple[Did, int]]) -> bool:
    if len({(item.key, number) for item, number in truth}) < len(truth):
        return False
    facts = {(number, item.key): item.value for item, number in truth}
    if any(len(change) == 2 for item in _watches(items) for change in item.answer["changes"]):
        facts = {place: None if value is None else SET for place, value in facts.items()}
    told: list[tuple[float, int]] = [(item.end, number) for item, number in truth if item.kind == "ok"]
    told += [(item.end, item.answer) for item in items if item.f == "revision"]
    for item in _watches(items):
        changes = item.answer["changes"]
        if not _delivered_rightly(item, changes, facts):
            return False
        by_place = {(number, write.key): write for write, number in truth}
        if any(by_place[revision, key].begin > item.end for revision, key, *_ in changes):
            return False
        told += [(item.end, change[0]) for change in changes]
    if any(end < item.begin and number >= revision for item, revision in truth for end, number in told):
        return False
    looks = [item for item in items if item.f == "revision"]
    if any(end < item.begin and number > item.answer for item in looks for end, number in told):
        return False
    return all(_may_refuse(items, item) for item in items if item.f == "watch" and item.kind == "fail")


def _delivered_rightly(item: Did, changes: list[list[Any]], facts: dict[tuple[int, str], Any]) -> bool:
    places = [(revision, key) for revision, key, *_ in changes]
    values = [SET if len(change) == 2 else change[2] for change in changes]
    if any(place not in facts or facts[place] != value for place, value in zip(places, values, strict=True)):
        return False
    if len(set(places)) < len(places) or [place[0] for place in places] != sorted(place[0] for place in places):
        return False
    if not places:
        return True
    start = item.value["start"] if item.value["start"] is not None else places[0][0]
    if places[0][0] < start or not all(key.startswith(item.key) for _, key in places):
        return False
    return all(
        place in places for place in facts if start <= place[0] < places[-1][0] and place[1].startswith(item.key)
    )


def _may_refuse(items: Sequence[Did], refused: Did) -> bool:
    start = refused.value["start"]
    compactions = [item for item in items if item.f == "compact" and item.begin <= refused.end]
    return any(start is None or item.value > start for item in compactions)
