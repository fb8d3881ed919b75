"""The backend `docker`: a container is a machine, which sleeps, and its agent comes by `docker exec -i`.

Killing the server thus keeps the machine's network, rules and data. Containers, network and volumes carry labels that
say whose they are, so that a later run removes what a killed one left (leftovers.py).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clusters import engine, images, leftovers, owner, subnets
from clusters.carrier import Carrier, settle
from clusters.endpoint import HarnessEndpoint
from clusters.node import RemoteNode, require
from harness.errors import ClusterError
from harness.protocols import Node, Right, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

FOLDER = "/var/lib/kingslayer"  # a volume: the image's own file system may lack what databases need
CAPABILITIES = {Right.FILTER: "NET_ADMIN", Right.TRACE: "SYS_PTRACE", Right.VOLUME: "SYS_ADMIN"}
"""What the kernel asks for, beyond what the engine gives to every container."""
LOOP_DEVICES = ["c 10:237 rw", "b 7:* rw"]
SUBNET_TRIES = 20
Result = TypeVar("Result")


class DockerBackend:
    """Implements harness.protocols.Backend with containers on a bridge of their own.

    Args:
        run_id: short hex string, unlike any other run's.
    """

    name = "docker"
    lacks: Mapping[str, str] = {}

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._labels = owner.current(run_id).labels()
        self._network = f"kingslayer-{run_id}"
        self._client: DockerClient | None = None
        self._threads: set[asyncio.Future[Any]] = set()
        self._stop = threading.Event()
        self._carriers: list[Carrier] = []
        self.harness: HarnessEndpoint | None = None

    def probe(self) -> Unavailable | None:
        found = engine.look()
        return None if isinstance(found, str) else found

    def enter(self) -> None:
        """Do nothing: containers need nothing of this process."""

    def describe(self) -> str:
        found = engine.look()
        return f"docker {found}" if isinstance(found, str) else f"docker ({found.reason})"

    async def up(self, names: Sequence[str], paths: Sequence[Path], rights: Collection[Right] = ()) -> list[Node]:
        require(names, paths)
        try:
            return await self._start(names, paths, rights)
        except BaseException:
            await self.down()
            raise

    async def down(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._threads, return_exceptions=True)
        carriers, self._carriers = self._carriers, []
        if self.harness is not None:
            self.harness.close()
            self.harness = None
        await asyncio.gather(self._in_thread(self._remove), *(carrier.close() for carrier in carriers))

    async def _start(self, names: Sequence[str], paths: Sequence[Path], rights: Collection[Right]) -> list[Node]:
        image, subnet = await self._in_thread(self._prepare)
        addresses = [str(subnet[subnets.FIRST_NODE + index]) for index in range(len(names))]
        make = partial(self._make_machine, image, paths, rights)
        opening = [
            asyncio.create_task(self._open(partial(make, name, ip), name))
            for name, ip in zip(names, addresses, strict=True)
        ]
        try:
            await asyncio.gather(*opening)
        finally:
            self._carriers = await settle(opening)
        nodes = [
            RemoteNode(name, ip, f"{FOLDER}/node", carrier)
            for name, ip, carrier in zip(names, addresses, self._carriers, strict=True)
        ]
        await asyncio.gather(*(node.setup(addresses, rights) for node in nodes))
        self.harness = HarnessEndpoint(str(subnet[subnets.HARNESS]))
        return list[Node](nodes)

    async def _open(self, make: Callable[[], None], name: str) -> Carrier:
        """Make one machine and start its agent at once: the engine starts machines one after another."""
        await self._in_thread(make)
        return await Carrier.open(["docker", "exec", "-i", self._container(name)], name)

    async def _in_thread(self, function: Callable[[], Result]) -> Result:
        """Call what blocks. A thread cannot be cancelled, so `down` waits for it before it looks what to remove."""
        thread = asyncio.ensure_future(asyncio.to_thread(function))
        self._threads.add(thread)
        thread.add_done_callback(self._threads.discard)
        return await asyncio.shield(thread)

    # what follows blocks

    def _prepare(self) -> tuple[str, IPv4Network]:
        """Have an image and an empty network."""
        self._client = client = engine.connect()
        with complaints():
            leftovers.clean_engine(client)
            return images.ensure(client, self._stop), self._make_network(client)

    def _make_network(self, client: DockerClient) -> IPv4Network:
        from docker.errors import APIError
        from docker.types import IPAMConfig, IPAMPool

        for attempt in range(SUBNET_TRIES):
            subnet = subnets.pick(subnets.routed())
            pool = IPAMPool(subnet=str(subnet), gateway=str(subnet[subnets.HARNESS]))
            try:
                client.api.create_network(
                    self._network, driver="bridge", ipam=IPAMConfig(pool_configs=[pool]), labels=self._labels
                )
            except APIError as error:
                if attempt == SUBNET_TRIES - 1 or "overlap" not in str(error).lower():
                    raise
            else:
                return subnet
        raise AssertionError("unreachable: the last try returns or raises")

    def _make_machine(self, image: str, paths: Sequence[Path], rights: Collection[Right], name: str, ip: str) -> None:
        assert self._client is not None
        api: Any = self._client.api
        host = api.create_host_config(
            init=True,
            cap_add=sorted(CAPABILITIES[right] for right in rights if right in CAPABILITIES),
            device_cgroup_rules=LOOP_DEVICES if Right.VOLUME in rights else None,
            # the engine's profile for AppArmor, where there is that, forbids every mount
            security_opt=["apparmor=unconfined"] if Right.VOLUME in rights else None,
            network_mode=self._network,
            binds={str(path): {"bind": str(path), "mode": "ro"} for path in paths},
        )
        endpoint = api.create_endpoint_config(ipv4_address=ip)
        with complaints():
            container = api.create_container(
                image,
                ["sleep", "infinity"],
                name=self._container(name),
                hostname=name,
                labels=self._labels,
                volumes=[FOLDER],
                host_config=host,
                networking_config=api.create_networking_config({self._network: endpoint}),
            )
            api.start(container["Id"])

    def _remove(self) -> None:
        if self._client is None:
            return
        mine = {"label": f"{owner.PREFIX}run={self.run_id}"}
        with complaints():
            containers = [row["Id"] for row in self._client.api.containers(all=True, filters=mine)]
            networks = [row["Id"] for row in self._client.api.networks(filters=mine)]
            leftovers.remove(self._client, containers, networks)
        self._client.close()
        self._client = None

    def _container(self, name: str) -> str:
        return f"{self._network}-{name}"


@contextmanager
def complaints() -> Iterator[None]:
    """Turn what the engine complains of into an error that says what to do."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except (DockerException, RequestException) as error:
        said = getattr(error, "explanation", None) or str(error)
        raise ClusterError(f"Docker says: {said}", hint_for(said)) from error


def hint_for(said: str) -> str:
    """Return what to do about an engine's complaint."""
    if "no space left" in said.lower():
        return "free space where the engine keeps its data (docker system df), then run again"
    return "see the engine's log (journalctl -u docker), or use --backend netns"
