"""Tasks: submitted, claimed by one worker at a time, completed once; some workers die, freeze, steal and come late.

Every process is a worker. What it does next depends on what it holds, so the clients note their claims on a board that
the generator reads: a claim names its epoch, and nobody can report on a claim that nobody has. A worker that freezes
makes no call until its claim is over, and reports then; one that dies forgets its claim.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import msgspec

from checkers.claims import Claims
from checkers.liveness import Liveness
from harness.errors import ContractError, UsageError
from harness.facets import Claim, Task, Tasks
from harness.generator import Context, Generator, Source, Wait, on_keys, once, phases, repeat, until_ok
from harness.op import Call
from harness.protocols import Checker, Client
from workloads.workload import FacetClient

SECOND_NS: Final = 1_000_000_000
TIMEOUT_S: Final = 1.0
POLL_NS: Final = 50_000_000
STUCK_S: Final = 10.0
STUCK_TIMEOUTS: Final = 5.0
"""A task that is left cannot be claimed in the end, for so long and for so many timeouts: then it is stuck."""

BACKLOG: Final = 2
"""Tasks that are not known to be done, for each client, above which no more are submitted."""

SKILLS: Final[Sequence[tuple[str, ...]]] = (("cpu", "gpu"), ("cpu",), ("gpu",), ())
"""What workers can do, in turn; the first can do everything."""

NEEDS: Final[Sequence[tuple[str, ...]]] = ((), (), (), ("cpu",), ("cpu",), ("gpu",), ("gpu",), ("cpu", "gpu"))


@dataclass(slots=True)
class Board:
    """What the clients know of the tasks.

    Attributes:
        acknowledged: the tasks whose submission was acknowledged.
        left: those that may be there and are not known to be completed or failed.
        held: each worker's claims, so far as it has not reported on them.
        recent: the last claims, for those who steal.
    """

    acknowledged: list[str] = field(default_factory=list)
    left: dict[str, None] = field(default_factory=dict)
    held: dict[str, list[Claim]] = field(default_factory=dict)
    recent: deque[Claim] = field(default_factory=lambda: deque(maxlen=30))

    def granted(self, claim: Claim) -> Any:
        """Note a claim; return it as a completion's value."""
        self.held.setdefault(claim.worker, []).append(claim)
        self.recent.append(claim)
        return msgspec.to_builtins(claim)


class TaskClient(FacetClient):
    """The calls of Tasks, each of which is noted on the board."""

    _facet: Tasks

    def __init__(self, facet: Tasks, board: Board) -> None:
        super().__init__(facet)
        self._board = board

    async def invoke(self, call: Call) -> Any:
        """Do one call; the value of a claim, an offer and a steal is the claim that was granted."""
        facet, board, task, value = self._facet, self._board, call.key, call.value
        if call.f == "submit":
            board.left[task] = None
            await facet.submit(msgspec.convert(value, Task))
            board.acknowledged.append(task)
            board.left[task] = None  # again: a status that came before it may have seen no such task
            return value
        if call.f == "status":
            status = await facet.status(task)
            if status is None or status.state in ("completed", "failed"):
                board.left.pop(task, None)
            return msgspec.to_builtins(status)
        worker = value["worker"]
        if call.f == "claim":
            return board.granted(await facet.claim(worker, value["capabilities"], task))
        claim = Claim(task, worker, value["epoch"])
        if call.f == "offer":
            return board.granted(await facet.offer(claim, value["to"]))
        if call.f == "steal":
            return board.granted(await facet.steal(claim, value["to"], value["capabilities"]))
        if call.f == "complete":
            await facet.complete(claim, value["result"])
            board.left.pop(task, None)
        elif call.f == "fail":
            await facet.fail(claim, value["error"])
        else:
            raise ContractError(f"tasks have no operation {call.f!r}")
        return value


@dataclass(frozen=True, slots=True)
class Work(Generator):
    """What workers do, without end.

    Args:
        board: that the clients write on.
        timeout_s: of claims.
    """

    board: Board
    timeout_s: float

    def start(self, random: Random) -> Source:
        """Return a source for all workers."""
        return _Work(self.board, self.timeout_s, random)


