"""What etcd itself says, by its JSON gateway, for the contract tests of its clients."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.request
from collections.abc import Mapping
from typing import Any

from local_node import LocalNode

from clusters.etcd.facets import CLIENT_PORT


async def ask(node: LocalNode, path: str, body: Mapping[str, Any]) -> Any:
    """Ask etcd by its JSON gateway, which is none of our code."""

    def post() -> Any:
        data = json.dumps(body).encode()
        with urllib.request.urlopen(f"http://{node.ip}:{CLIENT_PORT}{path}", data, timeout=5) as reply:
            return json.load(reply)

    return await asyncio.to_thread(post)


async def version(node: LocalNode, key: bytes) -> int:
    """Return etcd's own count of the writes to a key since it was created."""
    reply = await ask(node, "/v3/kv/range", {"key": base64.b64encode(key).decode()})
    pairs = reply.get("kvs", [])
    return int(pairs[0]["version"]) if pairs else 0
