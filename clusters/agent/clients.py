"""The links between this node and the clients: cut, or shaped, each direction by itself.

Both directions are in the node's hands, what comes in and what goes out: the clients' machine is left alone.
"""

from __future__ import annotations

import selectors
from collections.abc import Mapping
from typing import Any

from clusters.agent.firewall import FROM_CLIENTS, TO_CLIENTS, Firewall, coming_from, going_to, shape_rules
from clusters.agent.packets import Packets
from clusters.agent.processes import Refused

QUEUE_FIRST = 5711
COMING, GOING = "from-clients", "to-clients"


class Clients:
    """The clients' links of one node.

    Args:
        firewall: holds the rules.
        selector: the agent's, which hears of packets.
    """

    def __init__(self, firewall: Firewall, selector: selectors.BaseSelector) -> None:
        self.firewall = firewall
        self.selector = selector
        self.packets = Packets(QUEUE_FIRST)
        self.address = ""

    def shape(self, address: str, links: Mapping[str, Mapping[str, float]]) -> None:
        """Take the figures of the directions that are named, in place of any others; a loss of 1 cuts."""
        if not set(links) <= {COMING, GOING}:
            raise Refused(f"the directions of a client's link are {COMING} and {GOING}")
        if self.packets.socket is not None:
            self.selector.unregister(self.packets.socket)
        self.firewall.clients([], [])  # first: nothing new is held while the queues are changed
        self.address = address
        self.packets.shape(links, outgoing=[GOING])
        if self.packets.socket is not None:
            self.selector.register(self.packets.socket, selectors.EVENT_READ, self.packets.take)
        where = {COMING: coming_from(address), GOING: going_to(address)}
        rules = {name: shape_rules([(where[name], link)]) for name, link in self.packets.links.items()}
        self.firewall.clients(rules.get(COMING, []), rules.get(GOING, []))

    def report(self) -> dict[str, Any]:
        """Return how many rules there are, and by direction what was done to how many packets.

        What a rule cut is counted by the kernel: evidence, and not just absence.
        """
        dropped = {
            COMING: self.firewall.counts(FROM_CLIENTS, "-s").get(self.address, 0),
            GOING: self.firewall.counts(TO_CLIENTS, "-d").get(self.address, 0),
        }
        links = {name: counts | {"dropped": dropped[name]} for name, counts in self.packets.report().items()}
        return {"rules": len(self.firewall.rules(FROM_CLIENTS, TO_CLIENTS)), "links": links}
