"""How the node image is made, on a real engine."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from waiting import until, until_now

from clusters import engine, images
from clusters.agent.processes import descendants, parents
from clusters.docker import DockerBackend
from harness.errors import ClusterError

pytestmark = pytest.mark.docker


@pytest.fixture
def recipe(tmp_path: Path) -> Iterator[Path]:
    """A Dockerfile that nobody has built yet; its image is removed afterwards."""
    (tmp_path / "Dockerfile").write_text(f"ARG BASE\nFROM ${{BASE}}\nRUN echo {os.getpid()} {time.time_ns()} > /made\n")
    yield tmp_path
    with pytest.MonkeyPatch.context() as patch, closing(engine.connect()) as client:
        patch.setattr(images, "FOLDER", tmp_path)
        client.images.remove(images.node_tag(), force=True)


def ensure(folder: Path) -> tuple[str, str]:
    """In a process of its own: make sure of the image; return its name and id."""
    images.FOLDER = folder
    with closing(engine.connect()) as client:
        name = images.ensure(client, threading.Event())
        return name, str(client.images.get(name).id)


def test_two_processes_that_need_the_image_build_it_once(recipe: Path) -> None:
    """Both get the same image, which one of them has built while the other waited; later ones find it at once."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        first, second = pool.map(ensure, [recipe, recipe])
        assert first == second
        started = time.monotonic()
        assert pool.submit(ensure, recipe).result() == first
        assert time.monotonic() - started < 2


needs_mmdebstrap = pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed")


@needs_mmdebstrap
def test_a_mirror_that_does_not_answer_is_an_error_and_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bootstrap that fails says so with its remedy, and leaves no image under the base's name."""
    monkeypatch.setattr(images, "host_sources", lambda: ["deb http://127.0.0.1:9/debian bookworm main"])
    monkeypatch.setattr(images, "BOOTSTRAPPED_BASE", "kingslayer-base:never")
    with closing(engine.connect()) as client:
        with pytest.raises(ClusterError, match="mmdebstrap failed") as raised:
            images._bootstrap(client, threading.Event())
        assert "mirror" in raised.value.hint
        assert client.images.list("kingslayer-base:never") == []


BOOTSTRAP = """
import threading
from contextlib import closing
from clusters import engine, images
images.BOOTSTRAPPED_BASE = "kingslayer-base:never"
with closing(engine.connect()) as client:
    images._bootstrap(client, threading.Event())
"""


def at_work(root: int) -> set[int]:
    """Return the processes of a bootstrap below `root`, once it fetches packages."""
    return {pid for pid in descendants(root, parents()) if b"/apt/methods/" in command(pid)}


def command(pid: int) -> bytes:
    """Return the command line of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@needs_mmdebstrap
def test_a_backend_that_is_cancelled_meanwhile_ends_its_bootstrap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a process nor a folder of it stays, and nobody waits for the minute that it takes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name in ("PULLED_BASE", "BOOTSTRAPPED_BASE"):
        monkeypatch.setattr(images, name, "kingslayer-base:never")
    monkeypatch.setattr(images, "node_tag", lambda: "kingslayer-node:never")
    monkeypatch.setattr(images, "_pull", lambda: False)

    async def up_and_cancel() -> None:
        starting = asyncio.create_task(DockerBackend(secrets.token_hex(4)).up(["n1"], []))
        await until(lambda: asyncio.to_thread(lambda: bool(at_work(os.getpid())) or starting.done()), "it fetches", 30)
        assert any(tmp_path.iterdir())
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(starting, images.CLEANUP_LIMIT_S)

    asyncio.run(up_and_cancel())
    assert not at_work(os.getpid())
    assert not any(tmp_path.iterdir())


@needs_mmdebstrap
def test_a_killed_harness_takes_nobody_but_its_bootstrap_with_it(tmp_path: Path) -> None:
    """mmdebstrap, which loses its reader, ends by itself and does not hang up on the processes around it."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    killed = subprocess.Popen([sys.executable, "-c", BOOTSTRAP], process_group=0, env=environment)
    neighbour = subprocess.Popen(["sleep", "300"], process_group=killed.pid)
    try:
        until_now(lambda: bool(at_work(killed.pid)) or killed.poll() is not None, "packages are fetched", 30)
        below = descendants(killed.pid, parents())
        assert killed.poll() is None
        killed.kill()
        killed.wait()
        until_now(lambda: not any(b"mmdebstrap" in command(pid) for pid in below), "the bootstrap has ended", 120)
        assert neighbour.poll() is None
        assert not any(tmp_path.iterdir())
    finally:
        for process in (killed, neighbour):
            process.kill()
            process.wait()
