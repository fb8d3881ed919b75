"""Test packets along links: how they fare, and whether that is what should happen to them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.protocols import Endpoint, Trial
from nemesis.figures import Figures

TRIAL_PACKETS: Final = 40
LIGHT_PACKETS: Final = 5
TRIAL_BYTES: Final = 200
RATE_BYTES: Final = 1000
RATE_TRIAL_S: Final = 0.1
SIGMAS: Final = 5.0
TOLERANCE_MS: Final = 0.5
SETTLE_S: Final = 0.03

HINT = "the nodes' kernel may lack what shapes packets (xt_NFQUEUE, xt_statistic): docs/nemeses.md says what it takes"

Tallies = Mapping[tuple[str, str], "Tally"]
"""By (who sends, who receives)."""


@dataclass(frozen=True, slots=True)
class Burst:
    """The test packets that one look sends along each link.

    Attributes:
        count, size: how many, of so many bytes.
        spread_ms: how long they take at the rate of the link; 0 without one.
        wait_s: how long to wait until all that come have come.
    """

    count: int = TRIAL_PACKETS
    size: int = TRIAL_BYTES
    spread_ms: float = 0.0
    wait_s: float = SETTLE_S

    @classmethod
    def of(cls, params: Figures) -> Burst:
        """Return what shows the figures."""
        held_s = (params.delay_ms + params.jitter_ms) / 1000 + SETTLE_S
        if not params.rate_kbit:
            return cls(wait_s=held_s)
        count = max(4, min(TRIAL_PACKETS, int(params.rate_kbit * 1000 * RATE_TRIAL_S / 8 / RATE_BYTES)))
        spread_ms = (count - 1) * RATE_BYTES * 8 / params.rate_kbit
        return cls(count, RATE_BYTES, spread_ms, held_s + spread_ms / 1000)


@dataclass(slots=True)
class Tally:
    """How the test packets of one directed link have fared in all looks so far."""

    sent: int = 0
    arrived: int = 0
    duplicates: int = 0
    reordered: int = 0
    spread_ms: float = 0.0
    fastest_ms: float = math.inf
    slowest_ms: float = 0.0
    medians_ms: list[float] = field(default_factory=list)

    def add(self, sent: int, trial: Trial | None) -> None:
        """Count one look."""
        self.sent += sent
        if trial is not None:
            self.arrived += trial.arrived
            self.duplicates += trial.duplicates
            self.reordered += trial.reordered
            self.fastest_ms = min(self.fastest_ms, trial.delay_ms_min)
            self.slowest_ms = max(self.slowest_ms, trial.delay_ms_max)
            self.spread_ms = max(self.spread_ms, trial.delay_ms_max - trial.delay_ms_min)
            self.medians_ms.append(trial.delay_ms_median)

    def shaped(self, params: Figures, burst_ms: float) -> list[str]:
        """Compare with what should happen; chance alone fails SIGMAS of a standard deviation at most."""
        wrong = []
        held_ms = params.delay_ms - params.jitter_ms - TOLERANCE_MS
        if not self.arrived:
            wrong.append("nothing arrives")
        if held_ms > 0 and not params.reorder and self.fastest_ms < held_ms:
            wrong.append(f"a packet took {self.fastest_ms:.2f} ms, less than its delay")
        if held_ms > 0 and self.slowest_ms < held_ms:
            wrong.append(f"no packet was held: {self.slowest_ms:.2f} ms")
        if params.reorder and not self.reordered:
            wrong.append("no packet has overtaken another")
        if params.rate_kbit and self.spread_ms < 0.8 * burst_ms:
            wrong.append(f"a burst took {self.spread_ms:.2f} ms, not {burst_ms:.2f}")
        if not params.rate_kbit:  # a full line drops packets, too
            wrong += _odds("lost", self.sent - self.arrived, self.sent, params.lost())
            wrong += _odds("doubled", self.duplicates, self.arrived, params.duplicate)
        return wrong

    def cut(self, dropped: int) -> list[str]:
        """Compare with a link on which nothing gets through; `dropped` is what the rule that cuts it has counted."""
        wrong = [f"{self.arrived} of {self.sent} packets arrive"] if self.arrived else []
        if dropped < self.sent:
            wrong.append(f"of {self.sent} packets only {dropped} were counted as dropped")
        return wrong

    def healed(self, params: Figures) -> list[str]:
        """Compare with a link on which nothing happens; more than was sent are an earlier look's."""
        wrong = []
        if self.arrived != self.sent or self.duplicates or self.reordered:
            what = f"{self.duplicates} twice, {self.reordered} late"
            wrong.append(f"{self.arrived} of {self.sent} packets arrive, {what}")
        if params.delay_ms and self.fastest_ms > max(1.0, params.delay_ms - params.jitter_ms - TOLERANCE_MS):
            wrong.append(f"the fastest packet still takes {self.fastest_ms:.2f} ms, as if it were held")
        return wrong


def _odds(what: str, count: int, total: int, probability: float) -> list[str]:
    """Say where a count is none, or none that the probability explains."""
    expected = total * probability
    if not probability or (count and abs(count - expected) <= SIGMAS * math.sqrt(expected * (1 - probability)) + 1):
        return []
    return [f"{count} of {total} packets were {what}, not {expected:.0f}"]


async def trial(
    nodes: Mapping[str, Endpoint], tallies: Tallies, burst: Burst, lightly: Collection[tuple[str, str]] = ()
) -> None:
    """Send test packets along each link, and count in its tally how they fare.

    Args:
        nodes: the ends of the links.
        tallies: by link.
        burst: what to send.
        lightly: the links on which LIGHT_PACKETS will do: they are only to be open.
    """
    receivers = {name for _, name in tallies}
    counts = {link: LIGHT_PACKETS if link in lightly else burst.count for link in tallies}
    targets: dict[tuple[str, int], list[str]] = {}
    for (source, name), count in counts.items():
        targets.setdefault((source, count), []).append(nodes[name].ip)
    await asyncio.gather(
        *(nodes[name].trial_send(ips, count=count, size=burst.size) for (name, count), ips in targets.items())
    )
    await asyncio.sleep(burst.wait_s)
    found = dict(zip(receivers, await asyncio.gather(*(nodes[name].trial() for name in receivers)), strict=True))
    for (source, name), tally in tallies.items():
        tally.add(counts[source, name], found[name].get(nodes[source].ip))


def evidence(tallies: Tallies, looks: int) -> dict[str, Any]:
    """Return what was measured on all links together."""
    every_link = tallies.values()
    medians = sorted(median for tally in every_link for median in tally.medians_ms)
    return {
        "links": len(tallies),
        "sent": sum(tally.sent for tally in every_link),
        "arrived": sum(tally.arrived for tally in every_link),
        "duplicates": sum(tally.duplicates for tally in every_link),
        "reordered": sum(tally.reordered for tally in every_link),
        "delay_ms": round(medians[len(medians) // 2], 3) if medians else None,
        "looks": looks,
    }


def sums(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[str, int]:
    """Return what all nodes have counted, together."""
    totals: dict[str, int] = {}
    for links in counts.values():
        for figures in links.values():
            for name, count in figures.items():
                totals[name] = totals.get(name, 0) + count
    return totals
