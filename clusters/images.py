"""The image of a docker node: built once from image/Dockerfile, under a tag that is a hash of what it is made of.

Its base is pulled where a registry answers; else it is bootstrapped from the host's own Debian packages (mmdebstrap
piped into `docker import`), so that a machine without a registry needs nothing by hand. All of it blocks: use a thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from clusters.owner import runs_folder
from harness.errors import ClusterError

if TYPE_CHECKING:
    from docker import DockerClient

FOLDER = Path(__file__).with_name("image")
SUITE = "bookworm"
PULLED_BASE = f"debian:{SUITE}-slim"
BOOTSTRAPPED_BASE = f"kingslayer-base:{SUITE}"
PULL_SILENCE_S = 10.0  # where packets to the registry are dropped, the engine itself waits much longer
PULL_LIMIT_S = 120.0
APT_LIMIT_S = 300.0
BOOTSTRAP_LIMIT_S = 600.0
CLEANUP_LIMIT_S = 20.0
LOOK_S = 0.2  # between two looks whether a bootstrap should stop
NO_BASE_HINT = (
    f"no registry answers, so the base has to be made from Debian packages: apt-get install mmdebstrap, "
    f"or load an image named {PULLED_BASE} (docker load), or use --backend netns"
)


def node_tag() -> str:
    """Return the image's name, which changes with its Dockerfile."""
    return f"kingslayer-node:{hashlib.sha256((FOLDER / 'Dockerfile').read_bytes()).hexdigest()[:12]}"


def ensure(client: DockerClient, stop: threading.Event) -> str:
    """Return the name of the node image, after making it where it is missing (once, also among several processes).

    Args:
        client: of the engine that needs it.
        stop: set it from another thread to have a bootstrap, which takes a minute, given up.

    Raises:
        ClusterError: neither a registry nor Debian packages can be had, the build failed, or it was stopped.
    """
    tag = node_tag()
    if not _exists(client, tag):
        with _only_one():
            if not _exists(client, tag):
                _build(client, _base(client, stop), tag)
    return tag


@contextmanager
def _only_one() -> Iterator[None]:
    """Hold the lock of this user's image builds; it goes with the process."""
    folder = runs_folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _exists(client: DockerClient, name: str) -> bool:
    from docker.errors import ImageNotFound

    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def _base(client: DockerClient, stop: threading.Event) -> str:
    for name in (PULLED_BASE, BOOTSTRAPPED_BASE):
        if _exists(client, name):
            return name
    if _pull():
        return PULLED_BASE
    _bootstrap(client, stop)
    return BOOTSTRAPPED_BASE


def _build(client: DockerClient, base: str, tag: str) -> None:
    from docker.errors import APIError, BuildError

    try:
        client.images.build(path=str(FOLDER), buildargs={"BASE": base}, tag=tag, rm=True, forcerm=True)
    except BuildError as error:
        said = "".join(part.get("stream", "") for part in error.build_log)[-600:]
        raise ClusterError(f"the image {tag} cannot be built: {error.msg}\n{said}", BUILD_HINT) from error
    except APIError as error:
        raise ClusterError(f"the image {tag} cannot be built: {error}", BUILD_HINT) from error


BUILD_HINT = "see that containers reach a Debian mirror, and that the engine's disk has 500 MB of room; or use netns"


def _pull() -> bool:
    """Pull the base; say whether there was a registry to pull it from, within seconds where there is none."""
    argv = ["docker", "pull", PULLED_BASE]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            answered, _, _ = select.select([process.stdout], [], [], PULL_SILENCE_S)
            if answered:
                process.communicate(timeout=PULL_LIMIT_S)
                return process.returncode == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            process.kill()
    return False


def _bootstrap(client: DockerClient, stop: threading.Event) -> None:
    """Make a minimal Debian from packages and import it under its name, which it gets only when it is whole."""
    from docker.errors import DockerException

    _require_mmdebstrap()
    patience = ['--aptopt=Acquire::http::Timeout "20"', '--aptopt=Acquire::Retries "1"']
    argv = ["mmdebstrap", "--variant=minbase", "--quiet", *patience, SUITE, "-", *host_sources()]
    image = ""
    # It has a session of its own because it tears down by a SIGHUP to its whole process group.
    with (
        tempfile.TemporaryFile() as words,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=words, start_new_session=True) as process,  # noqa: S603
    ):
        assert process.stdout is not None
        try:
            answer = client.api.import_image_from_stream(_pieces(process.stdout, stop))
            image = json.loads(answer.strip().splitlines()[-1]).get("status", "")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(CLEANUP_LIMIT_S)
        except DockerException as error:
            raise ClusterError(f"the engine did not import the base: {error}", BUILD_HINT) from error
        finally:
            _end(process)
        words.seek(0)
        said = words.read().decode(errors="replace")[-600:].strip()
    if process.returncode:
        if image:
            client.images.remove(image)
        raise ClusterError(f"mmdebstrap failed: {said}", "see that a Debian mirror answers (apt-get update)")
    client.images.get(image).tag(*BOOTSTRAPPED_BASE.split(":"))


def _pieces(stream: IO[bytes], stop: threading.Event) -> Iterator[bytes]:
    """Yield what comes out of a bootstrap, for as long as it may go on."""
    deadline = time.monotonic() + BOOTSTRAP_LIMIT_S
    while True:
        if stop.is_set():
            raise ClusterError("stopped while the base of the image was made", "run it again")
        if time.monotonic() > deadline:
            raise ClusterError(f"mmdebstrap did not end within {BOOTSTRAP_LIMIT_S:g} s", BUILD_HINT)
        if select.select([stream], [], [], LOOK_S)[0]:
            if not (piece := os.read(stream.fileno(), 1 << 20)):
                return
            yield piece


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a bootstrap that still runs as Ctrl-C does, so that it removes its folder."""
    for number, patience_s in ((signal.SIGINT, CLEANUP_LIMIT_S), (signal.SIGKILL, None)):
        if process.poll() is None:
            os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)


def _require_mmdebstrap() -> None:
    if shutil.which("mmdebstrap"):
        return
    if os.getuid() != 0 or not shutil.which("apt-get"):
        raise ClusterError(f"the image {PULLED_BASE} cannot be pulled and mmdebstrap is not installed", NO_BASE_HINT)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["install", "--yes", "--no-install-recommends", "mmdebstrap", "debian-archive-keyring"]
    for words in (["update"], install):
        argv = ["apt-get", "--quiet=2", *words]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=APT_LIMIT_S, env=environment)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise ClusterError(f"`{' '.join(argv)}` did not end within {APT_LIMIT_S:g} s", NO_BASE_HINT) from None
        if done.returncode:
            raise ClusterError(f"`{' '.join(argv)}` failed: {done.stderr[-600:].strip()}", NO_BASE_HINT)


def host_sources() -> Sequence[str]:
    """Return the host's own apt sources of the suite, so that its mirror is used; none leaves Debian's default."""
    form = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    argv = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_sources(done.stdout)


def parse_sources(listing: str) -> Sequence[str]:
    """Return one-line apt sources from "origin|uri|release|component" lines: Debian's own, of the suite, main."""
    rows: list[Any] = [line.split("|") for line in listing.splitlines()]
    wanted = [row for row in rows if len(row) == 4 and row[0] == "Debian" and row[3] == "main"]
    releases = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
    found = [f"deb {uri} {release} main" for _, uri, release, _ in wanted if release in releases]
    return found if any(f" {SUITE} main" in source for source in found) else []
