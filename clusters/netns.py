"""The backend `netns`: a node is a network namespace and plain processes of this machine; no Docker, no root.

`enter` moves the harness itself into a network namespace of its own, as root too, and everything else lives below it:
bridge, links and rules vanish with the processes, also after a kill -9, and never meet the host's (so that the host's
firewall, and dockerd's, have no say). The price: **a process that entered has no way to the outside any more**.
Whatever wants the outside (a system's download, Docker's containers) comes before `enter`, or in another process.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from clusters import leftovers, namespaces, owner, subnets
from clusters.carrier import Carrier, settle
from clusters.endpoint import HarnessEndpoint
from clusters.node import RemoteNode, require
from harness.errors import ClusterError
from harness.protocols import Node, Right, Unavailable

OF_DISKS = ("disk", "power")
NO_VOLUME = "a disk that fails is a loop device, and that takes root on this machine and /dev/loop-control"


class NetnsBackend:
    """Implements harness.protocols.Backend with Linux namespaces.

    Args:
        run_id: short hex string, unlike any other run's.
    """

    name = "netns"
    _entered = 0  # the pid that did: of the process, not of one backend; a forked child inherits the namespace

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.lacks: Mapping[str, str] = {} if namespaces.has_loop_devices() else dict.fromkeys(OF_DISKS, NO_VOLUME)
        self._bridge = f"kl{run_id[:8]}"
        self._carriers: list[Carrier] = []
        self._linked = False
        self.harness: HarnessEndpoint | None = None

    def probe(self) -> Unavailable | None:
        if not sys.platform.startswith("linux"):
            return Unavailable("network namespaces are a part of Linux", "use Docker")
        argv = [sys.executable, "-IS", namespaces.__file__]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=10)  # noqa: S603
        except subprocess.TimeoutExpired:
            return Unavailable("making namespaces did not end within 10 s", "see whether the machine is overloaded")
        if done.returncode == 0:
            return None
        reason, _, remedy = done.stdout.strip().rpartition("\n")
        return Unavailable(reason or done.stderr.strip(), remedy or "run as root, or use Docker")

    def enter(self) -> None:
        """Give this process a network of its own: once, before any thread or event loop; the outside is lost to it.

        Raises:
            ClusterError: a step is not allowed here; the hint says what would change that.
        """
        if NetnsBackend._entered:
            return
        try:
            namespaces.enter()
        except namespaces.StepFailed as error:
            raise ClusterError(error.reason, error.remedy) from None
        NetnsBackend._entered = os.getpid()

    def describe(self) -> str:
        return f"netns, Linux {os.uname().release}{'' if os.getuid() == 0 else ', rootless'}"

    async def up(self, names: Sequence[str], paths: Sequence[Path], rights: Collection[Right] = ()) -> list[Node]:
        if not NetnsBackend._entered:
            raise ClusterError(
                "this process has not entered its network namespace", "call enter() before the event loop"
            )
        require(names, paths)
        if Right.VOLUME in rights and self.lacks:
            raise ClusterError(
                f"nodes with disks of their own cannot be had: {NO_VOLUME}", "run as root, or use Docker"
            )
        leftovers.clean_folders()
        folder = self._make_folder()
        try:
            return await self._start(names, folder, rights)
        except BaseException:
            await self.down()
            raise

    async def _start(self, names: Sequence[str], folder: Path, rights: Collection[Right]) -> list[Node]:
        opening = [asyncio.create_task(Carrier.open(namespaces.UNSHARE, name, python=sys.executable)) for name in names]
        try:
            await asyncio.gather(*opening)
        finally:
            self._carriers = await settle(opening)
        subnet = subnets.pick(subnets.routed())
        addresses = [str(subnet[subnets.FIRST_NODE + index]) for index in range(len(names))]
        self._link(str(subnet[subnets.HARNESS]), addresses)
        nodes = [
            RemoteNode(name, ip, str(folder / name), carrier)
            for name, ip, carrier in zip(names, addresses, self._carriers, strict=True)
        ]
        await asyncio.gather(*(node.setup(addresses, rights) for node in nodes))
        self.harness = HarnessEndpoint(str(subnet[subnets.HARNESS]))
        return list[Node](nodes)

    async def down(self) -> None:
        carriers, self._carriers = self._carriers, []
        if self.harness is not None:
            self.harness.close()
            self.harness = None
        await asyncio.gather(*(carrier.close() for carrier in carriers))
        if self._linked:
            namespaces.tool(["ip", "link", "delete", self._bridge])
            self._linked = False
        shutil.rmtree(owner.runs_folder() / self.run_id, ignore_errors=True)

    def _make_folder(self) -> Path:
        runs = owner.runs_folder()
        folder = runs / self.run_id
        try:
            runs.mkdir(mode=0o700, exist_ok=True)
            if runs.stat().st_uid != os.getuid():
                raise ClusterError(f"{runs} belongs to somebody else", "remove it, or set TMPDIR")
            folder.mkdir()
            owner.sign(folder, self.run_id)
        except OSError as error:
            raise ClusterError(
                f"the nodes' folder {folder} cannot be made: {error.strerror}",
                "free space there, or set TMPDIR to a folder with room",
            ) from error
        return folder

    def _link(self, harness: str, addresses: Sequence[str]) -> None:
        """Put the harness and every node's namespace on one bridge."""
        pids = [carrier.pid for carrier in self._carriers]
        try:
            namespaces.tool(["ip", "link", "add", self._bridge, "type", "bridge"])
            self._linked = True
            namespaces.tool(["ip", "-batch", "-"], bridge_script(self._bridge, harness, pids))
            for pid, ip in zip(pids, addresses, strict=True):
                namespaces.tool(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"], node_script(ip))
        except namespaces.StepFailed as error:
            raise ClusterError(f"the nodes cannot be linked: {error.reason}", error.remedy) from None


def bridge_script(bridge: str, ip: str, pids: Sequence[int]) -> str:
    """Return the `ip -batch` input that gives the bridge the harness's address, and each node a link to it."""
    lines = [f"address add {ip}/24 dev {bridge}", f"link set {bridge} up"]
    for index, pid in enumerate(pids):
        lines.append(f"link add {bridge}-{index} type veth peer name eth0 netns {pid}")
        lines.append(f"link set {bridge}-{index} master {bridge} up")
    return "\n".join([*lines, ""])


def node_script(ip: str) -> str:
    """Return the `ip -batch` input that gives a node its address."""
    return f"link set lo up\naddress add {ip}/24 dev eth0\nlink set eth0 up\n"
