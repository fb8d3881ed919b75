"""Who made a container or a folder, so that leftovers of the dead are told from what the living use."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

PREFIX = "kingslayer."
SIGNATURE = "owner.json"


class Owner(msgspec.Struct, frozen=True):
    """One harness process, told apart from any other process at any time.

    Attributes:
        run: the run's id.
        pid: in its pid namespace.
        start: its start time, in clock ticks since boot: pids are used again, this pair is not.
        boot: the kernel's boot id.
        space: its pid namespace; in another one its pid says nothing.
    """

    run: str
    pid: str
    start: str
    boot: str
    space: str

    def labels(self) -> dict[str, str]:
        """Return the owner as labels of a container or a network."""
        return {PREFIX + name: value for name, value in msgspec.structs.asdict(self).items()}


def current(run: str) -> Owner:
    """Return this process as the owner of a run."""
    return Owner(run=run, pid=str(os.getpid()), start=_start("self") or "", boot=_boot(), space=_space())


def parse(labels: Mapping[str, str]) -> Owner | None:
    """Return the owner that labels name, or None where they are not ours."""
    names = Owner.__struct_fields__
    if any(PREFIX + name not in labels for name in names):
        return None
    return Owner(**{name: labels[PREFIX + name] for name in names})


def gone(owner: Owner) -> bool:
    """Say whether the owner has certainly ended; one that we cannot see counts as alive."""
    if owner.boot != _boot():
        return True
    return owner.space == _space() and _start(owner.pid) != owner.start


def runs_folder() -> Path:
    """Return the folder that holds one folder a run, of this user."""
    return Path(tempfile.gettempdir()) / f"kingslayer-{os.getuid()}"


def sign(folder: Path, run: str) -> None:
    """Leave in a run's folder whose it is."""
    (folder / SIGNATURE).write_bytes(msgspec.json.encode(current(run)))


def signer(folder: Path) -> Owner | None:
    """Return whose a run's folder is, or None where it does not say."""
    try:
        return msgspec.json.decode((folder / SIGNATURE).read_bytes(), type=Owner)
    except (OSError, msgspec.DecodeError):
        return None


def _start(pid: str) -> str | None:
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _space() -> str:
    return str(Path("/proc/self/ns/pid").readlink())
