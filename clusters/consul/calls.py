"""Consul's HTTP API, as far as we use it: what a reply means, and what an error says of the request's effect.

An error is definite only where Consul's HTTP endpoint raises it before it hands the request on: a request that it
cannot read (400), and a value that is too large (413). Everything else may have happened: a 500 may tell of a
leadership that was lost while the write was on its way, and even "No cluster leader" may come from the node that it
was forwarded to.
"""

from __future__ import annotations

import base64
from typing import Any, Final
from urllib.parse import quote

import msgspec

from clusters.http import HttpConnection, Reply
from harness.errors import Definite, Indefinite

DEFINITE_STATUS: Final = frozenset((400, 413))

encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Entry(msgspec.Struct):
    """A key with its value (the fields that we use).

    Attributes:
        modify_index: of the last change: names one value of the key for ever.
        lock_index: how often the key was locked.
        session: that holds it; "" where none does.
    """

    modify_index: int = msgspec.field(name="ModifyIndex")
    lock_index: int = msgspec.field(name="LockIndex")
    value_base64: str | None = msgspec.field(name="Value", default=None)
    session: str = msgspec.field(name="Session", default="")

    @property
    def value(self) -> Any:
        return msgspec.json.decode(base64.b64decode(self.value_base64 or ""))


class TransactionResult(msgspec.Struct):
    """One operation's result in a transaction."""

    entry: Entry = msgspec.field(name="KV")


class TransactionReply(msgspec.Struct):
    """What a transaction that was done returns."""

    results: list[TransactionResult] = msgspec.field(name="Results")


def name_of(space: str, key: Any) -> str:
    """Return the name of a key's entry; `space` keeps facets apart. Consul would fold a key's own "/../"."""
    return f"{space}/{quote(encode(key), safe='')}"


def path_of(space: str, key: Any) -> str:
    """Return the path of a key's entry in the API."""
    return f"/v1/kv/{quote(name_of(space, key), safe='')}"


async def get_entry(connection: HttpConnection, path: str, mode: str) -> Entry | None:
    """Read an entry; None where there is none.

    Args:
        mode: of consistency: "consistent", "stale", or "default", which is the leader's word without asking others.

    Raises:
        Definite: always, where it does not succeed: a read has no effect.
    """
    try:
        reply = await connection.request("GET", path if mode == "default" else f"{path}?{mode}")
    except Indefinite as error:
        raise Definite(error.error) from None
    if reply.status == 404:
        return None
    if reply.status != 200:
        raise Definite(describe(reply))
    return msgspec.json.decode(reply.body, type=list[Entry])[0]


async def effect(connection: HttpConnection, path: str, body: bytes = b"", *, also: tuple[int, ...] = ()) -> Reply:
    """Send a PUT, once, and return its reply, whose status is 200 or one of `also`."""
    reply = await connection.request("PUT", path, body)
    if reply.status == 200 or reply.status in also:
        return reply
    kind = Definite if reply.status in DEFINITE_STATUS else Indefinite
    raise kind(describe(reply))


def describe(reply: Reply) -> str:
    """Return a reply that is an error, for people."""
    return f"{reply.status} {reply.reason}: {reply.body[:200].decode(errors='replace').strip()}"
