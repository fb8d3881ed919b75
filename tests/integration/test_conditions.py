"""What an agent tells of its node: everything that a fault may change shows, and is gone when it was undone."""

from __future__ import annotations

import platform
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest
from waiting import until

from clusters.node import RemoteNode
from harness.conditions import differences
from harness.protocols import Backend

Run = Callable[..., Any]
Nodes = Sequence[RemoteNode]
Change = tuple[str, Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]

SHELL = "sleep 600 & setsid sleep 700 & exec sleep 600"


async def differs(node: RemoteNode, before: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the parts in which a node is not as before."""
    return {line.partition(":")[0] for line in differences(before, await node.condition())}


def changes(node: RemoteNode, other: RemoteNode, pid: int) -> list[Change]:
    """Return what can be done to a node by its agent or behind its back: the part, how, and how it is undone."""
    skew = [
        (
            "clocks",
            lambda: node.skew([(1000.0, 10**12, 0.0)], ["realtime"]),
            node.unskew,
        )
    ]
    return [
        ("rules", lambda: node.block([other.ip]), lambda: node.block([])),
        (
            "rules",
            lambda: node.run(["iptables", "-A", "OUTPUT", "-d", "192.0.2.1", "-j", "DROP"]),
            lambda: node.run(["iptables", "-F", "OUTPUT"]),
        ),
        ("queues", lambda: node.shape({other.ip: {"delay_ms": 5.0}}), lambda: node.shape({})),
        (
            "queues",
            lambda: node.access("192.0.2.1", {"to-clients": {"delay_ms": 5.0}}),
            lambda: node.access("192.0.2.1", {}),
        ),
        ("held", lambda: node.signal(signal.SIGSTOP), lambda: node.signal(signal.SIGCONT)),
        ("duty", lambda: node.duty(0.5, 0.1), lambda: node.duty(0, 0)),
        (
            "limits",
            lambda: node.run(["prlimit", "--pid", str(pid), "--nofile=77:"]),
            lambda: node.run(["prlimit", "--pid", str(pid), "--nofile=88:"]),
        ),
        *(skew if platform.machine() == "x86_64" else ()),
    ]


async def every_part(backend: Backend, nodes: Nodes) -> None:
    """Change each part in turn, and undo it."""
    node, other = nodes
    pid = await node.start(["sh", "-c", SHELL])

    async def up() -> bool:
        return (await node.run(["ps", "-eo", "args"]))[1].count("sleep 600") == 2

    await until(up, "the server and its child run")
    await node.run(["prlimit", "--pid", str(pid), "--nofile=88:"])
    before = await node.condition()
    assert {"rules", "queues", "mounts", "held", "clocks", "duty", "strays", "limits"} == set(before)
    for part, do, undo in changes(node, other, pid):
        await do()

        async def shows(part: str = part) -> bool:
            return part in await differs(node, before)

        async def same() -> bool:
            return not await differs(node, before)

        await until(shows, f"{part} differs")
        await undo()
        await until(same, f"{part} is as before")


def test_each_part_shows_what_was_changed_and_what_was_undone(on_backend: Run) -> None:
    """On each backend rules, queues, stops, cycles, limits and clocks differ while a fault is on, and not after it."""
    on_backend(every_part, nodes=2)


async def mounted(backend: Backend, nodes: Nodes) -> None:
    """Mount something on a node, and unmount it."""
    node = nodes[0]
    await node.start(["sh", "-c", SHELL])
    before = await node.condition()
    await node.run(["mkdir", "disk"])
    await node.run(["mount", "-t", "tmpfs", "tmpfs", f"{node.folder}/disk"])
    assert before["mounts"] == [], "what it inherited is not told"
    # the shell's children may still be starting, which other parts tell of
    [line] = [told for told in differences(before, await node.condition()) if told.startswith("mounts: ")]
    assert line.startswith(f"mounts: has {node.folder}/disk rw")
    await node.run(["umount", f"{node.folder}/disk"])
    assert "mounts" not in await differs(node, before)


@pytest.mark.netns
def test_a_mount_shows(on_netns: Run) -> None:
    """What is mounted on a node is a difference that names the place, until it is unmounted."""
    on_netns(mounted, nodes=1)


async def orphans(backend: Backend, nodes: Nodes) -> None:
    """Kill a server, but not what it has started."""
    node = nodes[0]
    pid = await node.start(["sh", "-c", SHELL])

    async def up() -> bool:
        return (await node.run(["ps", "-eo", "args"]))[1].count("sleep 600") == 2

    await until(up, "the server and its child run")
    before = await node.condition()
    await node.run(["kill", "-9", str(pid)])

    async def left() -> bool:
        return differences(before, await node.condition()) == ["strays: has sleep", "strays: has sleep"]

    await until(left, "its children show")


@pytest.mark.netns
def test_what_a_server_left_running_shows(on_netns: Run) -> None:
    """Processes whose server is dead are strays, and a dead server's limits are no difference."""
    on_netns(orphans, nodes=1)
