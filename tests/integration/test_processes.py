"""Faults of processes on real machines: each is measured in the server, and it runs again after the heal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from waiting import until

from harness.errors import ClusterError, FaultError
from harness.op import Call
from harness.protocols import Backend, Node
from nemesis import Nemesis

Run = Callable[..., Any]
OBEYS = """
import signal, time
signal.signal(signal.SIGHUP, lambda *_: print("heard", flush=True))
print("up", flush=True)
while True: time.sleep(0.01)
"""
SERVER = ("python3", "-c", OBEYS)
ACTIONS: list[tuple[dict[str, Any], str]] = [
    ({"action": "stop"}, "dead"),
    ({"action": "signal", "signal": "SIGINT"}, "dead"),
    ({"action": "signal", "signal": "SIGHUP"}, "running"),
    ({"action": "burst", "period_s": 0.2, "share": 0.5}, ""),
    ({"action": "slow", "period_s": 0.02, "share": 0.8}, ""),
    ({"action": "restarts", "period_s": 0.1}, ""),
    ({"action": "memory"}, "running"),
]


class Servers:
    """A cluster of servers that wait for signals; n1 leads."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes: Mapping[str, Node] = {node.name: node for node in nodes}
        self.starts = 0

    async def leader(self) -> str | None:
        return "n1"

    async def restart(self, name: str) -> None:
        self.starts += 1
        await self.nodes[name].start(SERVER, log=f"{self.starts}.log")

    async def up(self, name: str) -> None:
        """Start a server and wait until it knows its signals."""
        await self.restart(name)

        async def said() -> bool:
            return b"up" in await self.nodes[name].read(f"{self.starts}.log")

        await until(said, "the server is up")


async def every_action(backend: Backend, nodes: Sequence[Node]) -> None:
    """Do each in turn to a fresh server."""
    servers = Servers(nodes)
    nemesis = Nemesis(servers)
    node = nodes[0]
    for number, (params, state) in enumerate(ACTIONS):
        await servers.up("n1")
        value = {"kind": "process", "target": "leader", "nodes": ["leader"], "otherwise": "n2"} | params
        injected = await nemesis.invoke(Call("inject", number, value))
        assert injected["nodes"] == ["n1"]
        if params["action"] == "signal":

            async def obeyed(expected: str = state) -> bool:
                return await node.state() == expected

            await until(obeyed, f"{params} has its effect")
        elif state:
            assert injected["evidence"]["states"] == {"n1": state}
        else:
            assert injected["evidence"]["rounds"]["n1"] >= 1
        await nemesis.invoke(Call("heal", number, {"kind": "process"}))
        assert await node.state() == "running"
        await node.wipe()


def test_each_action_is_measured_and_healed(on_backend: Run) -> None:
    """On each backend stops, signals, bursts, slowness and restarts take effect, and after the heal the server runs."""
    on_backend(every_action, nodes=2)


GROWS = """
import signal, time
kept = []
def grow(*_):
    try:
        kept.append(bytearray(256 << 20))
        print("grown", flush=True)
    except MemoryError:
        print("refused", flush=True)
signal.signal(signal.SIGHUP, grow)
print("up", flush=True)
while True: time.sleep(0.01)
"""


async def out_of_memory(backend: Backend, nodes: Sequence[Node]) -> None:
    """Let a server ask for memory before, during and after the fault; let one die of it."""
    node = nodes[0]
    servers = Servers(nodes)
    nemesis = Nemesis(servers)
    await node.start(["python3", "-c", GROWS], log="grows.log")
    said = ["up"]

    async def told() -> bool:
        return (await node.read("grows.log")).decode().split() == said

    async def asks(answer: str) -> None:
        said.append(answer)
        await node.signal(signal.SIGHUP)
        await until(told, f"the server says {answer}", 10)

    await until(told, "the server is up")
    [before] = await node.memory()
    await asks("grown")
    value = {"kind": "process", "target": "one", "nodes": ["n1"], "action": "memory"}
    injected = await nemesis.invoke(Call("inject", 0, value))
    assert injected["evidence"]["states"] == {"n1": "running"}
    await asks("refused")
    healed = await nemesis.invoke(Call("heal", 0, {"kind": "process"}))
    assert healed["evidence"]["became"] == {"n1": "running"}
    await asks("grown")
    again = await node.memory()
    assert [process.limit_bytes for process in again] == [before.limit_bytes], again
    await nemesis.invoke(Call("inject", 1, value))
    await node.signal(signal.SIGUSR1)

    async def dead() -> bool:
        return await node.state() == "dead"

    await until(dead, "the server died")
    healed = await nemesis.invoke(Call("heal", 1, {"kind": "process"}))
    assert (healed["evidence"]["became"], servers.starts) == ({"n1": "dead"}, 1)

    async def unlimited() -> bool:
        return [process.limit_bytes for process in await node.memory()] == [before.limit_bytes]

    await until(unlimited, "the new server has the limit of before")


