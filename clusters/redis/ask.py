"""One question to a Redis or a Sentinel, for booting and status: bounded in time, no connection kept, no dependency."""

from __future__ import annotations

import asyncio
from typing import Final

ASK_TIMEOUT_S: Final = 0.4
REPLY_BYTES_MAX: Final = 1 << 16


async def ask(ip: str, port: int, words: str) -> dict[str, str]:
    """Return the fields of an answer that has lines of `name:value`, such as INFO's.

    Raises:
        OSError: no such answer in time.
    """
    async with asyncio.timeout(ASK_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(ip, port)
        try:
            writer.write(f"{words}\r\n".encode())
            head = await reader.readuntil(b"\r\n")
            if not head.startswith(b"$") or not 0 <= (size := int(head[1:])) <= REPLY_BYTES_MAX:
                raise OSError(f"{ip}:{port}: {head.decode(errors='replace').strip()}")
            text = (await reader.readexactly(size)).decode(errors="replace")
        except (EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise OSError(f"{ip}:{port}: not a whole answer: {error}") from error
        finally:
            writer.close()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
