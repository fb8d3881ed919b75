"""A cluster that stands for many runs, for callers without an event loop of their own (pytest's tests).

One event loop serves the machines for as long as they stand: their agents' pipes are bound to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import nemesis
import workloads
from harness.cluster import Cluster
from harness.config import RunConfig
from harness.errors import HarnessError, UsageError
from harness.facets import Facet
from harness.interrupt import stop_on_signals
from harness.protocols import Backend, Node, Right, System
from harness.registry import find_system
from harness.runner import Observer, Result, Run
from harness.session import Session, check_facets, check_options, kinds, node_names

T = TypeVar("T")


class StandingCluster:
    """Machines, and the system that was booted last on them. Its methods block; use it from the main thread.

    Args:
        session: opened before any event loop or thread.
        config: of the machines; each run has its own.
        store: where runs are kept.
        observer: who is told.
        rights: what the machines must be able to do, for all the runs there will be.
    """

    def __init__(
        self, session: Session, config: RunConfig, store: Path, observer: Observer, rights: frozenset[Right]
    ) -> None:
        self._session = session
        self._config = session.fill(config)
        self._store = store
        self._rights = rights
        self._observer = observer
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._cluster = Cluster(session.backend, session.system, node_names(config))

    @property
    def backend(self) -> Backend:
        """Where the nodes live."""
        return self._session.backend

    @property
    def system(self) -> System:
        """What was booted last, or will be."""
        return self._cluster.system

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The machines by name: n1, n2, …"""
        return self._cluster.nodes

    def up(self) -> None:
        """Bring up the machines.

        Raises:
            ClusterError: with what to do; nothing is left behind.
        """
        self.wait(self._cluster.up(self._session.paths, self._rights))

    def boot(self, **options: Any) -> None:
        """Start the system afresh, without any data, and wait until it serves.

        Args:
            options: of the system, such as `bug` of the system memory.

        Raises:
            UsageError: an option is wrong.
            ClusterError: it never got healthy.
        """
        self._renew(self._config, options)
        self.wait(self._cluster.boot())

    def leader(self) -> str | None:
        """Return the name of the leader, None where no node knows one."""
        return self.wait(self._cluster.leader())

    def facet(self, name: str, node: str, **options: Any) -> Facet:
        """Return an unopened facet of a node; await its methods with `wait`.

        Raises:
            UsageError: the system has no such facet.
        """
        return self._cluster.facet(self._config.facet(name), node, options)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` on the cluster's event loop, such as `cluster.nodes["n1"].state()`."""
        task: asyncio.Task[T] | None = None

        async def tracked() -> T:
            nonlocal task
            task = asyncio.current_task()
            return await work

        try:
            return self._runner.run(tracked())
        finally:
            if task is not None and not task.done():  # torn out of the loop, as pytest-timeout's alarm does
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    self._runner.get_loop().run_until_complete(task)

    def run(self, config: RunConfig) -> tuple[Result, bool]:
        """Boot the system afresh and run a workload on it; return the result, and whether a signal stopped it early.

        Args:
            config: its system, version, nodes and backend are those of the machines.

        Raises:
            HarnessError: see session.plan and Run.execute.
        """
        schedule = self._session.plan(config, self._observer)
        config = self._session.fill(config)
        workload = workloads.find(config.workload)(config.options)
        check_options(config, workload)
        self._check_rights(kinds(schedule))
        check_facets(config, workload, self.system)
        self._renew(config, config.options)

        async def whole() -> tuple[Result, bool]:
            stop = asyncio.Event()
            with _stopping(stop, self._observer.warn):
                run = Run(self._cluster, config, workload, schedule, self._store, self._observer, stop)
                return await run.execute(), stop.is_set()

        return self.wait(whole())

    def _check_rights(self, families: Sequence[str]) -> None:
        """See that the machines were made for these families of faults.

        Raises:
            UsageError: one is not.
        """
        for name in families:
            if not nemesis.rights([name]) <= self._rights:
                what = f"the machines of this session were made without the rights that {name} takes"
                raise UsageError(what, f"add {name} to --cluster-nemesis")

    def close(self) -> None:
        """Stop everything and remove the machines; once is enough, twice does no harm."""
        if not self.nodes:
            self._runner.close()
            return
        try:
            self.wait(self._cluster.down())
        except HarnessError as error:
            self._observer.warn(f"the machines were not removed: {error}")
        finally:
            self._runner.close()

    def _renew(self, config: RunConfig, options: Mapping[str, Any]) -> None:
        """Make the system anew for the next boot: it may remember what was, and options are its own, too."""
        system = find_system(config.system)(config.version, {"seed": config.seed, **options})
        nodes = self.nodes
        self._cluster = Cluster(self.backend, system, self._cluster.names)
        self._cluster.nodes, self._cluster.rights = nodes, self._rights


@contextlib.contextmanager
def _stopping(stop: asyncio.Event, tell: Callable[[str], None]) -> Iterator[None]:
    """Let signals set `stop` for a while, and give them back to whom they were."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    stop_on_signals(stop, tell)
    try:
        yield
    finally:
        loop = asyncio.get_running_loop()
        for number, handler in before.items():
            if loop.remove_signal_handler(number):
                signal.signal(number, handler)
