"""The Docker engine that the `docker` command uses: whether it answers, and a client of the SDK for it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from harness.errors import ClusterError
from harness.protocols import Unavailable

if TYPE_CHECKING:
    from docker import DockerClient

ANSWER_LIMIT_S = 5.0
CALL_TIMEOUT_S = 60.0


def look() -> Unavailable | str:
    """Return the engine's version, or why it cannot be used; quick, since it does not load the SDK."""
    if shutil.which("docker") is None:
        return Unavailable("the docker command is not installed", "install Docker (Debian: apt-get install docker.io)")
    argv = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=ANSWER_LIMIT_S)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Unavailable(f"the Docker engine does not answer within {ANSWER_LIMIT_S:g} s", "restart the engine")
    if done.returncode == 0:
        return done.stdout.strip()
    return explain(done.stderr.strip())


def explain(said: str) -> Unavailable:
    """Return what a failed `docker version` means for the user."""
    if "permission denied" in said.lower():
        return Unavailable(
            "this user may not use the Docker engine", "sudo usermod -aG docker $USER, then log in again"
        )
    if "cannot connect" in said.lower() or "is the docker daemon running" in said.lower():
        return Unavailable("no Docker engine answers", "start it (systemctl start docker), or set DOCKER_HOST")
    return Unavailable(f"the Docker engine cannot be used: {said}", "see that `docker version` works")


def connect() -> DockerClient:
    """Return a client for the engine that the docker command talks to: DOCKER_HOST, else its current context.

    Raises:
        ClusterError: there is no such engine; the hint says what to do.
    """
    found = look()  # first, since the SDK leaks its socket where nobody answers
    if isinstance(found, Unavailable):
        raise ClusterError(found.reason, found.remedy)

    import docker
    from docker.errors import DockerException

    try:
        return docker.from_env(timeout=CALL_TIMEOUT_S)
    except DockerException as error:
        raise ClusterError(f"the Docker engine does not answer: {error}", "see that `docker version` works") from error
