"""The node's folder as a file system of its own: ext4 on a loop device, which can lose its power, fill up, or fail.

The image is unlinked as soon as the loop device holds it, and the device frees itself when nobody uses it any more. So
all of it goes with its mount, whoever is killed: with a namespace's last process, or with the container.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import struct

from clusters.agent.processes import LIBC, Refused, tool

BYTES = 1 << 30  # sparse: what is never written takes no space
COMMIT_S = 600  # the journal is written when somebody flushes, and never just because time has passed
LOOP_CONTROL, LOOP_CONTROL_NUMBERS, LOOP_MAJOR = "/dev/loop-control", (10, 237), 7
LOOP_CONFIGURE, LOOP_GET_FREE = 0x4C0A, 0x4C82
LOOP_FLAGS = struct.Struct("52xI")  # of struct loop_info64, from its start
LOOP_CONFIG_BYTES, LOOP_AUTOCLEAR = 304, 4
SHUTDOWN, WITHOUT_LOG_FLUSH = 0x8004587D, 2  # EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
NOATIME, REMOUNT, DETACH = 1024, 32, 2
TRIES = 20
BALLAST = ".kingslayer-ballast"
BLOCK_BYTES = 4096


class Volume:
    """A file system that is mounted at a folder for as long as the node lives.

    Args:
        folder: where; made if it is not there.

    Raises:
        Refused: this node may not do that, or its kernel cannot.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.device, self.descriptor = attach(f"{folder}.img")
        self.mounted = False
        self.left = 0  # blocks, when it was filled
        self.format()

    def format(self) -> None:
        """Make the file system anew, empty, and mount it."""
        self.unmount()
        tool(["mkfs.ext4", "-qF", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", self.device])
        self.mount()
        os.rmdir(f"{self.folder}/lost+found")

    def mount(self) -> None:
        options = f"commit={COMMIT_S},errors=remount-ro"
        call("mount", self.device.encode(), self.folder.encode(), b"ext4", NOATIME, options.encode())
        self.mounted = True

    def unmount(self) -> None:
        if self.mounted:
            call("umount2", self.folder.encode(), 0)
            self.mounted = False

    def close(self) -> None:
        """Unmount it, at once or as soon as nobody uses it, and let the loop device go."""
        if self.mounted:
            call("umount2", self.folder.encode(), DETACH)
        os.close(self.descriptor)

    def cut(self) -> None:
        """Lose what was not flushed, as in a failure of the power, and mount what is left.

        Every process that uses it must be dead.
        """
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
        finally:
            os.close(folder)
        self.unmount()
        self.mount()

    def fill(self) -> None:
        """Take all the room that is left, by a file of which nothing has to be written."""
        descriptor = os.open(os.path.join(self.folder, BALLAST), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            at, size = os.fstat(descriptor).st_size, BYTES
            while size >= BLOCK_BYTES:
                try:
                    os.posix_fallocate(descriptor, at, size)
                    at += size
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2
        finally:
            os.close(descriptor)
        self.left = self.room()

    def refill(self) -> None:
        """Take what has been given back since it was filled: servers that find no room delete files."""
        if self.room() > self.left:
            self.fill()

    def room(self) -> int:
        """Return how many blocks are free."""
        return os.statvfs(self.folder).f_bavail

    def free(self) -> None:
        """Give the room back."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.folder, BALLAST))

    def fail(self) -> None:
        """Make it read-only, for files that are open for writing, too: that is what ext4 does when its disk fails."""
        call("mount", None, self.folder.encode(), None, NOATIME | REMOUNT, b"abort")


def attach(image: str) -> tuple[str, int]:
    """Make a loop device of a new file without a name; return its path, and the descriptor that keeps it."""
    descriptor = os.open(image, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.unlink(image)
    try:
        os.truncate(descriptor, BYTES)
        config = struct.pack("II", descriptor, 0) + LOOP_FLAGS.pack(LOOP_AUTOCLEAR)
        control = special(LOOP_CONTROL, stat.S_IFCHR, LOOP_CONTROL_NUMBERS)
        for _ in range(TRIES):
            number = fcntl.ioctl(control, LOOP_GET_FREE)
            path = f"/dev/loop{number}"
            device = special(path, stat.S_IFBLK, (LOOP_MAJOR, number))
            try:
                # the device frees itself with its last user
                fcntl.ioctl(device, LOOP_CONFIGURE, config.ljust(LOOP_CONFIG_BYTES, b"\0"))
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise
            else:
                return path, device
        raise Refused(f"each of {TRIES} free loop devices was taken before we had it")
    finally:
        os.close(descriptor)


def special(path: str, kind: int, numbers: tuple[int, int]) -> int:
    """Open a device, after making its file where it is missing: a container has only those of its start."""
    if not os.path.exists(path):
        os.mknod(path, kind | 0o600, os.makedev(*numbers))
    return os.open(path, os.O_RDWR)


def call(name: str, *args: object) -> None:
    """Call a function of the C library that returns 0.

    Raises:
        OSError: it did not.
    """
    if getattr(LIBC, name)(*args):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
