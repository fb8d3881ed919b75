"""What can happen to the packets of a link, as parameters, and how strong it is chosen to be. Pure."""

from __future__ import annotations

import math
from random import Random
from typing import Final, Literal

from nemesis.targets import Params

Effect = Literal["delay", "loss", "duplicate", "reorder", "corrupt", "rate", "storm"]
EFFECTS: Final[tuple[Effect, ...]] = ("delay", "loss", "duplicate", "reorder", "corrupt", "rate", "storm")
FIGURES: Final = ("delay_ms", "jitter_ms", "loss", "duplicate", "reorder", "corrupt", "rate_kbit")


class Figures(Params, frozen=True, omit_defaults=True, kw_only=True):
    """What happens to packets.

    Attributes:
        delay_ms: how long each packet is held.
        jitter_ms: by how much that varies, either way; packets stay in order.
        loss: probability that a packet is dropped.
        duplicate: probability that it comes twice.
        reorder: probability that it overtakes those that are held.
        corrupt: probability that one bit of its content is flipped; its checksum tells, so that it counts as lost.
        rate_kbit: how much goes over each link, in kbit/s.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    rate_kbit: float = 0.0

    def __post_init__(self) -> None:
        if any(not 0 <= getattr(self, name) <= 0.9 for name in ("loss", "duplicate", "reorder", "corrupt")):
            raise ValueError("loss, duplicate, reorder and corrupt are probabilities of at most 0.9")
        if not 0 <= self.jitter_ms <= self.delay_ms <= 10_000:
            raise ValueError("delay_ms is at most 10000, and jitter_ms at most delay_ms")
        if self.reorder and not self.delay_ms - self.jitter_ms:
            raise ValueError("reorder needs a delay_ms of more than jitter_ms: only what is held can be overtaken")
        if self.rate_kbit and not 64 <= self.rate_kbit <= 10_000_000:
            raise ValueError("rate_kbit is 64 to 10000000")

    def figures(self) -> dict[str, float]:
        """Return what nodes take: the figures that are not 0."""
        return {name: getattr(self, name) for name in FIGURES if getattr(self, name)}

    def lost(self) -> float:
        """Return the probability that a packet does not arrive."""
        return 1 - (1 - self.loss) * (1 - self.corrupt)


def choose_figures(random: Random) -> dict[str, float]:
    """Choose the effect and how strong it is, from hardly felt to worse than a heartbeat can bear."""
    effect: Effect = random.choice(EFFECTS)
    ranges: dict[str, tuple[float, float]] = {
        "delay_ms": (10, 400),
        "loss": (0.02, 0.5),
        "duplicate": (0.05, 0.5),
        "reorder": (0.05, 0.5),
        "corrupt": (0.02, 0.3),
        "rate_kbit": (256, 8192),
    }
    chosen = {
        "delay": ("delay_ms",),
        "rate": ("rate_kbit",),
        "reorder": ("delay_ms", "reorder"),
        "storm": ("delay_ms", "loss", "duplicate", "reorder", "corrupt"),
    }.get(effect, (effect,))
    values = {name: _between(random, *ranges[name]) for name in chosen}
    if effect in ("delay", "storm"):
        values["jitter_ms"] = round(values["delay_ms"] * random.choice((0, 0.25, 0.5)), 3)
    return values


def _between(random: Random, low: float, high: float) -> float:
    """Choose an order of magnitude first, and few digits, which people can read."""
    return float(f"{math.exp(random.uniform(math.log(low), math.log(high))):.2g}")