class _Work(Source):
    def __init__(self, board: Board, timeout_s: float, random: Random) -> None:
        self._board, self._timeout_s, self._random = board, timeout_s, random
        self._ids = itertools.count()
        self._results = itertools.count(1)
        self._workers: dict[int, str] = {}
        self._plans: dict[Claim, tuple[str, int]] = {}

    def next(self, context: Context) -> Call | Wait | None:
        name = self._workers[context.worker] = _name(context)
        while claims := self._board.held.get(name):
            claim = claims[-1]
            plan, due_ns = self._plans.setdefault(claim, self._plan(context.time_ns))
            if context.time_ns < due_ns:
                return Wait(due_ns)
            claims.pop()
            self._plans.pop(claim)
            if plan != "die":
                return self._report(context, claim, plan)
        return self._ask(context, name)

    def _plan(self, now_ns: int) -> tuple[str, int]:
        """Say what becomes of a claim, and when."""
        chance, seconds = self._random.random(), self._random.random() * 0.1 * self._timeout_s
        if chance < 0.08:  # frozen until the claim is over, or about to be
            return "complete", now_ns + int(self._random.uniform(0.8, 3) * self._timeout_s * SECOND_NS)
        plan = "complete" if chance < 0.7 else "fail" if chance < 0.83 else "offer" if chance < 0.91 else "die"
        return plan, now_ns + int(seconds * SECOND_NS)

    def _report(self, context: Context, claim: Claim, plan: str) -> Call:
        value: dict[str, Any] = {"worker": claim.worker, "epoch": claim.epoch}
        if plan == "complete":
            value["result"] = next(self._results)
        elif plan == "fail":
            value["error"] = "out of luck"
        else:
            to = self._random.choice(sorted(self._workers))
            value["to"] = self._workers[to]
        return Call(plan, claim.task, value)

    def _ask(self, context: Context, name: str) -> Call:
        board, chance = self._board, self._random.random()
        if chance < 0.4 and len(board.left) < BACKLOG * context.clients:
            task = self._task()
            return Call("submit", task.id, msgspec.to_builtins(task))
        skills = list(SKILLS[context.worker % len(SKILLS)])
        chance = self._random.random()
        if chance < 0.15 and board.left:
            return Call("status", self._some_left())
        if chance < 0.25 and board.acknowledged:
            return Call("status", self._random.choice(board.acknowledged[-100:]))
        if chance < 0.4 and board.left:
            return Call("claim", self._some_left(), {"worker": name, "capabilities": skills})
        if chance < 0.5 and board.recent:
            claim = board.recent[-1 - int(self._random.random() ** 2 * len(board.recent))]  # rather a new one
            value = {"worker": claim.worker, "epoch": claim.epoch, "to": name, "capabilities": skills}
            return Call("steal", claim.task, value)
        return Call("claim", None, {"worker": name, "capabilities": skills})

    def _some_left(self) -> str:
        return next(itertools.islice(self._board.left, int(self._random.random() * len(self._board.left)), None))

    def _task(self) -> Task:
        random = self._random
        chance = random.random
        workers = list(self._workers.values())
        return Task(
            id=f"t{next(self._ids)}",
            priority=int(chance() * 4),
            deadline_s=round(random.uniform(0.2, 1.5) * self._timeout_s, 3) if chance() < 0.15 else None,
            capabilities=random.choice(NEEDS),
            preferred=[random.choice(workers)] if chance() < 0.1 else (),
            excluded=random.sample(workers, len(workers) // 4) if chance() < 0.25 else (),
            affinity=random.choice("xyz") if chance() < 0.1 else None,
            retries_max=int(chance() * 4),
            timeout_s=self._timeout_s,
        )


@dataclass(frozen=True, slots=True)
class Drain(Generator):
    """Claim one task and complete it, until it is completed or has failed.

    Args:
        board: that the clients write on.
        task: its id.
    """

    board: Board
    task: str

    def start(self, random: Random) -> Source:
        """Return a source for one worker."""
        return _Drain(self.board, self.task)


class _Drain(Source):
    def __init__(self, board: Board, task: str) -> None:
        self._board, self._task = board, task
        self._asked, self._wait_ns = False, 0

    def next(self, context: Context) -> Call | Wait | None:
        name = f"drain {_name(context)}"
        if self._task not in self._board.left:
            return None
        if claims := self._board.held.get(name):
            claim = claims.pop()
            return Call("complete", claim.task, {"worker": name, "epoch": claim.epoch, "result": name})
        if context.time_ns < self._wait_ns:
            return Wait(self._wait_ns)
        self._asked = not self._asked
        if self._asked:
            return Call("status", self._task)
        self._wait_ns = context.time_ns + POLL_NS
        return Call("claim", self._task, {"worker": name, "capabilities": list(SKILLS[0])})


def _name(context: Context) -> str:
    return f"w{context.process}"


class TaskClaimWorkload:
    """Workers that submit, claim and report; at the end every acknowledged task is completed, and each status read.

    Args:
        options: timeout = seconds that a claim lives (default 1).
    """

    name = "task-claim"
    summary = "tasks with timeouts, retries and constraints; each is claimed by one worker at a time and completed once"
    facets: Sequence[str] = ("tasks",)
    options: Mapping[str, Sequence[str]] = {"timeout": ()}

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._timeout_s = _seconds(options.get("timeout", TIMEOUT_S))
        self._board = Board()

    def client(self, facet: Tasks) -> Client:
        """Return a client of a task service."""
        return TaskClient(facet, self._board)

    def generator(self) -> Generator:
        """Return what the workers do, without end."""
        return Work(self._board, self._timeout_s)

    def final(self) -> Generator:
        """Return the drain of every acknowledged task, and then one successful read of each one's status."""
        board = self._board
        acknowledged = set(board.acknowledged)
        return phases(
            on_keys(lambda: [task for task in board.left if task in acknowledged], 1, lambda key: Drain(board, key)),
            on_keys(lambda: list(board.acknowledged), 1, lambda _: until_ok(repeat(once(Call("status"))))),
        )

    def checkers(self) -> Sequence[Checker]:
        """Return the promises of tasks, and that every task which is left can be claimed in the end."""
        return (Claims(), Liveness(("claim",), max(STUCK_S, STUCK_TIMEOUTS * self._timeout_s)))


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < 3600:
        raise UsageError(f"timeout={value!r} is no time that a claim could live", "give seconds, such as timeout=1.5")
    return seconds
