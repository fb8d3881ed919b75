"""Workers: each asks the generator, does the call on its client, and records both ends.

All workers run on one event loop. asyncio's own per-call timeouts would cost half of the recorded rate, so one
ticker looks at the deadlines of all workers instead; a late operation is cut off at most TICK_S after its deadline.
Here, and nowhere else, exceptions become ok, fail and info.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any, Final

import msgspec

from harness.errors import ContractError, Definite, HarnessError, Indefinite
from harness.generator.base import FOREVER_NS, SECOND_NS, Context, Generator, Source, Wait
from harness.op import NEMESIS, Call, EventType
from harness.protocols import Client
from harness.recorder import FLUSH_S, Recorder

TICK_S: Final = 0.01
BACK_OFF_MIN_S: Final = 0.005
BACK_OFF_MAX_S: Final = 0.1
CLOSE_S: Final = 0.5
CUT_AGAIN_S: Final = 0.5
CUTS_MAX: Final = 3
"""How often an operation is cancelled, CUT_AGAIN_S apart, before its client is held to be broken."""

ClientFactory = Callable[[str], Client]
"""Makes an unopened client that is pinned to the node of this name."""


class Worker:
    """One thread of control: a client process at a time, or the nemesis.

    Attributes:
        context: what the generator sees of it.
        deadline_ns: when its present operation is cut off; 0 while there is none.
    """

    def __init__(
        self,
        context: Context,
        node: str | None,
        client: Callable[[], Client],
        recorder: Recorder,
        timeout_s: float | None,
    ) -> None:
        self.context = context
        self.deadline_ns = 0
        self._node = node
        self._make_client = client
        self._recorder = recorder
        self._timeout_ns = None if timeout_s is None else int(timeout_s * SECOND_NS)
        self._client: Client | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cuts = 0
        self._refusals = 0

    def cut_off(self, now_ns: int) -> None:
        """Cancel the present operation: it becomes info.

        Raises:
            ContractError: its client goes on however often it is cancelled.
        """
        if self._cuts == CUTS_MAX:
            message = f"a client of {self._node} goes on after it was cancelled {CUTS_MAX} times"
            raise ContractError(message, "its invoke must let asyncio.CancelledError through")
        self._cuts += 1
        self.deadline_ns = now_ns + int(CUT_AGAIN_S * SECOND_NS)
        assert self._task is not None
        self._task.cancel()

    def bind(self) -> None:
        """Belong to the current task from now on."""
        self._task = asyncio.current_task()

    async def perform(self, call: Call) -> EventType:
        """Do one call and record both ends; return how it ended."""
        if self._client is None and not await self._connect(call):
            return "fail"
        assert self._client is not None
        process, record, node = self.context.process, self._recorder.record, self._node
        started_ns = record(process, "invoke", call.f, node, call.key, call.value)
        value: Any = call.value
        observed: Any = msgspec.UNSET
        error: str | None = None
        outcome: EventType = "ok"
        self._begin(started_ns)
        try:
            value = await self._client.invoke(call)
        except Definite as reason:
            outcome, observed, error = "fail", reason.observed, reason.error
        except Indefinite as reason:
            outcome, observed, error = "info", reason.observed, reason.error
        except asyncio.CancelledError:
            if not self._cuts and self._cancelled():
                await self._retire()
                raise
            outcome, error = "info", "cancelled by the client itself"
        except HarnessError as reason:
            outcome, error = "info", str(reason)
        except Exception as reason:  # whatever a client raises, the operation may have happened
            outcome, error = "info", f"{type(reason).__name__}: {reason}"
        if self._end():
            value, outcome, observed, error = call.value, "info", msgspec.UNSET, "timed out"
        record(process, outcome, call.f, node, call.key, value, observed, error)
        if outcome == "info":
            await self._retire()
        refused = outcome == "fail" and observed is msgspec.UNSET
        self._refusals = self._refusals + 1 if refused else 0
        if refused:
            # clients of a node that is gone fail at once, and would take the whole rate from the others
            await asyncio.sleep(min(BACK_OFF_MIN_S * 2 ** min(self._refusals, 8), BACK_OFF_MAX_S))
        return outcome

    async def close(self) -> None:
        """Close the client, if one is open."""
        client, self._client = self._client, None
        if client is None:
            return
        # what closing says changes nothing of what was recorded, and a client that hangs here must not stop the run
        with contextlib.suppress(Exception, asyncio.CancelledError):
            async with asyncio.timeout(CLOSE_S):
                await client.close()

    def _begin(self, started_ns: int) -> None:
        if self._timeout_ns is not None:
            self.deadline_ns = started_ns + self._timeout_ns

    def _end(self) -> bool:
        """Return whether the operation was cut off; what its client made of that, an answer too, does not count."""
        self.deadline_ns = 0
        if not self._cuts:
            return False
        assert self._task is not None
        for _ in range(self._cuts):
            self._task.uncancel()
        self._cuts = 0
        return True

    def _cancelled(self) -> bool:
        """Say whether the worker is being stopped, and its client did not make up the cancellation."""
        return self._task is not None and self._task.cancelling() > 0

    async def _connect(self, call: Call) -> bool:
        """Open a client; where that fails the call is recorded as fail, for nothing was sent."""
        client = self._make_client()
        self._client = client
        try:
            async with asyncio.timeout(None if self._timeout_ns is None else self._timeout_ns / SECOND_NS):
                await client.open()
        except (Exception, asyncio.CancelledError) as reason:  # any failure to connect, the client's own errors too
            await self.close()
            if self._cancelled():
                raise
            process, record = self.context.process, self._recorder.record
            record(process, "invoke", call.f, self._node, call.key, call.value)
            error = f"no connection: {str(reason) or type(reason).__name__}"
            record(process, "fail", call.f, self._node, call.key, call.value, msgspec.UNSET, error)
            await asyncio.sleep(BACK_OFF_MAX_S)
            return False
        return True

    async def _retire(self) -> None:
        """Give up the process: its last operation may still happen, so it can have no next one."""
        if isinstance(self.context.process, int):
            self.context.process += self.context.workers
            await self.close()


class Drive:
    """All workers of a run, on one recorder; runs one generator after another.

    Args:
        recorder: where the events go.
        nodes: the nodes' names; worker w is pinned to nodes[w % len(nodes)].
        client: makes clients.
        nemesis: the client of the nemesis, or None.
        concurrency: how many client workers.
        timeout_s: of each client operation.
        hands: how many workers the nemesis has, on its one client: as many faults can be waited for, injected or
            healed at once.
    """

    def __init__(
        self,
        recorder: Recorder,
        nodes: Sequence[str],
        client: ClientFactory,
        nemesis: Client | None,
        concurrency: int,
        timeout_s: float,
        hands: int = 1,
    ) -> None:
        self._recorder = recorder
        hands = 0 if nemesis is None else hands
        workers = concurrency + hands
        self._workers = []
        for number in range(concurrency):
            node = nodes[number % len(nodes)]
            context = Context(number, number, workers, concurrency)
            self._workers.append(Worker(context, node, _pinned(client, node), recorder, timeout_s))
        for number in range(1, hands + 1):
            assert nemesis is not None
            context = Context(-number, NEMESIS, workers, concurrency)
            self._workers.append(Worker(context, None, partial(_the, nemesis), recorder, None))
        self._changed: asyncio.Event | None = None  # where somebody waits for it
        self._over = False
        self._latest: Worker | None = None
        self._busy = 0
        self._stuck = 0  # workers that wait for a change and for nothing else

    async def run(self, generator: Generator, random: Random, stop: asyncio.Event) -> None:
        """Drive all workers until the generator has no more for any of them, or `stop` is set.

        Operations that are under way at a stop stay without completion, which is info.

        Raises:
            ContractError: a client, or the generator, broke its protocol.
            ClusterError: the history cannot be written.
        """
        source = generator.start(random)
        self._busy, self._stuck, self._changed, self._over = len(self._workers), 0, None, False
        workers = [asyncio.create_task(self._work(worker, source)) for worker in self._workers]
        others = [asyncio.create_task(self._tick()), asyncio.create_task(stop.wait())]
        working = asyncio.gather(*workers)
        tasks: list[asyncio.Future[Any]] = [working, *others]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._over = True
            for each in (*workers, *others):
                each.cancel()
            # a worker whose client does not let go of it is left behind
            await asyncio.wait([*tasks, *workers], timeout=2 * CLOSE_S)
            if working.done() and not working.cancelled():
                working.exception()  # retrieved: asyncio would complain of it
        self._recorder.flush()

    async def close(self) -> None:
        """Close all clients."""
        await asyncio.gather(*(worker.close() for worker in self._workers))

    async def _work(self, worker: Worker, source: Source) -> None:
        context, now_ns = worker.context, self._recorder.now_ns
        worker.bind()
        while not self._over:
            context.time_ns = now_ns()
            found = source.next(context)
            if context.changed:
                context.changed = False
                self._wake()
            if type(found) is Wait:
                await self._wait(found, context.time_ns)
                continue
            if found is None:
                break
            if type(found) is not Call:
                raise ContractError(f"a generator returned {found!r}", "a source returns a Call, a Wait or None")
            listeners = context.on_end
            if not listeners:
                await worker.perform(found)
            else:
                context.on_end = []
                outcome = await worker.perform(found)
                for ended in listeners:
                    ended(outcome)
                self._wake()
            if self._latest is worker:
                await asyncio.sleep(0)  # a client that answers at once would never let the others, nor the ticker, in
            self._latest = worker
        self._busy -= 1
        self._wake()

    async def _wait(self, wait: Wait, now_ns: int) -> None:
        seconds = (wait.until_ns - now_ns) / SECOND_NS if wait.until_ns < FOREVER_NS else None
        if seconds is not None and not wait.early:
            await asyncio.sleep(seconds)
            return
        self._stuck += seconds is None
        if self._stuck == self._busy:
            raise ContractError("every worker waits for another one", "the generator's phases never end: mend it")
        if self._changed is None:
            self._changed = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def _wake(self) -> None:
        """Let everybody who waits for a change ask again."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None
            self._stuck = 0

    async def _tick(self) -> None:
        """Cut off what is late, and keep the file close behind the run."""
        recorder, flush_ns = self._recorder, int(FLUSH_S * SECOND_NS)
        flushed_ns = 0
        while True:
            await asyncio.sleep(TICK_S)
            now_ns = recorder.now_ns()
            for worker in self._workers:
                if 0 < worker.deadline_ns <= now_ns:
                    worker.cut_off(now_ns)
            if now_ns - flushed_ns >= flush_ns:
                recorder.flush()
                flushed_ns = now_ns


def _the(client: Client) -> Client:
    return client


def _pinned(client: ClientFactory, node: str) -> Callable[[], Client]:
    return lambda: client(node)
