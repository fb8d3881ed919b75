"""Access: the links between clients and some nodes are cut, or their packets shaped, in one direction or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Literal, get_args

from harness.errors import FaultError
from harness.protocols import Cluster, Endpoint
from nemesis.figures import FIGURES, Figures, choose_figures
from nemesis.measure import every, until
from nemesis.targets import LEADER, Target, check_target, pick
from nemesis.trials import HINT, Burst, Tally, evidence, sums, trial

CLIENTS = "clients"
FROM, TO = "from-clients", "to-clients"
Direction = Literal["both", "from-clients", "to-clients"]
"""to-clients: what is asked for is done, and nobody is told. from-clients: nothing is asked for any more."""

CUT = Figures()
"""What test packets are counted by where none may arrive."""


class AccessParams(Figures, frozen=True, omit_defaults=True, kw_only=True):
    """Parameters of links between clients and nodes: either they are cut, or packets are shaped (Figures).

    Attributes:
        target, nodes, otherwise: whose links are hit, as of TargetParams.
        direction: of packets from clients, to clients, or both.
        cut: whether nothing gets through.
    """

    target: Target
    nodes: tuple[str, ...]
    otherwise: str = ""
    direction: Direction = "both"
    cut: bool = False

    def __post_init__(self) -> None:
        check_target(self.target, self.nodes, self.otherwise)
        if self.cut == bool(self.figures()):
            raise ValueError(f"either cut is true, or one of {', '.join(FIGURES)} is given")
        super().__post_init__()

    def named(self) -> set[str]:
        return {*self.nodes, self.otherwise} - {LEADER, ""}

    def links(self) -> dict[str, dict[str, float]]:
        """Return what a node takes: by direction its figures."""
        ways = (FROM, TO) if self.direction == "both" else (self.direction,)
        return {way: {"loss": 1.0} if self.cut else self.figures() for way in ways}


def choose(random: Random, nodes: Sequence[str]) -> AccessParams:
    """Choose whose links, in which direction, and what happens on them; every other one is cut."""
    target, hit, otherwise = pick(random, nodes)
    direction: Direction = random.choice(get_args(Direction))
    cut = random.random() < 0.5
    values = {} if cut else choose_figures(random)
    return AccessParams(target=target, nodes=hit, otherwise=otherwise, direction=direction, cut=cut, **values)


class Access:
    """Links of clients that are cut or shaped for a while. The agents do it and count; both ends measure it."""

    def __init__(self, cluster: Cluster, params: AccessParams) -> None:
        self._cluster = cluster
        self._nodes = cluster.nodes
        self._params = params
        self._hit = params.nodes

    async def inject(self) -> dict[str, Any]:
        """Give every node that is hit the state of its links.

        Raises:
            FaultError: a node refuses, or clients have no links to nodes here.
        """
        params, harness = self._params, self._harness()
        await every((self._nodes[name].access(harness.ip, params.links()) for name in self._hit), "access")
        return {"nodes": list(self._hit)}

    async def verify(self) -> dict[str, Any]:
        """Send test packets between clients and the nodes, both ways, until they fare on each link as they should.

        Only of the nodes that are hit: the links of another one may be another fault's.

        Raises:
            FaultError: they do not; nothing may arrive on a link that is cut, and its rule must have counted all.
        """
        params, ends = self._params, self._ends()
        burst = Burst() if params.cut else Burst.of(params)
        tallies = self._tallies()

        async def look() -> list[str]:
            open_links = {link: Tally() for link in tallies if not self._is_hit(link)}
            tallies.update(open_links)  # on these no packet may be lost in one look, whatever was before
            await trial(ends, tallies, burst, open_links)
            dropped = await self._dropped()
            return [
                f"{source} to {name}: {objection}"
                for (source, name), tally in tallies.items()
                for objection in self._objections((source, name), tally, burst, dropped)
            ]

        looks = await until(look, "the clients' packets do not fare as they should", HINT)
        counts = {name: (await self._nodes[name].accessed()).links for name in self._hit}
        hit = {link: tally for link, tally in tallies.items() if self._is_hit(link)}
        return evidence(hit, looks) | {"counted": sums(counts), "open": len(tallies) - len(hit)}

    async def heal(self) -> dict[str, Any]:
        """Leave every packet between clients and these nodes alone, and measure that all arrive again.

        Raises:
            FaultError: they do not.
        """
        params, ends, harness = self._params, self._ends(), self._harness()
        await every((self._nodes[name].access(harness.ip, {}) for name in self._hit), "heal of access")
        tallies: dict[tuple[str, str], Tally] = {}

        async def look() -> list[str]:
            tallies.update(self._tallies())  # what was on its way when the heal came may still arrive
            await trial(ends, tallies, Burst(), () if params.figures() else tallies)
            wrong = [f"{name} has rules left" for name in self._hit if (await self._nodes[name].accessed()).rules]
            return wrong + [
                f"{source} to {name}: {objection}"
                for (source, name), tally in tallies.items()
                for objection in tally.healed(params)
            ]

        return evidence(tallies, await until(look, "the clients' links are not healed", HINT))

    def _objections(
        self, link: tuple[str, str], tally: Tally, burst: Burst, dropped: Mapping[tuple[str, str], int]
    ) -> list[str]:
        if not self._is_hit(link):
            return tally.healed(CUT)
        if not self._params.cut:
            return tally.shaped(self._params, burst.spread_ms)
        return tally.cut(dropped[link])

    async def _dropped(self) -> dict[tuple[str, str], int]:
        """Return how many packets the cuts have stopped, by link."""
        found: dict[tuple[str, str], int] = {}
        for name in self._hit:
            for way, counts in (await self._nodes[name].accessed()).links.items():
                found[(CLIENTS, name) if way == FROM else (name, CLIENTS)] = counts["dropped"]
        return found

    def _is_hit(self, link: tuple[str, str]) -> bool:
        source, name = link
        way, node = (FROM, name) if source == CLIENTS else (TO, source)
        return node in self._hit and way in self._params.links()

    def _tallies(self) -> dict[tuple[str, str], Tally]:
        """Return an empty tally for each link; clients come first, since a firewall may only let replies in."""
        coming = {(CLIENTS, name): Tally() for name in self._hit}
        return coming | {(name, CLIENTS): Tally() for name in self._hit}

    def _ends(self) -> dict[str, Endpoint]:
        return {CLIENTS: self._harness(), **self._nodes}

    def _harness(self) -> Endpoint:
        harness = self._cluster.harness
        if harness is None:
            raise FaultError("clients have no links to these nodes", "use --backend docker or netns")
        return harness
