"""Where integration tests run: the one place that decides what a missing engine means, and how netns tests get theirs.

A test takes `on_backend`, and runs once per backend. It gives it an async function of its module, which gets the
backend and the nodes: netns must be entered before a process's first thread and cuts it off from the outside, so that
function may run in another process.
"""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from clock_servers import PYTHON, Server

from clusters.docker import DockerBackend
from clusters.netns import NetnsBackend
from harness.protocols import Backend, Right, Unavailable

BACKENDS: dict[str, Callable[[str], Backend]] = {"docker": DockerBackend, "netns": NetnsBackend}
USUAL = frozenset({Right.FILTER, Right.TRACE})
Body = Callable[..., Awaitable[Any]]


@functools.cache
def unavailable(name: str) -> Unavailable | None:
    """Say, once per session, why a backend cannot work here."""
    return BACKENDS[name]("0").probe()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here; in CI a Docker engine is part of the promise, so there its absence fails."""
    for name in BACKENDS:
        if item.get_closest_marker(name) and (why := unavailable(name)) is not None:
            message = f"{name}: {why.reason} ({why.remedy})"
            if name == "docker" and os.environ.get("CI"):
                pytest.fail(message, pytrace=False)
            pytest.skip(message)


def run_body(
    name: str, body: Body, names: Sequence[str], paths: Sequence[Path], rights: Collection[Right], args: tuple[Any, ...]
) -> Any:
    """Bring up a cluster, run `body(backend, nodes, *args)` on it, and take it down."""

    async def main() -> Any:
        backend = BACKENDS[name](secrets.token_hex(4))
        try:
            nodes = await backend.up(names, paths, rights)
            return await body(backend, nodes, *args)
        except pytest.fail.Exception as error:  # its class cannot travel between processes
            raise AssertionError(str(error)) from error
        finally:
            await backend.down()

    return asyncio.run(main())


def enter_netns() -> None:
    """Prepare the process of the netns tests."""
    NetnsBackend("0").enter()


@pytest.fixture(scope="session")
def netns_process() -> Iterator[ProcessPoolExecutor]:
    """One process that has entered its own network namespace."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=enter_netns) as pool:
        yield pool


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in BACKENDS])
def backend_name(request: pytest.FixtureRequest) -> str:
    """Each backend in turn."""
    name: str = request.param
    return name


def runner(name: str, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return `run(body, *args, nodes=3, paths=(), rights=…)` for a backend."""

    def run(
        body: Body, *args: Any, nodes: int = 3, paths: Sequence[Path] = (), rights: Collection[Right] = USUAL
    ) -> Any:
        names = [f"n{index + 1}" for index in range(nodes)]
        if name != "netns":
            return run_body(name, body, names, paths, rights, args)
        pool: ProcessPoolExecutor = request.getfixturevalue("netns_process")
        return pool.submit(run_body, name, body, names, paths, rights, args).result()

    return run


@pytest.fixture
def on_backend(backend_name: str, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Run an async function on a fresh cluster of each backend."""
    return runner(backend_name, request)


@pytest.fixture
def on_netns(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Run an async function on a fresh netns cluster; the test is marked netns itself."""
    return runner("netns", request)


@pytest.fixture
def on_docker(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Run an async function on a fresh docker cluster; the test is marked docker itself."""
    return runner("docker", request)


@pytest.fixture
def start() -> Iterator[Callable[[list[str]], Server]]:
    """Start servers that tell their clocks, and end them all."""
    servers: list[Server] = []

    def begin(argv: list[str]) -> Server:
        servers.append(Server(argv))
        return servers[-1]

    yield begin
    for server in servers:
        server.end()


@pytest.fixture
def busy(start: Callable[[list[str]], Server]) -> Server:
    """Four threads that read clocks without pause, and a signal's handler that does so every 0.7 ms."""
    return start([sys.executable, "-c", PYTHON])
