"""Shaped packets on real machines: each effect is measured on its links and on no other, and is gone after its heal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from clusters.node import RemoteNode
from harness.errors import ClusterError, Definite
from harness.op import Call
from harness.protocols import Backend, Node
from nemesis import Nemesis

Run = Callable[..., Any]
EFFECTS: dict[str, dict[str, float]] = {
    "delay": {"delay_ms": 30, "jitter_ms": 10},
    "loss": {"loss": 0.3},
    "duplicate": {"duplicate": 0.4},
    "reorder": {"delay_ms": 20, "reorder": 0.3},
    "corrupt": {"corrupt": 0.2},
    "rate": {"rate_kbit": 2000},
    "storm": {"delay_ms": 15, "jitter_ms": 5, "loss": 0.1, "duplicate": 0.2, "reorder": 0.2, "corrupt": 0.1},
}


class Machines:
    """A cluster without servers: packets need none."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes: Mapping[str, Node] = {node.name: node for node in nodes}

    async def leader(self) -> str | None:
        return "n1"

    async def restart(self, name: str) -> None:
        raise AssertionError("nothing here is restarted")


async def every_effect(backend: Backend, nodes: Sequence[Node]) -> None:
    """Hit what n1 hears with each effect in turn; the links between the others stay as they are."""
    nemesis = Nemesis(Machines(nodes))
    one, two, three = nodes
    for number, (effect, figures) in enumerate(EFFECTS.items()):
        value = {"kind": "packets", "shape": "one-way", "order": ["n1", "n2", "n3"], **figures}
        injected = await nemesis.invoke(Call("inject", number, value))
        assert injected["links"] == {"n1": ["n2", "n3"]}, effect
        await two.trial_send([three.ip], count=20, size=100)
        trial = (await three.trial())[two.ip]
        assert (trial.arrived, trial.duplicates, trial.reordered) == (20, 0, 0)
        assert (await one.shaped()).rules >= 2
        healed = await nemesis.invoke(Call("heal", number, {"kind": "packets"}))
        assert healed["evidence"]["arrived"] == healed["evidence"]["sent"]
        assert [(await node.shaped()).rules for node in nodes] == [0, 0, 0]


def test_each_effect_is_measured_on_its_links_alone(on_backend: Run) -> None:
    """On each backend every effect is measured on the links that it hits, no other link feels it, and all heal."""
    on_backend(every_effect, nodes=3)


async def twice_and_without_servers(backend: Backend, nodes: Sequence[Node]) -> None:
    """Heal what was never on; inject twice; let a server die under it; heal in any order."""
    nemesis = Nemesis(Machines(nodes))
    assert await nemesis.invoke(Call("heal", 0, {"kind": "packets"})) == {"kind": "packets", "evidence": {}}
    await nodes[0].start(["sleep", "600"])
    slow = {"kind": "packets", "shape": "all", "order": ["n1", "n2"], "delay_ms": 40}
    await nemesis.invoke(Call("inject", 1, slow))
    with pytest.raises(Definite, match=r"fault 1 \(packets\) is on and holds the links"):
        await nemesis.invoke(Call("inject", 2, slow | {"delay_ms": 20, "duplicate": 0.5}))
    await nodes[0].signal(signal.SIGKILL)
    await nodes[0].block([nodes[1].ip])
    assert await nodes[0].blocked() == {nodes[1].ip}
    await nodes[0].block([])
    assert (await nodes[0].shaped()).rules == 1
    assert await nemesis.heal_all() == []
    for node in nodes:
        await node.shape({})
        assert (await node.shaped()).rules == 0


def test_shaped_packets_and_whatever_else_happens(on_backend: Run) -> None:
    """A heal without a fault, a second inject, a dead server and a partition beside it leave nothing behind."""
    on_backend(twice_and_without_servers, nodes=2)


async def impossible(backend: Backend, nodes: Sequence[RemoteNode]) -> None:
    """Take away what it needs from the agent."""
    node = nodes[0]
    with pytest.raises(ClusterError, match="the figures of a link are delay_ms"):
        await node.shape({nodes[1].ip: {"speed": 1}})
    assert (await node.shaped()).rules == 0


@pytest.mark.netns
def test_figures_that_nobody_knows_are_refused(on_netns: Run) -> None:
    """An unknown figure is an error, and no rule is made."""
    on_netns(impossible, nodes=2)
