"""The agent's own chain of iptables: which sources are dropped on input."""

from __future__ import annotations

import socket

from clusters.agent.processes import Refused, tool

CHAIN = "KINGSLAYER"


def restore_script(sources: list[str], hook: bool) -> str:
    """Return the iptables-restore input that makes these sources, and only these, dropped on input."""
    lines = ["*filter", f":{CHAIN} - [0:0]"]  # with --noflush, naming our chain empties it and no other
    if hook:
        lines.append(f"-I INPUT -j {CHAIN}")
    lines += [f"-A {CHAIN} -s {source}/32 -j DROP" for source in sources]
    return "\n".join([*lines, "COMMIT", ""])


def parse_rules(listing: str) -> dict[str, int]:
    """Return {source: packets dropped} from the output of `iptables -v -S CHAIN`."""
    counts = {}
    for words in map(str.split, listing.splitlines()):
        if words[:2] == ["-A", CHAIN] and words[-2:] == ["-j", "DROP"] and "-s" in words and "-c" in words:
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

    def clear_leftovers(self) -> None:
        """Empty the chain where an agent that was killed with -9 left one."""
        rules = tool(["iptables", "-S"]).splitlines()
        self.hooked = f"-A INPUT -j {CHAIN}" in rules
        self.heal()

    def block(self, sources: list[str]) -> None:
        tool(["iptables-restore", "-n"], restore_script(sources, hook=not self.hooked))
        self.hooked = True

    def heal(self) -> None:
        if self.hooked:
            self.block([])

    def counts(self) -> dict[str, int]:
        return parse_rules(tool(["iptables", "-v", "-S", CHAIN])) if self.hooked else {}
