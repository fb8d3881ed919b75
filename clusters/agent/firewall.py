"""The agent's own chain of iptables: which sources are dropped on input, and whose packets are lost or held."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence

from clusters.agent.packets import Link
from clusters.agent.processes import Refused, tool

CHAIN = "KINGSLAYER"


def restore_script(sources: Iterable[str], hook: bool, shaped: Sequence[str] = ()) -> str:
    """Return the iptables-restore input that makes these sources, and only these, dropped on input.

    Args:
        sources: whom to drop.
        hook: whether the chain is not on INPUT yet.
        shaped: further rules, after those.
    """
    lines = ["*filter", f":{CHAIN} - [0:0]"]  # with --noflush, naming our chain empties it and no other
    if hook:
        lines.append(f"-I INPUT -j {CHAIN}")
    lines += [f"-A {CHAIN} -s {source}/32 -j DROP" for source in sources]
    lines += [f"-A {CHAIN} {rule}" for rule in shaped]
    return "\n".join([*lines, "COMMIT", ""])


def shape_rules(links: Iterable[tuple[str, Link]]) -> list[str]:
    """Return the rules that lose packets of links, or hand them to their queues."""
    rules = []
    for source, link in links:
        who = f"! -i lo -s {source}/32"  # a second copy comes by the loopback
        if loss := link.figures["loss"]:
            rules.append(f"{who} -m statistic --mode random --probability {loss:.9f} -j DROP")
        if link.queued():
            rules.append(f"{who} -j NFQUEUE --queue-num {link.queue} --queue-bypass")
    return rules


def parse_rules(listing: str) -> dict[str, int]:
    """Return {source: packets dropped} from the output of `iptables -v -S CHAIN`."""
    counts = {}
    for words in map(str.split, listing.splitlines()):
        ours = words[:2] == ["-A", CHAIN] and words[-2:] == ["-j", "DROP"] and "statistic" not in words
        if ours and "-s" in words and "-c" in words:
            source = words[words.index("-s") + 1].partition("/")[0]
            counts[source] = int(words[words.index("-c") + 1])
    return counts


def address(text: str) -> str:
    """Return an IPv4 address in its one spelling: what becomes part of a rule is never free text."""
    try:
        return socket.inet_ntop(socket.AF_INET, socket.inet_pton(socket.AF_INET, text))
    except (OSError, TypeError, ValueError):
        raise Refused(f"not an IPv4 address: {text!r}") from None


class Firewall:
    """Our chain on INPUT."""

    hooked = False  # on INPUT
    sources: Sequence[str] = ()
    shaped: Sequence[str] = ()

    def clear_leftovers(self) -> None:
        """Empty the chain where an agent that was killed with -9 left one."""
        rules = tool(["iptables", "-S"]).splitlines()
        self.hooked = f"-A INPUT -j {CHAIN}" in rules
        self.heal()

    def block(self, sources: Sequence[str]) -> None:
        self._restore(sources, self.shaped)

    def shape(self, rules: Sequence[str]) -> None:
        self._restore(self.sources, rules)

    def heal(self) -> None:
        if self.hooked:
            self._restore((), ())

    def counts(self) -> dict[str, int]:
        return parse_rules(tool(["iptables", "-v", "-S", CHAIN])) if self.hooked else {}

    def shaping(self) -> int:
        """Return how many rules there are that lose packets or hand them on, as the kernel lists them."""
        rules = tool(["iptables", "-S", CHAIN]).splitlines() if self.hooked else []
        return sum("statistic" in rule or "NFQUEUE" in rule for rule in rules)

    def _restore(self, sources: Sequence[str], shaped: Sequence[str]) -> None:
        tool(["iptables-restore", "-n"], restore_script(sources, not self.hooked, shaped))
        self.hooked, self.sources, self.shaped = True, sources, shaped
