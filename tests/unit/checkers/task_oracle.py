"""One task: small random histories, and the search through every order and time that could explain one.

It shares no code with the checker. A service that skips its checks at random makes histories of every kind.
"""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from drawn_tasks import STEP_NS

from harness.history import History
from harness.op import Op

NEVER = 1 << 40
CALLS = ("claim", "claim", "status", "complete", "fail", "offer", "steal")


class State(NamedTuple):
    """What is known of the task: its claim was granted at `since`, and `claims` counts those that were no handover."""

    state: str | None = None
    epoch: int = 0
    since: int = 0
    claims: int = 0
    result: Any = None


class Try(NamedTuple):
    """An operation that did not fail, between two instants; `answer` is the epoch that was granted, or a status."""

    f: str
    begin: int
    end: int
    epoch: int = 0
    answer: Any = None
    result: Any = None


def step(state: State, act: Try, now: int, timeout: int, retries: int) -> tuple[State, int] | None:
    """Return the state after an operation, and the earliest time from `now` on when it may have happened."""
    epoch = state.epoch + 1 if act.answer is None else act.answer
    standing = state.state == "claimed" and state.epoch == act.epoch
    if act.f == "submit":
        return (State("submitted"), now) if state.state is None else None
    if act.f == "status":
        return _seen(state, act, now, timeout)
    if act.f == "claim":
        now = max(now, state.since + timeout) if state.state == "claimed" else now
        free = state.state in ("submitted", "claimed") and state.claims <= retries and epoch > state.epoch
        return (State("claimed", epoch, now, state.claims + 1), now) if free else None
    if not standing:
        return None
    if act.f in ("offer", "steal"):
        return (State("claimed", epoch, now, state.claims), now) if epoch > state.epoch else None
    if act.f == "complete":
        return state._replace(state="completed", result=act.result), now
    return state._replace(state="submitted"), now


def _seen(state: State, act: Try, now: int, timeout: int) -> tuple[State, int] | None:
    if act.answer is None or state.state is None:
        return (state, now) if act.answer is None and state.state is None else None
    seen, epoch, result = act.answer
    if epoch != state.epoch or (seen == "completed") != (state.state == "completed"):
        return None
    if seen == "completed":
        return (state, now) if result == state.result else None
    if state.state == "claimed" and seen != "claimed":  # its time must be over
        return state, max(now, state.since + timeout)
    return (state, now) if state.state == "claimed" or seen != "claimed" else None


def explained(acts: list[Try], timeout: int, retries: int) -> bool:
    """Say whether some order has every operation take effect in its time; in one order the earliest times are best."""
    dead: set[Any] = set()

    def search(state: State, now: int, left: frozenset[int]) -> bool:
        if all(acts[at].end == NEVER for at in left):
            return True
        if (state, now, left) in dead:
            return False
        last = min(acts[at].end for at in left)
        for at in left:
            if acts[at].begin > last:
                continue
            after = step(state, acts[at], max(now, acts[at].begin), timeout, retries)
            if after is not None and after[1] <= min(acts[at].end, last) and search(*after, left - {at}):
                return True
        dead.add((state, now, left))
        return False

    return search(State(), 0, frozenset(range(len(acts))))


def random_history(random: Random, timeout: int, retries: int) -> History:
    """Return a history of up to eight operations on task t, which a service with holes answered."""
    holes = random.choice([0.0, 0.1, 0.5])
    lost = random.choice([0.0, 0.0, 0.2])
    state, claims = State(), []
    events: list[tuple[int, int, dict[str, Any]]] = []
    now = 0
    for process in range(random.randint(3, 8)):
        f = random.choice(CALLS if claims else CALLS[:3]) if process else "submit"
        now += random.choice([0, 1, 1, 2, timeout])
        begin, end = max(0, now - random.randint(0, 3)), now + random.randint(0, 3)
        epoch = random.choice(claims[-2:] or [0])
        act = Try(f, begin, end, epoch, max(1, state.epoch + (random.random() > holes / 4)), process)
        if f == "status":
            act = act._replace(answer=None if state.state is None else (state.state, state.epoch, state.result))
        after = step(state, act, now, timeout, retries)
        done = after is not None and after[1] == now
        if not done and random.random() < holes:
            after, done = (_forced(state, act, now), now), True
        if done and after is not None:
            state = after[0]
        claims += [state.epoch] if done and f in ("claim", "offer", "steal") else []
        kind = "info" if process and random.random() < lost else "ok" if done else "fail"
        events += _events(process, act, kind, timeout, retries)
    events.sort(key=lambda event: (event[0], event[2]["type"] != "invoke", event[1]))
    return History([Op(at, time * STEP_NS, **call) for at, (time, _, call) in enumerate(events)], "random")


def _forced(state: State, act: Try, now: int) -> State:
    """Do it although it cannot be done."""
    if act.f in ("claim", "offer", "steal"):
        return State("claimed", act.answer, now, state.claims + (act.f == "claim"))
    return state._replace(state={"complete": "completed", "fail": "submitted"}.get(act.f, state.state))


def _events(process: int, act: Try, kind: str, timeout: int, retries: int) -> list[tuple[int, int, dict[str, Any]]]:
    worker = f"w{process}"
    asked: Any = {"worker": worker, "epoch": act.epoch} | ({"to": worker} if act.f in ("offer", "steal") else {})
    answer: Any = {"task": "t", "worker": worker, "epoch": act.answer}
    if act.f == "submit":
        asked = answer = {"id": "t", "timeout_s": timeout / 10, "retries_max": retries}
    elif act.f == "claim":
        asked = {"worker": worker}
    elif act.f == "status":
        asked, answer = (
            None,
            None if act.answer is None else dict(zip(("state", "epoch", "result"), act.answer, strict=True)),
        )
    elif act.f == "complete":
        asked |= {"result": act.result}
        answer = asked
    elif act.f == "fail":
        answer = asked
    call = {"process": process, "f": act.f, "key": "t"}
    value = answer if kind == "ok" else asked
    return [
        (act.begin, process, call | {"type": "invoke", "value": asked}),
        (act.end, process, call | {"type": kind, "value": value}),
    ]


def tries(history: History) -> list[Try]:
    """Read back what did not fail."""
    begun = {op.process: op for op in history.events if op.type == "invoke"}
    found = []
    for op in history.events:
        if op.type in ("invoke", "fail") or (op.type == "info" and op.f == "status"):
            continue
        first = begun[op.process]
        asked, end = first.value or {}, op.time // STEP_NS if op.type == "ok" else NEVER
        answer = None
        if op.type == "ok" and op.f in ("claim", "offer", "steal"):
            answer = op.value["epoch"]
        elif op.f == "status" and op.value is not None:
            answer = (op.value["state"], op.value["epoch"], op.value.get("result"))
        found.append(Try(op.f, first.time // STEP_NS, end, asked.get("epoch", 0), answer, asked.get("result")))
    return found