def test_a_server_whose_memory_is_limited_gets_no_more(on_backend: Run) -> None:
    """It is refused what it got before and gets again after the heal; one that died runs anew, without a limit."""
    on_backend(out_of_memory, nodes=1)


SLOW_TO_END = """
import signal, threading
def end(*_): threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGKILL)).start()
signal.signal(signal.SIGUSR1, end)
print("up", flush=True)
while True: signal.pause()
"""


async def late_end(backend: Backend, nodes: Sequence[Node]) -> None:
    """Send a signal that a server obeys only after a while, and heal before that."""
    servers = Servers(nodes)
    nemesis = Nemesis(servers)
    await nodes[0].start(["python3", "-c", SLOW_TO_END], log="slow.log")

    async def up() -> bool:
        return b"up" in await nodes[0].read("slow.log")

    await until(up, "the server is up")
    value = {"kind": "process", "target": "one", "nodes": ["n1"], "action": "signal", "signal": "SIGUSR1"}
    injected = await nemesis.invoke(Call("inject", 0, value))
    assert injected["evidence"]["states"] == {"n1": "running"}
    await nemesis.invoke(Call("heal", 0, {"kind": "process"}))
    assert servers.starts == 1
    assert await nodes[0].state() == "running"


@pytest.mark.netns
def test_a_signal_has_no_effect_after_the_heal(on_netns: Run) -> None:
    """A server that was about to end is a new one after the heal, which the signal never reached."""
    on_netns(late_end, nodes=1)


REFUSES_ONCE = """
import signal
def refuse(*_): signal.signal(signal.SIGTERM, signal.SIG_DFL); print("not now", flush=True)
signal.signal(signal.SIGTERM, refuse)
print("up", flush=True)
while True: signal.pause()
"""


async def refused_stop(backend: Backend, nodes: Sequence[Node]) -> None:
    """Ask a server to stop that does so when it is asked again."""
    nemesis = Nemesis(Servers(nodes))
    await nodes[0].start(["python3", "-c", REFUSES_ONCE], log="refuses.log")

    async def up() -> bool:
        return b"up" in await nodes[0].read("refuses.log")

    await until(up, "the server is up")
    value = {"kind": "process", "target": "one", "nodes": ["n1"], "action": "stop"}
    injected = await nemesis.invoke(Call("inject", 0, value))
    assert injected["evidence"]["states"] == {"n1": "dead"}
    assert await nodes[0].read("refuses.log") == b"up\nnot now\n"
    await nemesis.invoke(Call("heal", 0, {"kind": "process"}))


@pytest.mark.netns
def test_a_server_that_refuses_to_stop_is_asked_again(on_netns: Run) -> None:
    """As Redis does, which cannot stop while it writes its first file after a resync."""
    on_netns(refused_stop, nodes=1)


async def odd_moments(backend: Backend, nodes: Sequence[Node]) -> None:
    """Hit a dead server; hit one twice; let it die and start anew under it; wipe in the middle."""
    servers = Servers(nodes)
    nemesis = Nemesis(servers)
    value = {"kind": "process", "target": "one", "nodes": ["n1"], "action": "burst", "period_s": 0.1, "share": 0.9}
    with pytest.raises(FaultError, match="the server of n1 is dead before the fault"):
        await nemesis.invoke(Call("inject", 0, value | {"action": "slow"}))
    assert await nemesis.heal_all() == []
    assert await nodes[0].state() == "running"
    await nemesis.invoke(Call("inject", 1, value | {"share": 0.5}))
    with pytest.raises(ClusterError, match="a duty cycle takes"):
        await nodes[0].duty(0.001, 0.5)
    await nodes[0].signal(9)

    async def dead() -> bool:
        return await nodes[0].state() == "dead"

    await until(dead, "the server is dead")
    await servers.restart("n1")
    before = await nodes[0].duty_stops()

    async def stopped_anew() -> bool:
        return await nodes[0].duty_stops() > before

    await until(stopped_anew, "the new server is stopped, too")
    await nodes[0].wipe()
    assert await nemesis.heal_all() == []
    assert await nodes[0].state() == "running"


@pytest.mark.netns
def test_odd_moments_of_a_duty_cycle(on_netns: Run) -> None:
    """A dead server cannot be hit; a new one is hit too; a heal after a wipe starts the server again."""
    on_netns(odd_moments, nodes=1)
