"""Shaped packets as data: what is planned, what is refused, and what counts as having happened."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from clusters.agent.packets import Link, Packets, attribute, attributes, flipped
from clusters.agent.processes import Refused
from harness.errors import UsageError
from harness.protocols import Trial
from nemesis import family
from nemesis.figures import FIGURES
from nemesis.grudge import SHAPES
from nemesis.packets import PacketsParams
from nemesis.trials import Tally

NODES = ["n1", "n2", "n3", "n4", "n5"]
ALL: dict[str, Any] = {"shape": "all", "order": NODES}


def test_plans_have_every_effect_on_every_shape() -> None:
    """Over many seeds all figures and shapes come, small and large, and each plan is one that a file may have."""
    plans = [family("packets").check(family("packets").plan(Random(seed), NODES), NODES) for seed in range(400)]
    shaped = [plan for plan in plans if isinstance(plan, PacketsParams)]
    assert {plan.shape for plan in shaped} == {*SHAPES, "all"}
    assert {name for plan in shaped for name in plan.figures()} == set(FIGURES)
    assert len([plan for plan in shaped if len(plan.figures()) > 3]) > 20
    delays = [plan.delay_ms for plan in shaped if plan.delay_ms]
    assert min(delays) < 20
    assert max(delays) > 300


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "nothing would happen"),
        ({"loss": 1}, "probabilities of at most 0.9"),
        ({"jitter_ms": 5}, "jitter_ms at most delay_ms"),
        ({"reorder": 0.5}, "reorder needs a delay_ms"),
        ({"rate_kbit": 1}, "rate_kbit is 64"),
        ({"loss": 0.1, "order": ["n1", "n1"]}, "must name each node once"),
        ({"loss": 0.1, "shape": "majorities-ring", "order": ["n1", "n2"]}, "enough of them for majorities-ring"),
    ],
)
def test_what_makes_no_sense_is_refused(params: dict[str, Any], said: str) -> None:
    """Nothing at all, impossible figures and links that are not there are usage errors."""
    with pytest.raises(UsageError, match=said):
        family("packets").check(ALL | params, NODES)


def test_packets_stay_in_order_unless_they_are_reordered() -> None:
    """A jitter keeps the order, a reordered packet does not wait, and a rate spaces packets by their sizes."""
    link = Link(1, {"delay_ms": 10, "jitter_ms": 10})
    due = [link.due(now, 100) or 0 for now in range(0, 1_000_000, 1000)]
    assert due == sorted(due)
    link = Link(1, {"delay_ms": 10, "reorder": 1})
    assert link.due(5, 100) == 5
    link = Link(1, {"rate_kbit": 800})
    assert [link.due(0, 1000) for _ in range(3)] == [10_000_000, 20_000_000, 30_000_000]
    assert [link.due(0, 1_000_000), link.due(0, 100)][1] is None
    with pytest.raises(Refused, match="the figures of a link"):
        Link(1, {"colour": 1})


def test_one_bit_of_the_content_is_flipped() -> None:
    """A damaged packet differs in one bit behind its headers; one without content is left alone."""
    udp = bytes([0x45, *[0] * 8, 17, *[0] * 10]) + bytes(8) + b"content"
    for _ in range(50):
        damaged = flipped(udp)
        assert damaged[:28] == udp[:28]
        assert sum((left ^ right).bit_count() for left, right in zip(damaged, udp, strict=True)) == 1
    tcp = bytes([0x45, *[0] * 8, 6, *[0] * 10]) + bytes(12) + b"\x50" + bytes(7)
    assert flipped(tcp) == b""


def test_attributes_survive_their_padding() -> None:
    """What is written as netlink attributes is read back, whatever its length."""
    pairs = [(kind, bytes(range(kind))) for kind in range(1, 9)]
    assert list(attributes(b"".join(attribute(*pair) for pair in pairs))) == pairs


def tally(sent: int, **figures: Any) -> Tally:
    """Return the tally of one look at a link on which nothing is wrong, but for `figures`."""
    good = {"arrived": sent, "duplicates": 0, "reordered": 0}
    good |= {"delay_ms_min": 0.1, "delay_ms_median": 0.2, "delay_ms_max": 0.3}
    found = Tally()
    found.add(sent, Trial(**(good | figures)))
    return found


SLOW = {"delay_ms_min": 20.0, "delay_ms_median": 25.0, "delay_ms_max": 30.0}


@pytest.mark.parametrize(
    ("figures", "seen", "said"),
    [
        ({"loss": 0.3}, {"arrived": 28}, ""),
        ({"loss": 0.3}, {"arrived": 40}, "0 of 40 packets were lost, not 12"),
        ({"loss": 0.3}, {"arrived": 1}, "39 of 40 packets were lost"),
        ({"corrupt": 0.3}, {}, "0 of 40 packets were lost"),
        ({"duplicate": 0.5}, {"duplicates": 20}, ""),
        ({"duplicate": 0.5}, {}, "0 of 40 packets were doubled"),
        ({"delay_ms": 20}, SLOW, ""),
        ({"delay_ms": 20}, SLOW | {"delay_ms_min": 3.0}, "a packet took 3.00 ms, less than its delay"),
        ({"delay_ms": 20, "jitter_ms": 10}, SLOW | {"delay_ms_min": 12.0}, ""),
        ({"delay_ms": 20, "reorder": 0.5}, SLOW | {"delay_ms_min": 0.1, "reordered": 3}, ""),
        ({"delay_ms": 20, "reorder": 0.5}, SLOW, "no packet has overtaken another"),
        ({"rate_kbit": 800}, {"delay_ms_max": 90.0, "arrived": 9}, ""),
        ({"rate_kbit": 800}, {}, "a burst took 0.20 ms, not 90.00"),
    ],
)
def test_each_effect_is_evident_or_an_objection(figures: dict[str, float], seen: dict[str, Any], said: str) -> None:
    """What was measured is held to the parameters, within what chance allows."""
    params = family("packets").check(ALL | figures, NODES)
    assert isinstance(params, PacketsParams)
    found = tally(40, **seen).shaped(params, 90.0)
    assert (said in "; ".join(found)) if said else found == []


def test_a_link_is_healed_when_nothing_happens_on_it() -> None:
    """Lost, doubled, late or an earlier look's packets, and none faster than the delay, are objections to a heal."""
    params = family("packets").check(ALL | {"delay_ms": 20}, NODES)
    assert isinstance(params, PacketsParams)
    assert tally(40).healed(params) == []
    assert tally(40, arrived=39).healed(params) == ["39 of 40 packets arrive, 0 twice, 0 late"]
    assert tally(40, arrived=41).healed(params) == ["41 of 40 packets arrive, 0 twice, 0 late"]
    assert "as if it were held" in tally(40, **SLOW).healed(params)[0]


def test_a_queue_that_was_closed_in_the_same_round_is_no_error() -> None:
    """The agent's loop may tell of packets that waited when a request, answered just before, closed their queue."""
    packets = Packets(1)
    packets.take()
    assert packets.tick() is None
