"""How the node image is made, on a real engine."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from clusters import engine, images
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
        name = images.ensure(client)
        return name, str(client.images.get(name).id)


def test_two_processes_that_need_the_image_build_it_once(recipe: Path) -> None:
    """Both get the same image, which one of them has built while the other waited; later ones find it at once."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        first, second = pool.map(ensure, [recipe, recipe])
        assert first == second
        started = time.monotonic()
        assert pool.submit(ensure, recipe).result() == first
        assert time.monotonic() - started < 2


@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed")
def test_a_mirror_that_does_not_answer_is_an_error_and_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bootstrap that fails says so with its remedy, and leaves no image under the base's name."""
    monkeypatch.setattr(images, "host_sources", lambda: ["deb http://127.0.0.1:9/debian bookworm main"])
    monkeypatch.setattr(images, "BOOTSTRAPPED_BASE", "kingslayer-base:never")
    with closing(engine.connect()) as client:
        with pytest.raises(ClusterError, match="mmdebstrap failed") as raised:
            images._bootstrap(client)
        assert "mirror" in raised.value.hint
        assert client.images.list("kingslayer-base:never") == []
