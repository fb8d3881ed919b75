"""Facet "register" on ZooKeeper: one node of the tree a key, and versions to compare.

A key's node is never removed, once it is there: its version then names one value for ever, which is what makes a
versioned set an honest cas. None is kept as JSON's null, and is what a key without a node reads as.
"""

from __future__ import annotations

from typing import Any, Final

from kazoo.protocol.serialization import CheckVersion, Create, GetData, SetData, Sync, Transaction
from kazoo.security import OPEN_ACL_UNSAFE

from clusters.zookeeper.connection import Refused
from clusters.zookeeper.node_client import BARRIER, OnNode, decode, encode, path_of
from clusters.zookeeper.outcomes import NO_NODE, NODE_EXISTS
from harness.errors import Definite, OpError

WRITE_TRIES_MAX: Final = 3


class ZooKeeperRegister(OnNode):
    """Facet "register" on one ZooKeeper.

    A read is one of three:

    - quorum: a transaction without effect, then the read, on one session. A session sees its own writes, so the read
      sees all that a majority had agreed to when it began: linearizable.
    - sync: ZooKeeper's own sync, then the read. Sync asks the leader and not a majority (ZOOKEEPER-1675), so around a
      change of leader it may be stale.
    - plain: what the node has. Stale, as documented.

    Args:
        address: "ip:port" of the node's client port.
        reads: see above.
    """

    def __init__(self, address: str, *, reads: str = "quorum") -> None:
        super().__init__(address)
        self._reads = reads

    async def read(self, key: Any) -> Any:
        """Return the value; an error is definite, since a read has no effect."""
        path = path_of(key)
        before = {"quorum": [BARRIER], "sync": [Sync(path)], "plain": []}[self._reads]
        found = await self.get(path, *before)
        return None if found is None else decode(found[0])

    async def write(self, key: Any, value: Any) -> None:
        """Set the value: a set of the key's node, or where there is none, its creation.

        A refusal changes nothing, so at most one of these requests has an effect.
        """
        connection = await self.connected()
        path, data = path_of(key), encode(value)
        for _ in range(WRITE_TRIES_MAX):
            try:
                await connection.call(SetData(path, data, -1))
                return
            except Refused as refused:
                if refused.code != NO_NODE:
                    raise
            try:
                await connection.call(Create(path, data, OPEN_ACL_UNSAFE, 0))
                return
            except Refused as refused:
                if refused.code != NODE_EXISTS:
                    raise
        raise Definite("the key's node comes and goes")

    async def cas(self, key: Any, old: Any, new: Any) -> None:
        """Set `new` where the value is `old`, by the version of a read.

        The set succeeds only at the version that was read, whose value is `old`: one step, whatever was read before.
        Where the read gave another value it may have been a stale one. That it was not is confirmed by a transaction
        that checks its version, and only then the value counts as observed.
        """
        connection = await self.connected()
        path, after = path_of(key), encode(new)
        try:
            data, stat = await connection.call(GetData(path, None))
        except Refused as refused:
            if refused.code != NO_NODE or old is not None:
                raise
            await connection.call(Create(path, after, OPEN_ACL_UNSAFE, 0))
            return
        except OpError as error:
            raise Definite(f"only a read was sent: {error.error}") from None
        if data == encode(old):
            await connection.call(SetData(path, after, stat.version))
            return
        try:
            (confirmed,) = await connection.call(Transaction([CheckVersion(path, stat.version)]))
        except (OpError, ValueError):
            confirmed = False
        if confirmed is True:
            raise Definite("the value differs", observed=decode(data))
        raise Definite("the value differs, or did")
