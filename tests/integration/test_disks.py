"""Disks that fail, on real machines: what is lost, what is measured, what is healed, and that nothing is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from outliving import SIGN, remove, signed_environment
from test_nemesis import started, whole
from waiting import until, until_now

from clusters.node import RemoteNode
from harness.errors import ClusterError, FaultError
from harness.op import Call
from harness.protocols import Backend, DiskTrial, Right
from nemesis import Nemesis, family

Run = Callable[..., Any]
Nodes = Sequence[RemoteNode]
DISKS = (Right.VOLUME, Right.HOLD)

WRITER = """
import os, time
flushed = os.open("flushed", os.O_CREAT | os.O_WRONLY)
os.write(flushed, b"f" * 10000)
os.fsync(flushed)
os.fsync(os.open(".", os.O_RDONLY))
os.write(os.open("unflushed", os.O_CREAT | os.O_WRONLY), b"u" * 10000)
print("written", flush=True)
time.sleep(600)
"""
FLUSHER = """
import os, time
file = os.open("data", os.O_CREAT | os.O_WRONLY)
while True:
    os.write(file, b"x")
    start = time.monotonic()
    os.fdatasync(file)
    print(int((time.monotonic() - start) * 1000), flush=True)
    time.sleep(0.01)
"""


async def logged(node: RemoteNode, text: bytes) -> None:
    async def there() -> bool:
        return text in await node.read("server.log")

    await until(there, f"{text!r} in the log", 20)


async def power_of_one(_: Backend, nodes: Nodes) -> None:
    node = nodes[0]
    await node.start(["python3", "-c", WRITER])
    await logged(node, b"written")
    cut = await node.cut_power()
    assert (cut.kept, cut.survived) == (cut.flushed, 0)
    assert await node.state() == "dead"
    assert await node.read("flushed") == b"f" * 10000
    assert b"u" not in await node.read("unflushed")
    assert b"written" in await node.read("server.log")
    assert (await node.cut_power()).kept == cut.flushed
    assert await node.read("flushed") == b"f" * 10000


def test_without_power_only_what_was_flushed_is_left(on_backend: Run) -> None:
    """What a server flushed outlives its node's power, what it only wrote does not; its log is kept for us."""
    on_backend(power_of_one, nodes=1, rights=DISKS)


async def every_trouble(_: Backend, nodes: Nodes) -> None:
    node = nodes[0]
    trials = {"full": "ENOSPC", "read-only": "EROFS"}
    for trouble, error in trials.items():
        await node.spoil(trouble)
        assert (await node.try_disk()).error == error
        with pytest.raises(ClusterError, match=f"another fault is on its disk already: {trouble}"):
            await node.cut_power()
        await node.spoil("")
        await node.spoil("")
        assert (await node.try_disk()).error == ""
    await node.run(["sh", "-c", "head -c 1000000 /dev/zero > given-back; sync"])
    await node.spoil("full")
    await node.run(["rm", "given-back"])

    async def full_again() -> bool:
        return (await node.try_disk()).error == "ENOSPC"

    await until(full_again, "what was given back is taken, too", 20)
    await node.wipe()
    assert (await node.try_disk()).error == ""
    await node.spoil("read-only")
    await node.wipe()
    assert (await node.run(["ls"])) == (0, "")
    assert (await node.try_disk()).error == ""


def test_a_disk_is_full_or_read_only_until_it_is_healed_or_wiped(on_backend: Run) -> None:
    """Writes fail with the trouble's own error, no second fault comes on top, and a heal or a wipe makes it whole."""
    on_backend(every_trouble, nodes=1, rights=DISKS)


async def held_flushes(_: Backend, nodes: Nodes) -> None:
    node = nodes[0]
    await node.start(["python3", "-c", FLUSHER])
    await node.spoil("", 300)
    slow = await node.try_disk()
    assert slow.error == ""
    assert slow.fsync_ms >= 300

    async def held() -> bool:
        return any(int(ms) >= 300 for ms in (await node.read("server.log")).split())

    await until(held, "a flush of the server was held", 20)
    assert (await node.try_disk()).held > slow.held
    await node.spoil("")
    healed: list[DiskTrial] = []

    async def fast() -> bool:
        healed.append(await node.try_disk())
        return healed[-1].fsync_ms < 300

    await until(fast, "nothing is held any more", 20)
    assert await node.state() == "running"


