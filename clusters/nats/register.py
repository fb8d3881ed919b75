"""Facet "register" on a key-value bucket of JetStream: one subject a key, and its last revision to compare.

A bucket is a stream whose subjects keep their last message; a message's sequence in the stream is its revision. A key
is never removed, so a revision names one value for ever. None is kept as JSON's null, and is what a key without a
message reads as.
"""

from __future__ import annotations

import base64
from typing import Any, Final

import msgspec

from clusters.nats.bucket import STREAM, encode, subject_of
from clusters.nats.connection import Answered, Connection
from clusters.nats.outcomes import NOT_FOUND
from harness.errors import Definite, OpError

EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"


class NatsRegister:
    """Facet "register" on one NATS server.

    Args:
        address: "ip:port" of the node's client port.
        reads: "leader" asks the stream's leader, who answers without asking others: stale, where another one has been
            elected meanwhile. "direct" asks whichever replica takes the question.
    """

    def __init__(self, address: str, *, reads: str = "leader") -> None:
        self._connection = Connection(address)
        self._reads = reads

    async def open(self) -> None:
        """Connect.

        Raises:
            OSError: no connection in time.
        """
        await self._connection.open()

    async def close(self) -> None:
        """Disconnect; what is under way is cut off."""
        await self._connection.close()

    async def read(self, key: Any) -> Any:
        """Return the value; an error is definite, since a read has no effect."""
        try:
            return (await self._read(subject_of("register", key)))[0]
        except OpError as error:
            raise Definite(error.error) from None

    async def write(self, key: Any, value: Any) -> None:
        """Set the value."""
        await self._connection.publish(subject_of("register", key), encode(value))

    async def cas(self, key: Any, old: Any, new: Any) -> None:
        """Set `new` where the value is `old`, by the revision of a read.

        JetStream stores it only after the revision that was read, whose value is `old`: one step. No read of JetStream
        is linearizable by promise, so a read that gave another value observed nothing.
        """
        subject = subject_of("register", key)
        try:
            value, revision = await self._read(subject)
        except OpError as error:
            raise Definite(f"only a read was sent: {error.error}") from None
        if encode(value) != encode(old):
            raise Definite("the value differs, or did")
        await self._connection.publish(subject, encode(new), {EXPECTED: str(revision)})

    async def _read(self, subject: str) -> tuple[Any, int]:
        """Return a key's value and revision."""
        if self._reads == "direct":
            message = await self._connection.request(f"$JS.API.DIRECT.GET.{STREAM}.{subject}", b"")
            headers = message.headers or {}
            if headers.get("Status") == "404":
                return None, 0
            if "Nats-Sequence" not in headers:
                raise Definite(f"no value: {headers.get('Status')} {headers.get('Description')}")
            return msgspec.json.decode(message.data), int(headers["Nats-Sequence"])
        data, revision = await last_message(self._connection, subject)
        return None if data is None else msgspec.json.decode(data), revision


async def last_message(connection: Connection, subject: str) -> tuple[bytes | None, int]:
    """Ask the stream's leader for the last message of a subject; return its data and revision, or None and 0."""
    try:
        answer = await connection.call(f"$JS.API.STREAM.MSG.GET.{STREAM}", {"last_by_subj": subject})
    except Answered as error:
        if error.code != NOT_FOUND:
            raise
        return None, 0
    found = answer["message"]
    return base64.b64decode(found.get("data", "")), int(found["seq"])
