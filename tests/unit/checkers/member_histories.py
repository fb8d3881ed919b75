"""Histories of members, written down by hand or drawn, and an oracle that tries every truth."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from harness.history import History
from harness.op import NEMESIS, Op

STEP_NS = 100_000_000
NEVER = float("inf")


class Did(NamedTuple):
    """One operation: who did what on which node, what came of it, and when."""

    f: str
    key: Any
    kind: str
    answer: Any
    begin: float
    end: float
    node: str = "n1"


def join(name: str, member: int | None, begin: float, end: float, node: str = "n1") -> Did:
    """A join that got an id, or, without one, of unknown outcome."""
    return Did("join", name, "info" if member is None else "ok", {"id": member}, begin, end, node)


def leave(name: str, member: int | None, begin: float, end: float, node: str = "n1") -> Did:
    """A leave of an id, or, without one, of unknown outcome."""
    return Did("leave", name, "info" if member is None else "ok", {"id": member}, begin, end, node)


def members(shown: str, begin: float, end: float, node: str = "n1") -> Did:
    """A linearizable list, such as "1:n1 2:n2"."""
    return Did("members", None, "ok", [[int(number), name] for number, name in _pairs(shown)], begin, end, node)


def health(shown: str, begin: float, end: float, node: str = "n1") -> Did:
    """A node's own list; "2:n2+" is healthy."""
    answer = [
        {"id": int(number), "name": name.strip("+")} | ({"healthy": True} if name.endswith("+") else {})
        for number, name in _pairs(shown)
    ]
    return Did("health", None, "ok", answer, begin, end, node)


def fault(kind: str, node: str, begin: float, end: float) -> Did:
    """A fault that hit a node, and its heal."""
    return Did(kind, 0, "ok", {"nodes": [node]}, begin, end)


def _pairs(shown: str) -> Iterable[list[str]]:
    return (each.split(":") for each in shown.split())


def history(items: Iterable[Did]) -> History:
    """Return these operations as a history, each by a process of its own."""
    events: list[tuple[float, bool, int, dict[str, Any]]] = []
    for number, item in enumerate(items):
        if isinstance(item.answer, dict) and "nodes" in item.answer:
            value = {"kind": item.f} | item.answer
            for at, f in ((item.begin, "inject"), (item.end, "heal")):
                call = {"process": NEMESIS, "f": f, "key": item.key, "value": value}
                events.append((at, False, number, call | {"type": "invoke"}))
                events.append((at, True, number, call | {"type": "ok"}))
            continue
        call = {"process": number, "f": item.f, "key": item.key, "node": item.node}
        events.append((item.begin, False, number, call | {"type": "invoke"}))
        if item.end != NEVER:
            value = item.answer if item.kind == "ok" else None
            events.append((item.end, True, number, call | {"type": item.kind, "value": value}))
    events.sort(key=lambda event: event[:3])  # of one instant, what begins comes before what ends: they overlap
    ops = [Op(index=at, time=int(event[0] * STEP_NS), **event[3]) for at, event in enumerate(events)]
    return History(ops, "drawing")


# --- drawn histories, and the oracle -----------------------------------------------------------------------------


def small(rng: random.Random) -> list[Did]:
    """Return up to nine operations on a true list of members, with up to two alterations."""
    truths: list[tuple[int, ...]] = [(1,)]
    items: list[Did] = []
    fresh = itertools.count(2)
    now = 0
    seen = {"n1": 0, "n2": 0}
    for _ in range(rng.randrange(2, 10)):
        begin = now + rng.randrange(3)
        end: float = begin + 1 + rng.randrange(4)
        now = begin + rng.randrange(3)  # may overlap with the next one; the truth stays in this order
        f = rng.choice(("join", "leave", "members", "members", "health", "health"))
        node = rng.choice(("n1", "n2"))
        unknown = rng.random() < 0.3
        if f == "join":
            member = next(fresh)
            if not unknown or rng.random() < 0.6:
                truths.append((*truths[-1], member))
            items.append(
                join(f"s{member}", None if unknown else member, begin, rng.choice((end, NEVER)) if unknown else end)
            )
        elif f == "leave":
            present = [each for each in truths[-1] if each > 1]
            if not present:
                continue
            member = rng.choice(present)
            if not unknown or rng.random() < 0.6:
                truths.append(tuple(each for each in truths[-1] if each != member))
            items.append(
                leave(f"s{member}", None if unknown else member, begin, rng.choice((end, NEVER)) if unknown else end)
            )
        elif f == "members":
            items.append(members(_shown(truths[-1]), begin, end, node))
        else:
            seen[node] = rng.randrange(seen[node], len(truths))
            items.append(health(_shown(truths[seen[node]]), begin, end, node))
    for _ in range(rng.choice((0, 1, 1, 2))):
        items = _altered(rng, items)
    return items


