"""The agent on a real node: its server, its files, its commands, and its end."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from waiting import until

from clusters.carrier import AgentGone
from clusters.node import PIECE_BYTES, RemoteNode
from harness.errors import ClusterError
from harness.protocols import Backend

pytestmark = pytest.mark.netns
Run = Callable[..., Any]
Nodes = Sequence[RemoteNode]

THREADS = """
import threading, time
for _ in range(3): threading.Thread(target=time.sleep, args=(600,)).start()
print("up", flush=True)
"""
FAMILY = """
import subprocess, sys
subprocess.Popen(["sleep", "601"], start_new_session=True)
subprocess.Popen(["sh", "-c", "setsid sleep 602 & exit 0"]).wait()
print("up", flush=True)
sys.stdin.close(); __import__("time").sleep(600)
"""


async def in_state(node: RemoteNode, state: str) -> None:
    async def there() -> bool:
        return await node.state() == state

    await until(there, f"{node.name} is {state}")


async def logged(node: RemoteNode, text: bytes) -> None:
    async def there() -> bool:
        return text in await node.read("server.log")

    await until(there, f"{text!r} in the log")


async def processes(node: RemoteNode, word: str) -> list[str]:
    _, output = await node.run(["ps", "-eo", "args"])
    return [line for line in output.splitlines() if word in line]


async def lifecycle(_: Backend, nodes: Nodes) -> None:
    node = nodes[0]
    assert await node.state() == "dead"
    await node.signal(signal.SIGTERM)  # nobody there: no error
    assert await node.start(["python3", "-c", THREADS]) > 0
    await logged(node, b"up")
    assert await node.state() == "running"
    await node.signal(signal.SIGSTOP)
    await in_state(node, "paused")
    await node.signal(signal.SIGCONT)
    await in_state(node, "running")
    await node.signal(signal.SIGSTOP)
    await node.signal(signal.SIGKILL)
    await in_state(node, "dead")
    await node.start(["python3", "-c", THREADS])
    assert await node.state() == "running"


def test_the_state_of_the_server_follows_its_signals(on_netns: Run) -> None:
    """A server is running, paused when every thread is stopped, dead after a kill even if stopped, and starts again."""
    on_netns(lifecycle, nodes=1)


async def starts(_: Backend, nodes: Nodes) -> None:
    node = nodes[0]
    with pytest.raises(ClusterError, match="no-such-program"):
        await node.start(["no-such-program"])
    assert await node.state() == "dead"
    await node.start(["sh", "-c", "echo $WORD; pwd"], env={"WORD": "first $HOME"})
    await in_state(node, "dead")
    await node.start(["sh", "-c", "echo second; exec sleep 600"])
    await logged(node, b"second")
    assert await node.read("server.log") == f"first $HOME\n{node.folder}\nsecond\n".encode()
    with pytest.raises(ClusterError, match="running already"):
        await node.start(["sleep", "600"])


def test_a_start_says_what_went_wrong_and_keeps_the_log(on_netns: Run) -> None:
    """A missing program and a second start are refused; each server gets its environment and appends to the log."""
    on_netns(starts, nodes=1)


async def whole_family(_: Backend, nodes: Nodes) -> None:
    node = nodes[0]
    await node.start(["python3", "-c", FAMILY])
    await logged(node, b"up")
    assert len(await processes(node, "sleep 60")) >= 2
    await node.block(["10.1.2.3"])
    await node.run(["mkdir", "-p", "data/member"])
    await node.run(["touch", "data/member/file", "mark"])
    await node.wipe()
    assert await processes(node, "sleep 60") == []
    assert (await node.state(), await node.blocked()) == ("dead", frozenset())
    assert await node.run(["ls", "-A"]) == (0, "")


def test_wipe_makes_the_node_as_new(on_netns: Run) -> None:
    """A wipe kills the server with all it ever forked, daemons too, drops the rules and empties the folder."""
    on_netns(whole_family, nodes=1)


async def commands(_: Backend, nodes: Nodes) -> None:
    node = nodes[0]
    assert await node.run(["sh", "-c", "echo out; echo err >&2; exit 3"]) == (3, "out\nerr\n")
    slow = asyncio.create_task(node.run(["sleep", "600"], timeout_s=0.3))
    for _ in range(20):
        assert await node.state() == "dead"
    assert not slow.done()
    with pytest.raises(ClusterError, match="not done in time"):
        await slow
    assert await processes(node, "sleep 600") == []
    code, output = await node.run(["sh", "-c", "head -c 3000000 /dev/zero; echo end"])
    assert (code, len(output), output[-4:]) == (0, 1 << 20, "end\n")
    assert await node.run(["sh", "-c", "sleep 603 & echo left"]) == (0, "left\n")
    with pytest.raises(ClusterError, match="no-such-program"):
        await node.run(["no-such-program"])


def test_commands_do_not_keep_the_agent_from_its_work(on_netns: Run) -> None:
    """A long command leaves the agent free and is killed when its time is up; output and exit code come back."""
    on_netns(commands, nodes=1)


async def files(_: Backend, nodes: Nodes) -> None:
    node = nodes[0]
    size = 2 * PIECE_BYTES + 17
    await node.run(["python3", "-c", f"open('big','wb').write(b'0123456789'*({size}//10) + b'x'*({size}%10))"])
    whole = await node.read("big")
    assert len(whole) == size
    assert whole.startswith(b"01234567890")
    assert await node.read("big", tail_bytes=PIECE_BYTES + 5) == whole[-PIECE_BYTES - 5 :]
    assert await node.read("big", tail_bytes=0) == b""
    assert await node.read("big", tail_bytes=10 * size) == whole
    assert await node.read("no/such/file") == b""


def test_files_come_back_whole_or_by_their_end(on_netns: Run) -> None:
    """A file longer than one reply comes back byte for byte, its tail is its tail, and no file reads as empty."""
    on_netns(files, nodes=1)


async def refusals(_: Backend, nodes: Nodes) -> None:
    carrier = nodes[0].carrier
    with pytest.raises(ClusterError, match="unknown command 'reboot'"):
        await carrier.call("reboot")
    with pytest.raises(ClusterError, match="unexpected keyword"):
        await carrier.call("state", colour="red")
    for text in ("10.0.0.1 -j ACCEPT\n-F", "10.0.0.1/8", "::1", "n2", ""):
        with pytest.raises(ClusterError, match="not an IPv4 address"):
            await nodes[0].block([text])
    assert await nodes[0].blocked() == frozenset()


def test_what_the_agent_does_not_know_is_an_error(on_netns: Run) -> None:
    """An unknown command, wrong arguments and anything but a plain address are refused, and the agent goes on."""
    on_netns(refusals, nodes=1)


async def full_disk(_: Backend, nodes: Nodes) -> None:
    node = nodes[0]
    await node.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=1", "tmpfs", node.folder])
    with pytest.raises(ClusterError, match="No space left") as raised:
        await node.start(["sleep", "600"])
    assert "free space" in raised.value.hint


def test_a_full_disk_is_named_with_its_remedy(on_netns: Run) -> None:
    """Where the node's disk is full, the error says so and where to free space."""
    on_netns(full_disk, nodes=1)


async def end_of_stdin(_: Backend, nodes: Nodes) -> None:
    node = nodes[0]
    await node.start(["sleep", "600"])
    await node.signal(signal.SIGSTOP)
    waiting = asyncio.create_task(node.run(["sleep", "600"]))
    await node.state()
    started = time.monotonic()
    await node.carrier.close()
    assert time.monotonic() - started < 1.0
    assert await waiting == (-signal.SIGKILL, "")
    with pytest.raises(AgentGone):
        await node.state()


def test_the_end_of_stdin_ends_the_agent_at_once(on_netns: Run) -> None:
    """With a paused server and a long command under way, closing stdin ends all within a second; calls then fail."""
    on_netns(end_of_stdin, nodes=1)
