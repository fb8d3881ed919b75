"""What kingslayer must know of our key-value server: how to start it, when it is ready, and how clients use it."""

import asyncio
import json
from pathlib import Path

from kingslayer import ClusterError, Definite, Indefinite

SERVER = Path(__file__).resolve().with_name("kv_server.py")


class Kv:
    """The system: one kv_server.py a node, of which the first is the primary. The option bug=cache turns caches on."""

    name = "kv"
    backends = ("docker", "netns")
    logs = ("server.log",)
    options = {"bug": ("cache",)}

    def __init__(self, version="", options=None):
        self.version = version or "1"
        self.facets = {"register": lambda node, options: KvRegister(node.ip)}
        self._flags = ["--cache"] if (options or {}).get("bug") == "cache" else []

    async def install(self):
        return [SERVER]

    async def boot(self, nodes):
        self._primary = nodes[0].ip
        await asyncio.gather(*map(self.start, nodes))
        for _ in range(200):
            if all([await self.ready(node) for node in nodes]):
                return
            await asyncio.sleep(0.05)
        raise ClusterError("kv: not every node serves", (await nodes[0].read("server.log", tail_bytes=1000)).decode())

    async def start(self, node):
        await node.start(["python3", str(SERVER), node.ip, self._primary, f"{node.folder}/log", *self._flags])

    async def ready(self, node):
        register = KvRegister(node.ip)
        try:
            async with asyncio.timeout(0.5):
                await register.open()
                return await register.read("ready") is None
        except (OSError, EOFError, Indefinite):
            return False
        finally:
            await register.close()


class KvRegister:
    """The facet: each method sends one request, once. Whatever it raises but Definite means "may have happened"."""

    def __init__(self, ip):
        self._ip, self._writer = ip, None

    async def open(self):
        self._reader, self._writer = await asyncio.open_connection(self._ip, 8080)

    async def close(self):
        if self._writer:
            self._writer.close()

    async def read(self, key):
        return (await self._ask("read", key=key))["value"]

    async def write(self, key, value):
        await self._ask("write", key=key, value=value)

    async def cas(self, key, old, new):
        reply = await self._ask("cas", key=key, old=old, new=new)
        if not reply["done"]:
            raise Definite("the value differs", observed=reply["value"])

    async def _ask(self, what, **ask):
        body = json.dumps(ask).encode()
        self._writer.write(f"POST /{what} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        reply = json.loads(await self._reader.readexactly(int(head.split()[-1])))  # the length is the last header
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise Indefinite(reply["error"])
        return reply
