"""Facet "watch" on ZooKeeper 3.9 and newer: persistent recursive watches, and the ids of transactions as revisions.

What ZooKeeper promises: from the moment at which a watch was set until its connection is lost, every change below its
node is told, once, in the order of the transactions, and each with the id of its own (ZOOKEEPER-4655). It does not
promise more: it keeps no changes, so a watch begins now, a connection that was lost leaves a gap, and nobody can go on
where another one ended; and an event says that a node was set, and not to what. So a watch from a revision is refused,
a change has no value, and a watch ends with its connection.

A key is a node below the nodes of its prefixes, which are divided by slashes. Those are the recipe's own, and no keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from urllib.parse import quote, unquote

from kazoo.protocol.serialization import Create, Create2, Delete, SetData
from kazoo.security import OPEN_ACL_UNSAFE
from msgspec import UNSET

from clusters.zookeeper.connection import Connection, Refused
from clusters.zookeeper.node_client import BARRIER, SESSION_S, OnNode, encode
from clusters.zookeeper.outcomes import NO_NODE, NODE_EXISTS
from clusters.zookeeper.watch_wire import CHANGED, CREATED, DELETED, AddWatch, Event, RemoveWatches
from harness.errors import Definite, OpError
from harness.facets import FROM_NOW, Change

ROOT: Final = "/watched"
WRITE_TRIES_MAX: Final = 4
PING_S: Final = SESSION_S / 3

_KEY: Final = "key-"
_FOLDER: Final = "in-"


class ZooKeeperWatch(OnNode):
    """Puts, deletes, and one watch at a time, which has a connection of its own."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._watching = Connection()
        self._watched = ""

    async def close(self) -> None:
        """Drop both connections."""
        self._watching.abort()
        await super().close()

    async def put(self, key: str, value: Any) -> int:
        """Set the key's node, or create it; at most one of these requests has an effect on it."""
        connection = await self.connected()
        path, data = key_path(key), encode(value)
        for _ in range(WRITE_TRIES_MAX):
            try:
                stat = await connection.call(SetData(path, data, -1))
                return int(stat.mzxid)
            except Refused as refused:
                if refused.code != NO_NODE:
                    raise
            try:
                _, stat = await connection.call(Create2(path, data, OPEN_ACL_UNSAFE, 0))
                return int(stat.czxid)
            except Refused as refused:
                if refused.code == NO_NODE:
                    await _make_folders(connection, path)
                elif refused.code != NODE_EXISTS:
                    raise
        raise Definite("the key's node comes and goes")

    async def delete(self, key: str) -> int | None:
        """Remove the key's node; the reply is stamped with the id of the transaction that did it."""
        connection = await self.connected()
        try:
            _, zxid = await connection.stamped(Delete(key_path(key), -1))
        except Refused as refused:
            if refused.code != NO_NODE:
                raise
            return None
        return zxid

    async def revision(self) -> int:
        """Return the id of a transaction without effect: it is greater than that of every change before it."""
        connection = await self.connected()
        try:
            agreed, zxid = await connection.stamped(BARRIER)
        except OpError as error:
            raise Definite(error.error) from None
        if agreed != [True]:
            raise Definite(f"no majority stands behind it: {agreed}")
        return zxid

    async def compact(self, revision: int) -> None:
        """Refuse: there is nothing to forget."""
        raise Definite("ZooKeeper keeps no changes")

    async def watch(self, prefix: str, start: int | None = None) -> AsyncIterator[Change]:
        """Yield every change from now on, without its value.

        Raises:
            Definite: `start` is not None, the connection was lost, or this ZooKeeper is too old.
        """
        if start is not None:
            raise Definite("ZooKeeper keeps no changes: a watch begins now", observed=FROM_NOW)
        folder = _folder(prefix.rpartition("/")[0].split("/") if "/" in prefix else [])
        connection = await self._begin(folder)
        while True:
            event = await _next(connection)
            if event.kind not in (CREATED, DELETED, CHANGED):
                continue
            if event.zxid <= 0:
                raise Definite("this ZooKeeper does not tell of which transaction an event is: it is older than 3.9")
            key = _key(event.path)
            if key is not None and (key.startswith(prefix) or not event.path.startswith(f"{folder}/")):
                yield Change(key, event.zxid, None if event.kind == DELETED else UNSET)

    async def cancel(self) -> Sequence[Change]:
        """Remove the watch, wait for the server's word, and then for its answer to a ping."""
        connection, folder, self._watched = self._watching, self._watched, ""
        if connection.lost or not folder:
            return []
        late = []
        try:
            _, removed = await connection.stamped(RemoveWatches(folder))
            await connection.ping()
            while not connection.events.empty():
                event = connection.events.get_nowait()
                if event is not None and event.zxid > removed:
                    late.append(Change(_key(event.path) or event.path, event.zxid, UNSET))
        except BaseException:
            connection.abort()
            raise
        return late

    async def _begin(self, folder: str) -> Connection:
        """Watch a folder, on the connection of the last watch where that was cancelled."""
        if self._watching.lost or self._watched:
            self._watching.abort()
            self._watching = Connection()
            try:
                await self._watching.open(self._address, SESSION_S)
            except OSError as error:
                raise Definite(f"no connection: {error}") from None
        self._watched = folder
        try:
            await self._watching.call(AddWatch(folder))
        except OpError as error:
            raise Definite(error.error) from None
        return self._watching


async def _next(connection: Connection) -> Event:
    """Return the next event, and keep the session alive meanwhile.

    Raises:
        Definite: the connection was lost.
    """
    while True:
        try:
            async with asyncio.timeout(PING_S):
                event = await connection.events.get()
        except TimeoutError:
            try:
                await connection.ping()
            except OpError as error:
                raise Definite(f"the watch ended with its connection: {error.error}") from None
            continue
        if event is None:
            raise Definite(f"the watch ended with its connection: {connection.lost}")
        return event


async def _make_folders(connection: Connection, path: str) -> None:
    """Create the folders of a key's node, all at once; no key changes thereby, so no error leaves one in doubt."""
    parts = path.split("/")[1:-1]
    folders = ["/" + "/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    asked = [connection.send(Create(folder, b"", OPEN_ACL_UNSAFE, 0)) for folder in folders]
    for reply in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(reply, BaseException) and getattr(reply, "code", None) != NODE_EXISTS:
            raise Definite(f"its folders: {reply}")


def _folder(names: Sequence[str]) -> str:
    return "/".join([ROOT, *(f"{_FOLDER}{quote(name, safe='')}" for name in names)])


def key_path(key: str) -> str:
    """Return the path of the node that stands for a key."""
    *names, last = key.split("/")
    return f"{_folder(names)}/{_KEY}{quote(last, safe='')}"


def _key(path: str) -> str | None:
    """Return the key of a node; None for a folder, and the path itself for what is no node of ours."""
    if path != ROOT and not path.startswith(f"{ROOT}/"):
        return path
    *folders, last = path.removeprefix(ROOT).split("/")
    if not last.startswith(_KEY):
        return None
    names = [name.removeprefix(_FOLDER) for name in folders[1:]]
    return "/".join(unquote(name) for name in (*names, last.removeprefix(_KEY)))
