"""A connection of redis-py to one server: each command is sent once, and one cut off takes the connection with it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from redis.asyncio.connection import Connection as RedisConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from harness.errors import Definite, Indefinite

OPEN_TIMEOUT_S: Final = 0.5

_REFUSALS: Final = (BusyLoadingError, MasterDownError, OutOfMemoryError, ReadOnlyError)
_REFUSED: Final = ("NOREPLICAS", "MISCONF")
"""What Redis raises before it runs a command, or at the one write of our scripts: nothing has changed, or ever will."""


class Connection:
    """Made anew before a command where it is gone, never in one.

    Args:
        host, port: of the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._where = (host, port)
        self._connection: RedisConnection | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            OSError: no connection within OPEN_TIMEOUT_S.
        """
        await self.close()
        host, port = self._where
        connection = RedisConnection(
            host=host,
            port=port,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=OPEN_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
        )
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await connection.connect()  # type: ignore[no-untyped-call]
        except (RedisError, TimeoutError) as error:
            await connection.disconnect(nowait=True)
            raise ConnectionError(f"{host}:{port}: no connection: {str(error) or 'not in time'}") from None
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._connection = connection

    async def close(self) -> None:
        """Disconnect; what is under way fails."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def command(self, *words: str | bytes | int) -> Any:
        """Send one command, once, and return the reply.

        Raises:
            Definite: there is no connection, or Redis refused to run it.
            Indefinite: the connection ended before the reply, or Redis answered with another error.
        """
        if self._connection is None:
            try:
                await self.open()
            except OSError as error:
                raise Definite(str(error)) from None
        connection = self._connection
        assert connection is not None
        answered = False
        try:
            await connection.send_command(*words, check_health=False)
            reply = await connection.read_response()
            answered = True
        except (*_REFUSALS, ResponseError) as error:
            answered = True
            refused = isinstance(error, _REFUSALS) or str(error).startswith(_REFUSED)
            raise (Definite if refused else Indefinite)(f"{type(error).__name__}: {error}") from None
        except (RedisError, OSError) as error:
            raise Indefinite(f"the connection ended: {error}") from None
        finally:
            if not answered:
                await self.close()
        return reply
