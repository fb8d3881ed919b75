"""The agent's own chains of iptables: whose packets are dropped, lost or held, on their way in and to clients.

A chain is there while it has rules, and no longer: a healed node's rules are those that it had before.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Mapping, Sequence

from clusters.agent.packets import MARK, Link
from clusters.agent.processes import Refused, tool

CHAIN = "KINGSLAYER"
FROM_CLIENTS = "KINGSLAYER-FROM"
TO_CLIENTS = "KINGSLAYER-TO"
HOOKS = {CHAIN: "INPUT", FROM_CLIENTS: "INPUT", TO_CLIENTS: "OUTPUT"}


def restore_script(rules: Mapping[str, Sequence[str]], hooked: Collection[str]) -> str:
    """Return the iptables-restore input that gives chains these rules, and only these.

    Args:
        rules: by chain; a chain without any goes, and those that are not named stay as they are.
        hooked: the chains that are there now.
    """
    lines = ["*filter"]
    for chain, wanted in rules.items():
        if wanted or chain in hooked:
            lines.append(f":{chain} - [0:0]")  # with --noflush, naming our chain empties it and no other
        if wanted and chain not in hooked:
            lines.append(f"-I {HOOKS[chain]} -j {chain}")
        lines += [f"-A {chain} {rule}" for rule in wanted]
        if chain in hooked and not wanted:
            lines += [f"-D {HOOKS[chain]} -j {chain}", f"-X {chain}"]
    return "\n".join([*lines, "COMMIT", ""])


def shape_rules(links: Iterable[tuple[str, Link]]) -> list[str]:
    """Return the rules that lose packets of links, or hand them to their queues; what is lost whole is cut.

    Args:
        links: by where they come from, as iptables says it, each with what happens to it.
    """
    rules = []
    for where, link in links:
        loss = link.figures["loss"]
        if loss >= 1:
            rules.append(f"{where} -j DROP")
        elif loss and not link.loses:
            rules.append(f"{where} -m statistic --mode random --probability {loss:.9f} -j DROP")
        if link.queued():
            rules.append(f"{where} -j NFQUEUE --queue-num {link.queue} --queue-bypass")
    return rules


def coming_from(source: str) -> str:
    """Return how iptables says: from there. A second copy comes by the loopback and is left alone."""
    return f"! -i lo -s {source}/32"


def going_to(target: str) -> str:
    """Return how iptables says: to there. A second copy has our mark and is left alone."""
    return f"-d {target}/32 -m mark ! --mark {MARK:#x}"


def parse_rules(listing: str, chain: str = CHAIN, side: str = "-s") -> dict[str, int]:
    """Return {source: packets dropped} from the output of `iptables -v -S`; `-d` as the side gives targets."""
    counts = {}
    for words in map(str.split, listing.splitlines()):
        ours = words[:2] == ["-A", chain] and words[-2:] == ["-j", "DROP"] and "statistic" not in words
        if ours and side in words and "-c" in words:
            source = words[words.index(side) + 1].partition("/")[0]
            counts[source] = int(words[words.index("-c") + 1])
    return counts


def address(text: str) -> str:
    """Return an IPv4 address in its one spelling: what becomes part of a rule is never free text."""
    try:
        return socket.inet_ntop(socket.AF_INET, socket.inet_pton(socket.AF_INET, text))
    except (OSError, TypeError, ValueError):
        raise Refused(f"not an IPv4 address: {text!r}") from None


class Firewall:
    """Our chains, and the rules in that of the nodes: those that block, and those that shape."""

    def __init__(self) -> None:
        self.hooked: set[str] = set()
        self.blocking: list[str] = []
        self.shaping_rules: list[str] = []

    def clear_leftovers(self) -> None:
        """Remove the chains where an agent that was killed with -9 left some."""
        rules = tool(["iptables", "-S"]).splitlines()
        self.hooked = {chain for chain, hook in HOOKS.items() if f"-A {hook} -j {chain}" in rules}
        self.heal()

    def block(self, sources: Sequence[str]) -> None:
        self.blocking = [f"-s {source}/32 -j DROP" for source in sources]
        self._restore({CHAIN: [*self.blocking, *self.shaping_rules]})

    def shape(self, rules: Sequence[str]) -> None:
        self.shaping_rules = list(rules)
        self._restore({CHAIN: [*self.blocking, *self.shaping_rules]})

    def clients(self, coming: Sequence[str], going: Sequence[str]) -> None:
        """Give the two chains of the clients' links these rules."""
        self._restore({FROM_CLIENTS: coming, TO_CLIENTS: going})

    def heal(self) -> None:
        self.blocking, self.shaping_rules = [], []
        self._restore(dict.fromkeys(HOOKS, ()))

    def counts(self, chain: str = CHAIN, side: str = "-s") -> dict[str, int]:
        return parse_rules(tool(["iptables", "-v", "-S", chain]), chain, side) if chain in self.hooked else {}

    def rules(self, *chains: str) -> list[str]:
        """Return the rules of our chains that lose packets or hand them on, as the kernel lists them."""
        listed = [tool(["iptables", "-S", chain]) for chain in chains if chain in self.hooked]
        return [line for text in listed for line in text.splitlines() if line.startswith("-A")]

    def shaping(self) -> int:
        """Return how many rules there are that lose packets of nodes or hand them on, as the kernel lists them."""
        return sum("statistic" in rule or "NFQUEUE" in rule for rule in self.rules(CHAIN))

    def _restore(self, rules: Mapping[str, Sequence[str]]) -> None:
        if any(wanted or chain in self.hooked for chain, wanted in rules.items()):
            tool(["iptables-restore", "-n"], restore_script(rules, self.hooked))
            self.hooked = self.hooked - set(rules) | {chain for chain, wanted in rules.items() if wanted}
