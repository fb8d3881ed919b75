"""Names that people type → classes, imported when they are asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness.errors import ClusterError, UsageError
from harness.protocols import Backend, System

SYSTEMS: Final[Mapping[str, str]] = {
    "etcd": "clusters.etcd:Etcd",
    "zookeeper": "clusters.zookeeper:ZooKeeper",
    "nats": "clusters.nats:Nats",
    "redis": "clusters.redis:Redis",
    "redlock": "clusters.redlock:Redlock",
    "consul": "clusters.consul:Consul",
    "memory": "clusters.memory:Memory",
    "noop": "clusters.noop:Noop",
}
BACKENDS: Final[Mapping[str, str]] = {
    "docker": "clusters.docker:DockerBackend",
    "netns": "clusters.netns:NetnsBackend",
    "memory": "clusters.memory:MemoryBackend",
}

SystemFactory = Callable[[str, Mapping[str, Any]], System]
BackendFactory = Callable[[str], Backend]


def split_system(text: str) -> tuple[str, str]:
    """Split "etcd:3.5.1" or "my.module:MySystem:2.0" into the system's name and its version ("" is the default)."""
    name, _, version = text.partition(":")
    if name in SYSTEMS or not version:
        return name, version
    attribute, _, version = version.partition(":")
    return f"{name}:{attribute}", version


def find_system(name: str) -> Any:
    """Return the class of a system: one of SYSTEMS, or "module:Class".

    Raises:
        UsageError: there is none.
    """
    if name in SYSTEMS:
        return _load(SYSTEMS[name])
    if ":" not in name:
        known = ", ".join(SYSTEMS)
        raise UsageError(f"unknown system {name!r}", f"known systems: {known}; or module:Class for one of your own")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # a console script does not see the user's own modules otherwise
    try:
        return _load(name)
    except Exception as error:  # somebody's own module may fail with anything
        message = f"system {name!r} cannot be imported: {type(error).__name__}: {error}"
        raise UsageError(message, "give module:Class, importable from here") from error


def find_backend(name: str) -> BackendFactory:
    """Return the class of a backend.

    Raises:
        UsageError: there is none.
    """
    try:
        found: BackendFactory = _load(BACKENDS[name])
    except KeyError:
        raise UsageError(f"unknown backend {name!r}", f"known backends: {', '.join(BACKENDS)}") from None
    return found


def choose_backend(wanted: str, system: System, run_id: str) -> Backend:
    """Return the backend of this name, or the first that the system can run on and that works here.

    Raises:
        UsageError: the system cannot run there.
        ClusterError: it does not work here; the hint holds each backend's remedy.
    """
    names: Sequence[str] = (wanted,) if wanted else system.backends
    reasons = []
    for name in names:
        if name not in system.backends:
            find_backend(name)
            raise UsageError(f"{system.name} does not run on {name}", f"it runs on {', '.join(system.backends)}")
        backend = find_backend(name)(run_id)
        unavailable = backend.probe()
        if unavailable is None:
            return backend
        reasons.append((name, unavailable))
    what = "; ".join(f"{name}: {unavailable.reason}" for name, unavailable in reasons)
    hint = "; or ".join(unavailable.remedy for _, unavailable in reasons)
    raise ClusterError(f"no backend works here ({what})", hint)


def _load(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
