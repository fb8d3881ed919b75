"""One gRPC connection to one node of etcd, which never resends: what its facets share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import grpc.aio

from clusters.etcd.outcomes import is_definite
from harness.errors import Definite, Indefinite, OpError

OPEN_TIMEOUT_S: Final = 0.5

CHANNEL_OPTIONS: Final = (
    # grpc resends calls "transparently" unless told not to; a request that arrives twice falsifies the history.
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    # Channels to one address share a connection by default: one client's trouble must not be another's.
    ("grpc.use_local_subchannel_pool", 1),
    # The default backs off for up to two minutes, in which a healed node would look dead.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Despite its name the time that one attempt to connect gets: enough for a busy node, or one that is resumed.
    ("grpc.min_reconnect_backoff_ms", 1000),
    # http_proxy in the environment is not for nodes.
    ("grpc.enable_http_proxy", 0),
)

Method = Callable[[bytes], Awaitable[bytes]]


class Connection:
    """The base of etcd's facets.

    Args:
        address: "ip:port" of the node's client port.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel: grpc.aio.Channel | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            ConnectionError: no connection within OPEN_TIMEOUT_S.
        """
        channel = self._channel = grpc.aio.insecure_channel(f"ipv4:{self._address}", options=CHANNEL_OPTIONS)
        self._use(channel)
        try:
            await asyncio.wait_for(channel.channel_ready(), OPEN_TIMEOUT_S)
        except TimeoutError:
            raise ConnectionError(f"{self._address}: no connection within {OPEN_TIMEOUT_S:g} s") from None

    def _use(self, channel: grpc.aio.Channel) -> None:
        """Make the methods that the facet calls."""

    async def close(self) -> None:
        """Disconnect; what is under way is cancelled."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


async def effect(method: Method, request: bytes) -> bytes:
    """Send a request that has an effect, once.

    Raises:
        Definite: it certainly had none, and never will.
        Indefinite: any other error.
    """
    try:
        return await method(request)
    except grpc.aio.AioRpcError as error:
        raise outcome(error) from None


async def look(method: Method, request: bytes) -> bytes:
    """Send a request that has no effect.

    Raises:
        Definite: any error.
    """
    try:
        return await method(request)
    except grpc.aio.AioRpcError as error:
        raise Definite(describe(error)) from None


def outcome(error: grpc.aio.AioRpcError) -> OpError:
    """Return what an error of a request that has an effect means."""
    kind = Definite if is_definite(error.code().name, error.details() or "") else Indefinite
    return kind(describe(error))


def describe(error: grpc.aio.AioRpcError) -> str:
    """Return an error in words."""
    return f"{error.code().name}: {error.details()}"
