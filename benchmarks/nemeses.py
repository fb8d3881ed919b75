"""Every fault that the planner can choose, on real servers: whether it is verified, and how long it takes.

    python -m benchmarks.nemeses [--nodes 5] [SYSTEM:BACKEND …]

Inject ends when the nodes have done it, verify when it was measured to be in effect, heal when it was measured to be
gone and servers run again. Medians of ROUNDS plans of each kind, so figures differ within a kind: a delay of 400 ms
cannot be measured within 10. Who leads is asked for before the inject; isolate-leader asks within it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final, TypeVar

from benchmarks.run import Silent
from harness.cluster import Cluster
from harness.config import RunConfig
from harness.errors import HarnessError
from harness.session import Session, node_names
from nemesis import FAMILIES, Family, family, rights
from nemesis.targets import aim

T = TypeVar("T")

ON: Final = tuple(f"{system}:{backend}" for system in ("etcd", "redis", "zookeeper") for backend in ("docker", "netns"))
ROUNDS: Final = 3
PLANS: Final = 400
RECOVER_S: Final = 30.0
CLIENT_PROCESSES: Final = 4
WRITE_S: Final = 0.2
FIGURES: Final = ("delay_ms", "loss", "duplicate", "reorder", "corrupt", "rate_kbit")
NAMES: Final = ("action", "shape", "direction", "signal", "trouble", "how", "files")
PHASES: Final = ("inject", "verify", "heal")


def variant(params: Mapping[str, Any]) -> str:
    """Return in a word or two what kind of its family a plan is."""
    figures = [name.partition("_")[0] for name in FIGURES if params.get(name)]
    if figures:
        return "storm" if len(figures) > 3 else "+".join(figures)
    words = [str(params[name]) for name in NAMES if params.get(name)]
    if params.get("cut"):
        return " ".join(["cut", *words] if words else ["cut", "both"])
    return " ".join(words) or str(params.get("target", ""))


def plans(each: Family, nodes: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return ROUNDS plans of every kind that many seeds give, by kind."""
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in range(PLANS):
        params = each.plan(Random(seed), nodes)  # noqa: S311
        of_kind = found.setdefault(variant(params), [])
        if len(of_kind) < ROUNDS:
            of_kind.append(params)
    return dict(sorted(found.items()))


async def timed(action: Awaitable[T], times_ms: list[float]) -> T:
    """Await it, and note how long that took."""
    start = time.perf_counter()
    result = await action
    times_ms.append((time.perf_counter() - start) * 1e3)
    return result


async def row(cluster: Cluster, each: Family, of_kind: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Do all plans of a kind in turn; return the medians in ms, or what was wrong."""
    took: dict[str, list[float]] = {phase: [] for phase in PHASES}
    for params in of_kind:
        aimed = await aim(params, cluster)
        fault = each.make(cluster, {**params, **({"nodes": aimed["nodes"]} if aimed else {})})
        wrong = ""
        try:
            await timed(fault.inject(), took["inject"])
            await timed(fault.verify(), took["verify"])
        except HarnessError as error:
            wrong = str(error)
        try:
            await timed(fault.heal(), took["heal"])
        except HarnessError as error:
            wrong = wrong or str(error)
        late = await cluster.recover(RECOVER_S)
        if wrong or late:
            return {"wrong": wrong or f"{', '.join(late)} did not serve again within {RECOVER_S:g} s"}
    return {phase: statistics.median(times) for phase, times in took.items()}


async def keep_writing(cluster: Cluster) -> None:
    """Write to each node in turn, whatever becomes of it: what nobody writes to has no old copy."""
    number = 0
    while True:
        for node in cluster.nodes.values():
            number += 1
            register: Any = cluster.system.facets["register"](node, {})
            with contextlib.suppress(Exception):
                async with asyncio.timeout(WRITE_S):
                    await register.open()
                    await register.write("k", number)
            with contextlib.suppress(Exception):
                await register.close()
            await asyncio.sleep(WRITE_S)


async def measure(session: Session, config: RunConfig) -> None:
    """Print a JSON line for every kind of every family that backend and system can have."""
    possible = [
        name for name, each in FAMILIES.items() if name not in session.backend.lacks and each.fits(session.system)
    ]
    async with session.cluster(config, asyncio.Event(), rights(possible)) as cluster:
        await cluster.boot()
        await cluster.start_clients(CLIENT_PROCESSES, config)
        writing = asyncio.create_task(keep_writing(cluster))
        try:
            for each in map(family, possible):
                for kind, of_kind in plans(each, node_names(config)).items():
                    found = await row(cluster, each, of_kind)
                    print(json.dumps({"fault": each.name, "kind": kind} | found), flush=True)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await cluster.end_clients()


def measure_in_this_process(where: str, nodes: int) -> None:
    """Measure on one system and backend; a process that has entered network namespaces cannot do another."""
    system, _, backend = where.partition(":")
    config = RunConfig(system=system, backend=backend, nodes=nodes)
    session = Session.open(config, Silent())
    asyncio.run(measure(session, session.fill(config)))


def rows(where: str, nodes: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of one system and backend, from a process of its own, as they come."""
    argv = [sys.executable, "-m", "benchmarks.nemeses", "--only", where, "--nodes", str(nodes)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603
        assert child.stdout is not None
        yield from map(json.loads, child.stdout)
    if child.returncode:
        yield {"fault": "all", "kind": "", "wrong": f"the measuring process ended with {child.returncode}"}


def show(where: str, found: Mapping[str, Any]) -> str:
    """Return a row of the table."""
    system, _, backend = where.partition(":")
    verified = "no" if "wrong" in found else "yes"
    times = [f"{found[phase]:,.0f}" if phase in found else "" for phase in PHASES]
    cells = [found["fault"], found["kind"], system, backend, verified, *times]
    return f"| {' | '.join(cells)} |" + (f" {' '.join(found['wrong'].split())}" if "wrong" in found else "")


def main(words: Sequence[str] = ()) -> None:
    """Print the table; exit with 1 where a fault was not verified."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nemeses")
    parser.add_argument("where", nargs="*", metavar="SYSTEM:BACKEND", default=list(ON))
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    given = parser.parse_args(list(words))
    if given.only:
        measure_in_this_process(given.only, given.nodes)
        return
    print("| fault | kind | system | backend | verified | inject, ms | verify, ms | heal, ms |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    failed = False
    for where in given.where:
        for found in rows(where, given.nodes):
            failed = failed or "wrong" in found
            print(show(where, found), flush=True)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
