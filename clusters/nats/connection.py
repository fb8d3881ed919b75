"""A connection of nats-py to one server: requests that are sent once, and that end when the connection does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from clusters.nats.outcomes import is_definite
from harness.errors import Definite, Indefinite

OPEN_TIMEOUT_S: Final = 0.5
FOREVER_S: Final = 3600.0
CLOSE_TIMEOUT_S: Final = 0.2


class Refused(Definite):
    """JetStream answered with an error of the table."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{code} {description}")
        self.code = code


class Answered(Indefinite):
    """JetStream answered with another error.

    Attributes:
        code: of the error.
    """

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{code} {description}")
        self.code = code


class NobodyThere(Definite):
    """The server that we are connected to knows of nobody who takes this subject, and handed the request to nobody."""


class Connection:
    """Made anew before a request where it is gone, never in one.

    Args:
        address: "ip:port" of the node's client port.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: Any = None
        self._gone = asyncio.Event()

    async def open(self) -> None:
        """Connect.

        Raises:
            OSError: no connection within OPEN_TIMEOUT_S.
        """
        await self.close()
        gone = self._gone = asyncio.Event()

        async def closed() -> None:
            gone.set()

        async def failed(error: Exception) -> None:
            """Say nothing: a request that it concerns ends by the connection's end."""

        client = Client()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await client.connect(
                    [f"nats://{self._address}"],
                    allow_reconnect=False,
                    max_reconnect_attempts=0,
                    closed_cb=closed,
                    error_cb=failed,
                )
        except (nats.errors.Error, TimeoutError) as error:
            await _shut(client)
            raise ConnectionError(f"{self._address}: no connection: {str(error) or 'not in time'}") from None
        except BaseException:
            await _shut(client)
            raise
        self._client = client

    async def close(self) -> None:
        """Disconnect; what is under way fails."""
        client, self._client = self._client, None
        self._gone.set()
        if client is not None:
            await _shut(client)

    async def request(self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None) -> Msg:
        """Send one request, once, and return the reply.

        Raises:
            Definite: there is no connection, or nobody takes the subject.
            Indefinite: the connection ended before the reply.
        """
        if self._client is None or self._gone.is_set():
            try:
                await self.open()
            except OSError as error:
                raise Definite(str(error)) from None
        client, gone = self._client, self._gone
        asking = asyncio.ensure_future(client.request(subject, payload, FOREVER_S, headers=dict(headers or {})))
        ending = asyncio.ensure_future(gone.wait())
        try:
            await asyncio.wait((asking, ending), return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise Indefinite("the connection ended before the reply")
            reply: Msg = asking.result()
            return reply
        except nats.errors.NoRespondersError:
            raise NobodyThere("nobody takes this subject now") from None
        except nats.errors.Error as error:
            raise Indefinite(str(error)) from None
        finally:
            asking.cancel()
            ending.cancel()

    async def publish(self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None) -> int:
        """Store one message in the stream that takes the subject; return its sequence.

        Raises:
            Refused: it is not stored, and never will be.
            Definite, Indefinite: see `request`.
        """
        answer = decode(await self.request(subject, payload, headers))
        return int(answer["seq"])

    async def call(self, subject: str, question: Any) -> Any:
        """Ask JetStream's API; return the answer.

        Raises:
            Refused, Answered: it answered with an error.
            Definite, Indefinite: see `request`.
        """
        return decode(await self.request(subject, msgspec.json.encode(question)))


def decode(message: Msg) -> Any:
    """Return what JetStream answered; raise its errors."""
    answer = msgspec.json.decode(message.data)
    if "error" in answer:
        code, description = answer["error"].get("err_code", 0), answer["error"].get("description", "")
        raise Refused(code, description) if is_definite(code) else Answered(code, description)
    return answer


async def _shut(client: Any) -> None:
    """Close a client, whatever state it is in."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await client.close()
    except (nats.errors.Error, OSError):
        return