def test_flushes_of_the_server_are_held_for_a_while(on_backend: Run) -> None:
    """Each flush of the server, and of a trial, takes as long as was asked for, and no longer once that is healed."""
    on_backend(held_flushes, nodes=1, rights=DISKS)


async def every_plan(_: Backend, nodes: Nodes, kind: str, seeds: int) -> None:
    servers = await started(nodes)
    nemesis = Nemesis(servers)
    for seed in range(seeds):
        params = family(kind).plan(Random(seed), list(servers.nodes))
        result = await nemesis.invoke(Call("inject", seed, {"kind": kind} | params))
        assert result["nodes"]
        assert set(result["evidence"].get("data") or result["evidence"]["writes"]) == set(result["nodes"])
        await nemesis.invoke(Call("heal", seed, {"kind": kind}))
        assert await whole(nodes)
    assert await nemesis.heal_all() == []


@pytest.mark.parametrize("kind", ["disk", "power"])
def test_disks_in_trouble_and_power_failures_are_healed(on_backend: Run, kind: str) -> None:
    """On each backend every plan takes effect on the nodes that it chose, and all servers run after its heal."""
    on_backend(every_plan, kind, 8, rights=DISKS)


FILES_SCRIPT = """
import os
os.makedirs("wal", exist_ok=True)
for name in ("1.wal", "2.wal"):
    with open(f"wal/{name}", "wb") as file:
        file.write(b"A" * 1000 + bytes(3000))
os.utime("wal/1.wal", (1, 1))
"""
APPEND_SCRIPT = "f = open('wal/2.wal', 'r+b'); f.seek(1000); f.write(b'B' * 500); open('wal/3.wal', 'wb').write(b'C')"


async def every_damage(_: Backend, nodes: Nodes) -> None:
    node, files = nodes[0], ["wal/*.wal"]
    with pytest.raises(ClusterError, match="no file"):
        await node.damage("flip", files, 0.5)
    await node.run(["python3", "-c", FILES_SCRIPT])
    await node.start(["sleep", "600"])
    with pytest.raises(ClusterError, match="its server runs"):
        await node.damage("flip", files, 0.5)
    await node.wipe()
    await node.run(["python3", "-c", FILES_SCRIPT])
    flipped = await node.damage("flip", files, 1.0)
    assert (flipped.file, flipped.at, flipped.bytes) == ("wal/2.wal", 999, [4000, 4000])
    data = await node.read("wal/2.wal")
    assert data[:999] + data[1000:] == b"A" * 999 + bytes(3000)
    assert (data[999] ^ ord("A")).bit_count() == 1
    await node.keep(files)
    await node.run(["python3", "-c", APPEND_SCRIPT])
    changed = await node.damage("old", files, 0)
    assert changed.sha256[0] != changed.sha256[1]
    assert await node.read("wal/2.wal") == data
    assert (await node.run(["ls", "wal"]))[1].split() == ["1.wal", "2.wal"]
    with pytest.raises(ClusterError, match="no old copy was kept"):
        await node.damage("old", files, 0)
    cut = await node.damage("truncate", files, 0.5)
    assert (cut.at, len(await node.read(cut.file))) == (500, 500)


def test_files_are_damaged_as_asked_for_and_read_back(on_backend: Run) -> None:
    """One bit of what is written flips, an end is gone, or every file is as it was before; never under a server."""
    on_backend(every_damage, nodes=1, rights=())


