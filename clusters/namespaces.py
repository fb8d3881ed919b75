"""Enter a network namespace of our own, with or without root; run as a script, try every step that netns nodes need.

Imports only the standard library: as a script it runs apart from the harness, so that trying leaves no trace in it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
CAP_SYS_ADMIN = 21
CAPABILITY_VERSION_3 = 0x20080522
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""What makes one node: its network, its mounts, and processes that die with their first one."""

LIBC = ctypes.CDLL(None, use_errno=True)


class StepFailed(Exception):
    """One step towards namespaces failed: `reason` says which and how, `remedy` what would change that."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


def enter() -> None:
    """Move this process, and whatever it starts, into a new network namespace with its loopback up.

    With CAP_SYS_ADMIN that is all; without, a new user namespace comes first, in which this user keeps its uid and its
    files and holds every capability. The kernel allows that only before the process has a second thread.

    Raises:
        StepFailed: a step is not allowed here.
    """
    if effective_capabilities() >> CAP_SYS_ADMIN & 1:
        unshare(CLONE_NEWNET, "a network namespace")
    else:
        end_idle_threads()
        uid, gid = os.getuid(), os.getgid()
        unshare(CLONE_NEWUSER | CLONE_NEWNET, "a user namespace")
        write_maps(uid, gid)
        keep_capabilities()
    tool(["ip", "link", "set", "lo", "up"])


def end_idle_threads() -> None:
    """Make numpy's BLAS end the threads that it started when it was imported; it starts them again when it needs them.

    It does so before each fork, so a fork that comes to nothing is enough.
    """
    if len(os.listdir("/proc/self/task")) > 1:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)


def effective_capabilities() -> int:
    """Return the capability set of this process as a bit mask."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def has_loop_devices() -> bool:
    """Say whether this process may make loop devices and mount them, in namespaces of its own, too."""
    own = Path("/proc/self/uid_map").read_text().split() != ["0", "0", str(2**32 - 1)]  # of its own: not the kernel's
    return not own and bool(effective_capabilities() >> CAP_SYS_ADMIN & 1) and os.access("/dev/loop-control", os.W_OK)


def unshare(flags: int, what: str) -> None:
    """Call unshare(2)."""
    if LIBC.unshare(flags) == 0:
        return
    number = ctypes.get_errno()
    remedy = {
        errno.ENOSPC: "raise the sysctls user.max_user_namespaces and user.max_net_namespaces, or use Docker",
        errno.EPERM: "run as root, or set the sysctl kernel.unprivileged_userns_clone=1; in a container, give it "
        "--cap-add SYS_ADMIN --cap-add NET_ADMIN and an unconfined seccomp and apparmor profile",
        errno.EINVAL: "enter before the process starts its first thread",
    }.get(number, "run as root, or use Docker")
    raise StepFailed(f"the kernel refuses {what}: {os.strerror(number)}", remedy)


def write_maps(uid: int, gid: int) -> None:
    """Map this user to itself in the new user namespace."""
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    except OSError as error:
        raise StepFailed(
            f"the user namespace cannot be used: writing {error.filename} failed: {error.strerror}",
            "set the sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 24.04 and later), or run as root",
        ) from None


def keep_capabilities() -> None:
    """Make the new namespace's capabilities survive exec, or `ip` and `unshare` would run without them."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    if LIBC.capget(header, data) == 0:
        data[2], data[5] = data[1], data[4]  # inheritable = permitted, in both halves
        if LIBC.capset(header, data) == 0:
            for capability in range(64):
                if (data[4] << 32 | data[1]) >> capability & 1:
                    LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)
            return
    raise StepFailed(f"capabilities cannot be kept: {os.strerror(ctypes.get_errno())}", "run as root, or use Docker")


def search_path() -> str:
    """Return PATH with the folders of the system's own tools, which ordinary users often lack."""
    return f"{os.environ.get('PATH', '')}:{PATH}"


def tool(argv: list[str], text: str = "") -> str:
    """Run one of the system's tools and return its output.

    Raises:
        StepFailed: it is missing, or it failed.
    """
    package = {"ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux"}.get(argv[0], argv[0])
    environment = {**os.environ, "PATH": search_path()}
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=10, env=environment)  # noqa: S603
    except FileNotFoundError:
        raise StepFailed(f"{argv[0]} is not installed", f"install the package {package}") from None
    except subprocess.TimeoutExpired:
        raise StepFailed(f"{argv[0]} did not end within 10 s", "see whether the machine is overloaded") from None
    if done.returncode:
        reason = f"`{' '.join(argv)}` failed: {done.stderr.strip()}"
        raise StepFailed(reason, f"the kernel may lack what {argv[0]} needs; run as root, or use Docker")
    return done.stdout


def attempt() -> None:
    """Do once all that a cluster of netns nodes needs; everything vanishes with this process.

    Raises:
        StepFailed: a step is not possible here.
    """
    enter()
    tool(
        ["ip", "-batch", "-"],
        "link add kl0 type bridge\nlink add kl1 type veth peer name kl2\nlink set kl1 master kl0\n",
    )
    tool([*UNSHARE, "iptables", "-S"])


if __name__ == "__main__":
    try:
        attempt()
    except StepFailed as failed:
        sys.stdout.write(f"{failed.reason}\n{failed.remedy}\n")
        sys.exit(1)
