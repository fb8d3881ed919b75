"""Workers: how operations end, in virtual time, with clients as bad as they come."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest
from stage import TIMEOUT_S, Do, Stage, seconds

from harness.errors import ClusterError, ContractError, Definite, HarnessError, Indefinite
from harness.generator import Context, Generator, Wait, calls, limit, nemesis, once, sequence, time_limit, until_ok
from harness.history import History
from harness.op import Call, Op
from harness.worker import BACK_OFF_MAX_S, CLOSE_S, CUT_AGAIN_S, CUTS_MAX, TICK_S
from tests.virtual_time import run

READ = Call("read", "k")
A_FEW_TURNS_S = 0.001


def driven(
    folder: Path, invoke: Callable[[Call], Coroutine[Any, Any, Any]], generator: Generator, concurrency: int = 1
) -> list[Op]:
    """Drive clients of one function to the end; return the events."""

    async def whole() -> list[Op]:
        stage = Stage(folder, lambda node: Do(invoke), concurrency)
        try:
            return await stage.drive(generator)
        finally:
            await stage.close()

    return run(whole())


def test_ok_has_the_value_that_the_client_returned(tmp_path: Path) -> None:
    """An invoke that returns is ok, with its value; both ends carry f, key, process and node."""

    async def invoke(call: Call) -> Any:
        return [1, {"a": None}]

    first, last = driven(tmp_path, invoke, once(Call("read", "k", 7)))
    assert first == Op(0, first.time, 0, "invoke", "read", "n1", "k", 7)
    assert last == Op(1, last.time, 0, "ok", "read", "n1", "k", [1, {"a": None}])


def test_definite_is_fail_with_what_was_observed(tmp_path: Path) -> None:
    """A Definite is a fail; the process goes on."""

    async def invoke(call: Call) -> Any:
        raise Definite("the value is another", observed=7)

    events = driven(tmp_path, invoke, sequence([Call("cas", "k", [1, 2])] * 2))
    assert [op.type for op in events] == ["invoke", "fail"] * 2
    assert (events[1].observed, events[1].error, events[1].value) == (7, "the value is another", [1, 2])
    assert events[2].process == events[0].process


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Indefinite("who knows"), "who knows"),
        (ValueError("bad"), "ValueError: bad"),
        (OSError(111, "refused"), "ConnectionRefusedError: [Errno 111] refused"),
        (TimeoutError(), "TimeoutError: "),
        (ClusterError("gone", "start it"), "gone\n  hint: start it"),
        (asyncio.CancelledError(), "cancelled by the client itself"),
        (asyncio.InvalidStateError(), "InvalidStateError: "),
        (RecursionError("deep"), "RecursionError: deep"),
        (MemoryError(), "MemoryError: "),
        (ExceptionGroup("two", [ValueError(), KeyError()]), "ExceptionGroup: two (2 sub-exceptions)"),
        (StopAsyncIteration(), "StopAsyncIteration: "),
    ],
)
def test_any_other_exception_is_info(tmp_path: Path, error: BaseException, text: str) -> None:
    """Whatever else a client raises, the operation may have happened; the run goes on with a new process."""

    async def invoke(call: Call) -> Any:
        if call.f == "bad":
            raise error
        return None

    events = driven(tmp_path, invoke, sequence([Call("bad"), Call("good")]))
    assert [(op.process, op.type, op.f) for op in events] == [
        (0, "invoke", "bad"), (0, "info", "bad"), (1, "invoke", "good"), (1, "ok", "good"),
    ]  # fmt: skip
    assert events[1].error == text


def test_a_late_operation_is_info_within_a_tick(tmp_path: Path) -> None:
    """What takes longer than the timeout is cut off at most TICK_S after it; what takes less is not."""

    async def invoke(call: Call) -> Any:
        await asyncio.sleep(call.value)
        return "in time"

    delays = [number * 0.013 for number in range(20)]
    events = driven(tmp_path, invoke, sequence([Call("op", None, delay) for delay in delays]))
    for first, last in zip(events[::2], events[1::2], strict=True):
        took = seconds(last) - seconds(first)
        if last.type == "ok":
            assert took == pytest.approx(first.value)
            assert took <= TIMEOUT_S + TICK_S
        else:
            assert (last.type, last.error, last.value) == ("info", "timed out", first.value)
            assert TIMEOUT_S * 1e9 <= last.time - first.time <= (TIMEOUT_S + TICK_S) * 1e9 + 1000
            assert first.value >= TIMEOUT_S
    assert {op.type for op in events} == {"invoke", "ok", "info"}


def test_processes_are_unique_for_ever(tmp_path: Path) -> None:
    """An info retires the process: its number never comes again, on any worker, and its client is replaced."""
    log: list[str] = []

    async def invoke(call: Call) -> Any:
        await asyncio.sleep(0.001)
        if call.value % 3 == 0:
            raise Indefinite("every third")

    async def whole() -> list[Op]:
        values = iter(range(1000))
        stage = Stage(tmp_path, lambda node: Do(invoke, log), 4)
        events = await stage.drive(limit(100, calls(lambda random: Call("op", None, next(values)))))
        await stage.close()
        return events

    events = run(whole())
    retired: set[int | str] = set()
    nodes: dict[int | str, str | None] = {}
    for op in events:
        assert op.process not in retired
        assert nodes.setdefault(op.process, op.node) == op.node == f"n{int(op.process) % 4 % 3 + 1}"
        if op.type == "info":
            retired.add(op.process)
    assert len(retired) == 34
    assert log.count("open") == len(nodes)
    assert log.count("close") == log.count("open")


class NotYet(Do):
    """A client that cannot be opened before a time."""

    def __init__(self, opens_s: float, how: str) -> None:
        super().__init__(self._answer)
        self._opens_s, self._how = opens_s, how

    @staticmethod
    async def _answer(call: Call) -> Any:
        await asyncio.sleep(0.01)

    async def open(self) -> None:
        if asyncio.get_running_loop().time() < 1000 + self._opens_s:
            if self._how == "hangs":
                await asyncio.sleep(1000)
            if self._how == "is cancelled":
                raise asyncio.CancelledError
            raise ConnectionRefusedError("refused")


@pytest.mark.parametrize("how", ["fails", "hangs", "is cancelled"])
def test_an_open_that_fails_is_a_fail_and_is_tried_again_later(tmp_path: Path, how: str) -> None:
    """Nothing was sent, so it certainly did not happen; the next attempt comes after a while, not at once."""

    async def whole() -> list[Op]:
        stage = Stage(tmp_path, lambda node: NotYet(1.0, how))
        events = await stage.drive(time_limit(1.5, calls(lambda random: READ)))
        await stage.close()
        return events

    events = run(whole())
    failed = [op for op in events if op.type == "fail"]
    assert {op.process for op in events} == {0}
    assert all((op.error or "").startswith("no connection: ") for op in failed)
    assert 4 <= len(failed) <= 1.0 / BACK_OFF_MAX_S + 1
    assert seconds(failed[-1]) <= 1.0 + TIMEOUT_S
    assert [op.type for op in events][2 * len(failed) :] == ["invoke", "ok"] * (len(events) // 2 - len(failed))
    assert len(events) > 60


def test_refused_operations_back_off(tmp_path: Path) -> None:
    """A client whose node refuses at once does not spin; one whose operation fails by its value does not slow down."""

    async def refuse(call: Call) -> Any:
        raise Definite("connection refused")

    async def observe(call: Call) -> Any:
        await asyncio.sleep(0.001)
        raise Definite("another", observed=1)

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    refused = driven(tmp_path / "a", refuse, time_limit(1.0, calls(lambda random: READ)))
    observed = driven(tmp_path / "b", observe, time_limit(1.0, calls(lambda random: READ)))
    assert 10 <= len(refused) / 2 <= 20
    assert len(observed) / 2 == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize("after", ["goes on for long", "returns", "raises Definite"])
def test_a_client_that_swallows_its_cancellation_is_info(tmp_path: Path, after: str) -> None:
    """What comes after the cut does not count, neither an answer nor a refusal; one that goes on is cut again."""

    async def invoke(call: Call) -> Any:
        if call.f == "good":
            return "good"
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            if after == "goes on for long":
                await asyncio.sleep(1000)
            if after == "raises Definite":
                raise Definite("certainly not", observed=3) from None
        return None

    events = driven(tmp_path, invoke, sequence([Call("bad", None, 9), Call("good")]))
    assert [op.type for op in events] == ["invoke", "info", "invoke", "ok"]
    assert events[1].value == 9
    assert events[1].error == "timed out"
    assert seconds(events[1]) <= TIMEOUT_S + CUT_AGAIN_S + 2 * TICK_S
    assert events[3].process == 1


def test_a_client_that_never_lets_go_ends_the_run(tmp_path: Path) -> None:
    """A client that swallows every cancellation is named in a ContractError, soon."""
    release = asyncio.Event()

    async def invoke(call: Call) -> Any:
        while not release.is_set():
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                continue

    async def whole() -> None:
        stage = Stage(tmp_path, lambda node: Do(invoke))
        start = asyncio.get_running_loop().time()
        with pytest.raises(ContractError, match="a client of n1 goes on after it was cancelled 3 times"):
            await stage.drive(once(READ))
        took = asyncio.get_running_loop().time() - start
        assert took <= TIMEOUT_S + CUTS_MAX * (CUT_AGAIN_S + TICK_S) + 2 * CLOSE_S + TICK_S
        release.set()
        await stage.close()

    run(whole())


@pytest.mark.parametrize("late_ms", [number / 4 for number in range(-20, 60)])
def test_an_answer_in_the_turn_of_the_deadline(tmp_path: Path, late_ms: float) -> None:
    """Whichever comes first wins; there is one completion, and the next operations are not hit by a stray cancel."""

    async def invoke(call: Call) -> Any:
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        delay = TIMEOUT_S + late_ms / 1000 if call.f == "late" else 0.05
        loop.call_later(delay, lambda: answer.done() or answer.set_result("answer"))
        return await answer

    events = driven(tmp_path, invoke, sequence([Call("late"), Call("good"), Call("good")]))
    assert [op.type for op in events][2:] == ["invoke", "ok"] * 2
    assert events[1].type == "ok" or events[1].error == "timed out"
    if late_ms < 0:
        assert events[1].type == "ok"
    if late_ms > TICK_S * 1000:
        assert events[1].type == "info"


@pytest.mark.parametrize("how", ["hangs", "raises", "is cancelled"])
def test_a_bad_close_does_no_harm(tmp_path: Path, how: str) -> None:
    """A client that hangs or raises in close delays the next process by at most CLOSE_S."""

    class Bad(Do):
        async def close(self) -> None:
            if how == "hangs":
                await asyncio.sleep(1000)
            raise asyncio.CancelledError if how == "is cancelled" else ValueError

    async def invoke(call: Call) -> Any:
        raise Indefinite("again")

    async def whole() -> list[Op]:
        stage = Stage(tmp_path, lambda node: Bad(invoke), 2)
        events = await stage.drive(limit(4, calls(lambda random: READ)))
        await stage.close()
        return events

    events = run(whole())
    assert Counter(op.type for op in events) == {"invoke": 4, "info": 4}
    assert seconds(events[-1]) <= 2 * CLOSE_S


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: 0, float("nan"), {"a": [float("inf")]}, b"bytes", {1: 2}])
def test_a_value_that_is_not_json_ends_the_run(tmp_path: Path, value: Any) -> None:
    """A ContractError says whose operation it was; the file stays valid, the operation without completion."""

    async def invoke(call: Call) -> Any:
        return value

    with pytest.raises(ContractError, match="read ok of process 0 holds something that is not JSON"):
        driven(tmp_path, invoke, once(READ))
    (only,) = History.load(tmp_path / "history.jsonl").events
    assert only.type == "invoke"


def test_the_stamps_enclose_the_operation(tmp_path: Path) -> None:
    """An invoke is stamped before the request is sent, and its completion after the reply: delays hide anomalies."""
    spans: list[tuple[int, int]] = []

    async def whole() -> list[Op]:
        async def invoke(call: Call) -> Any:
            sent = stage.recorder.now_ns()
            await asyncio.sleep(0.01)
            spans.append((sent, stage.recorder.now_ns()))
            if call.value % 2:
                raise (Definite if call.value == 1 else Indefinite)("no")

        stage = Stage(tmp_path, lambda node: Do(invoke))
        events = await stage.drive(sequence([Call("op", None, number) for number in range(4)]))
        await stage.close()
        return events

    events = run(whole())
    assert [op.type for op in events[1::2]] == ["ok", "fail", "ok", "info"]
    for first, last, (sent, received) in zip(events[::2], events[1::2], spans, strict=True):
        assert first.time <= sent < received <= last.time


def test_until_ok_hears_how_operations_end(tmp_path: Path) -> None:
    """The outcome reaches the generator that asked for it."""
    outcomes = iter([Definite("no", observed=1), Indefinite("perhaps"), ValueError(), None])

    async def invoke(call: Call) -> Any:
        if error := next(outcomes):
            raise error

    events = driven(tmp_path, invoke, until_ok(calls(lambda random: READ)))
    assert [op.type for op in events[1::2]] == ["fail", "info", "info", "ok"]


def test_a_client_that_answers_at_once_lets_the_others_in(tmp_path: Path) -> None:
    """Clients that never give way take turns, so that nobody starves."""

    async def invoke(call: Call) -> Any:
        return None

    events = driven(tmp_path, invoke, limit(300, calls(lambda random: READ)), concurrency=3)
    assert min(Counter(op.process for op in events).values()) >= 100


def test_the_nemesis_is_a_worker_of_its_own(tmp_path: Path) -> None:
    """Its operations have no timeout and no node, and an info does not retire it."""

    async def fault(call: Call) -> Any:
        await asyncio.sleep(10 * TIMEOUT_S)
        if call.f == "inject":
            raise HarnessError("it had no effect")
        return call.value

    async def whole() -> list[Op]:
        stage = Stage(tmp_path, lambda node: Do(fault), 1, Do(fault))
        events = await stage.drive(nemesis(sequence([Call("inject", 0, {}), Call("heal", 0, {})])))
        await stage.close()
        return events

    events = run(whole())
    assert [(op.process, op.node, op.type) for op in events] == [
        ("nemesis", None, kind) for kind in ("invoke", "info", "invoke", "ok")
    ]
    assert events[1].error == "it had no effect"


class Answers(Generator):
    """A source that always gives the same answer."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def start(self, random: Random) -> Any:
        return self

    def next(self, context: Context) -> Any:
        return self._answer


@pytest.mark.parametrize(
    ("answer", "message"), [(Wait(early=True), "every worker waits for another one"), ("read", "returned 'read'")]
)
def test_a_broken_generator_ends_the_run(tmp_path: Path, answer: Any, message: str) -> None:
    """A generator that waits for ever, or that returns what is no call, is named in a ContractError."""

    async def invoke(call: Call) -> Any: ...

    with pytest.raises(ContractError, match=message):
        driven(tmp_path, invoke, Answers(answer), concurrency=3)