async def plain_folders(_: Backend, nodes: Nodes) -> None:
    nemesis = Nemesis(await started(nodes))
    with pytest.raises(FaultError, match="is no volume of its own"):
        await nemesis.invoke(Call("inject", 0, {"kind": "power", "target": "one", "nodes": ["n1"]}))
    assert await nemesis.heal_all() == []
    slow = {"kind": "disk", "target": "one", "nodes": ["n1"], "trouble": "slow", "hold_ms": 50}
    with pytest.raises(FaultError, match="on nodes that were made for it"):
        await nemesis.invoke(Call("inject", 1, slow))
    assert await nemesis.heal_all() == []
    assert await whole(nodes)


def test_nodes_that_were_not_made_for_it_refuse(on_backend: Run) -> None:
    """On machines without the rights for faults of disks these fail and say why, and no harm is done."""
    on_backend(plain_folders, nodes=2)


async def capabilities(_: Backend, nodes: Nodes) -> int:
    _, status = await nodes[0].run(["cat", "/proc/self/status"])
    return next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))


NET_ADMIN, SYS_PTRACE, SYS_ADMIN = 12, 19, 21


@pytest.mark.docker
def test_containers_have_the_capabilities_of_their_faults_and_no_other(on_docker: Run) -> None:
    """What a container may do is the engine's usual set, and one capability more for each right that was asked for."""
    usual = on_docker(capabilities, nodes=1, rights=())
    assert not usual & (1 << NET_ADMIN | 1 << SYS_PTRACE | 1 << SYS_ADMIN)
    choices: dict[str, set[int]] = {
        "partition": {NET_ADMIN},
        "clock": {SYS_PTRACE},
        "kill": set(),
        "power": {SYS_ADMIN},
        "packets": {NET_ADMIN},
    }
    for name, bits in choices.items():
        assert on_docker(capabilities, nodes=1, rights=family(name).rights) == usual | sum(1 << bit for bit in bits)


HARNESS = (
    SIGN
    + """
import asyncio, json, os, sys
name, run_id, trouble = sys.argv[1:]
from clusters.docker import DockerBackend
from clusters.netns import NetnsBackend
backend = {"docker": DockerBackend, "netns": NetnsBackend}[name](run_id)
backend.enter()
async def main():
    (node,) = await backend.up(["n1"], [], ["volume", "hold"])
    device = (await node.run(["df", "--output=source", "."]))[1].split()[-1]
    await node.start(["python3", "-c", "import os\\nf = os.open('f', 65)\\nwhile 1: os.write(f, b'x'); os.fsync(f)"])
    if trouble == "slow":
        await node.spoil("", 5000)
    elif trouble == "power":
        await node.cut_power()
    else:
        await node.spoil(trouble)
    print(json.dumps(device), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
)


def image_of(device: str) -> str:
    """Return what tells the image on a loop device from any other; nothing where the device is free."""
    columns = ["losetup", "--list", "--noheadings", "--output", "BACK-INO,BACK-MAJ:MIN", device]
    return subprocess.run(columns, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("trouble", ["full", "read-only", "slow", "power"])
def test_a_harness_killed_by_force_leaves_no_disk_behind(backend_name: str, trouble: str) -> None:
    """After kill -9 in the middle of each fault of disks, within 5 s no loop device, no mount and no server is left."""
    run_id = f"disk{os.getpid():x}{trouble[0]}"
    argv = [sys.executable, "-c", HARNESS, backend_name, run_id, trouble]
    try:
        with subprocess.Popen(argv, stdout=subprocess.PIPE, env=signed_environment()) as harness:
            assert harness.stdout is not None
            try:
                device = json.loads(harness.stdout.readline())
                image = image_of(device)
                assert image
            finally:
                harness.kill()
                harness.wait()
        until_now(lambda: image_of(device) != image, "the loop device is free")
        if backend_name == "docker":
            machine = ["docker", "exec", f"kingslayer-{run_id}-n1"]
            seen = subprocess.run(
                [*machine, "sh", "-c", "cat /proc/mounts; ps -eo args; ls -A /var/lib/kingslayer/node*"],
                capture_output=True,
                text=True,
                timeout=20,
            ).stdout
            assert "ps -eo" in seen
            assert "loop" not in seen
            assert "os.fsync" not in seen
    finally:
        removed = remove()
    assert removed == (2 if backend_name == "docker" else 1)
