"""Which subnet a cluster may take: a /24 that this machine does not route anywhere yet."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

HARNESS = 1  # the last number of the harness's own address
FIRST_NODE = 11
NODES_MAX = 200


def pick(taken: Iterable[IPv4Network]) -> IPv4Network:
    """Return a random /24 of 10.128.0.0 to 10.223.255.255 that overlaps none of `taken`."""
    taken = list(taken)
    while True:
        subnet = IPv4Network(f"10.{128 + secrets.randbelow(96)}.{secrets.randbelow(256)}.0/24")
        if not any(subnet.overlaps(other) for other in taken):
            return subnet


def routed() -> list[IPv4Network]:
    """Return what this process's network namespace routes, without the default route."""
    return parse_routes(Path("/proc/self/net/route").read_text())


def parse_routes(table: str) -> list[IPv4Network]:
    """Return the networks of a /proc/net/route table, whose numbers are hexadecimal and little-endian."""
    rows = [line.split() for line in table.splitlines()[1:]]
    pairs = [(_number(row[1]), _number(row[7])) for row in rows]
    return [IPv4Network(f"{IPv4Address(to)}/{IPv4Address(mask)}") for to, mask in pairs if mask]


def _number(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text), "little")