def _shown(present: Sequence[int]) -> str:
    return " ".join(f"{number}:s{number}" for number in present)


def _altered(rng: random.Random, items: list[Did]) -> list[Did]:
    """Change what a list shows, when something happened, or whether a change is there."""
    if not items:
        return items
    at = rng.randrange(len(items))
    item = items[at]
    looks = item.f in ("members", "health")
    if looks and rng.random() < 0.7:
        other = rng.choice([each for each in items if each.f in ("members", "health")])
        shown = [_number(each) for each in other.answer]
        if rng.random() < 0.3 and len(shown) > 1:
            shown.remove(rng.choice(shown[1:]))
        made = (members if item.f == "members" else health)(_shown(shown), item.begin, item.end, item.node)
        return [*items[:at], made, *items[at + 1 :]]
    if not looks and rng.random() < 0.3:
        return [*items[:at], *items[at + 1 :]]
    shift = rng.randrange(-4, 5)
    begin = max(0, item.begin + shift)
    return [*items[:at], item._replace(begin=begin, end=begin + item.end - item.begin), *items[at + 1 :]]


def _number(entry: Any) -> int:
    return int(entry["id"] if isinstance(entry, dict) else entry[0])


def explained(items: Sequence[Did]) -> bool:
    """Say whether some order of the changes explains every list, by trying all of them.

    Members that no join asked for were there from the start.
    """
    changes = [item for item in items if item.f in ("join", "leave")]
    looks = [item for item in items if item.f in ("members", "health")]
    known = {_number(entry) for item in looks for entry in item.answer}
    known |= {item.answer["id"] for item in changes if item.kind == "ok"}
    joined = {int(item.key[1:]) for item in changes if item.f == "join"}
    first = frozenset(known - joined)
    for count in range(len(changes) + 1):
        for chosen in itertools.permutations(range(len(changes)), count):
            if all(at in chosen for at, item in enumerate(changes) if item.kind == "ok"):
                order = [changes[at] for at in chosen]
                if _possible(order) and (states := _states(first, order)) is not None and _fits(order, states, looks):
                    return True
    return False


def _possible(order: Sequence[Did]) -> bool:
    return all(one.begin <= _end(two) for at, one in enumerate(order) for two in order[at + 1 :])


def _end(item: Did) -> float:
    return item.end if item.kind == "ok" else NEVER


def _states(first: frozenset[int], order: Sequence[Did]) -> list[frozenset[int]] | None:
    states, gone = [first], set()
    for item in order:
        member = int(item.key[1:])
        if item.f == "join":
            if member in states[-1] or member in gone:
                return None
            states.append(states[-1] | {member})
        else:
            if member not in states[-1]:
                return None
            gone.add(member)
            states.append(states[-1] - {member})
    return states


def _fits(order: Sequence[Did], states: Sequence[frozenset[int]], looks: Sequence[Did]) -> bool:
    """Say whether every look can be put into this order, by places between the changes, earliest first."""
    places = {at: _places(order, states, look) for at, look in enumerate(looks)}
    chosen: dict[int, int] = {}
    for at in sorted(places, key=lambda at: looks[at].end):
        look = looks[at]
        floor = max((chosen[before] for before in chosen if _after(looks[before], look)), default=0)
        fitting = [place for place in places[at] if place >= floor]
        if not fitting:
            return False
        chosen[at] = fitting[0]
    return True


def _after(one: Did, two: Did) -> bool:
    """Say whether `two` must be no older than `one`: what a node shows of its own is never of the future."""
    return one.end < two.begin and (two.f == "members" or (one.f == two.f and one.node == two.node))


def _places(order: Sequence[Did], states: Sequence[frozenset[int]], look: Did) -> list[int]:
    shown = frozenset(_number(entry) for entry in look.answer)
    found = []
    for place, state in enumerate(states):
        late = all(item.begin <= look.end for item in order[:place])
        early = look.f == "health" or all(_end(item) >= look.begin for item in order[place:])
        if state == shown and late and early:
            found.append(place)
    return found
