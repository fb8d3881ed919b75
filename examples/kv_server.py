"""A small key-value server, the system under test: one node is the primary, the others pass requests on to it.

    python3 kv_server.py OWN_IP PRIMARY_IP LOG_FILE [--cache]

POST /read {"key"}, /write {"key", "value"}, /cas {"key", "old", "new"}. The primary appends each change to its log
before it answers, and reads the log when it starts. With --cache the other nodes answer reads from what they saw last:
a bug.
"""

from __future__ import annotations

import json
import os
import sys
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

PORT = 8080


class Primary:
    """Holds the data: one change at a time, each in the log before it counts."""

    def __init__(self, log: Path) -> None:
        self._lock = Lock()
        self._values: dict[str, object] = {}
        if log.exists():
            for line in log.read_text().splitlines():
                self._values.update(json.loads(line))
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def handle(self, what: str, ask: dict) -> dict:
        """Do one request."""
        with self._lock:
            key, value = ask["key"], self._values.get(ask["key"])
            if what == "write" or (what == "cas" and value == ask["old"]):
                new = ask["new" if what == "cas" else "value"]
                os.write(self._log, json.dumps({key: new}).encode() + b"\n")
                os.fsync(self._log)
                self._values[key] = new
                return {"done": True, "value": new}
            return {"done": what == "read", "value": value}


class Proxy:
    """Passes each request on to the primary, once."""

    def __init__(self, primary: str, cache: bool) -> None:
        self._primary = primary
        self._cache: dict[str, object] | None = {} if cache else None

    def handle(self, what: str, ask: dict) -> dict:
        """Do one request."""
        if self._cache is not None and what == "read" and ask["key"] in self._cache:
            return {"done": True, "value": self._cache[ask["key"]]}
        connection = HTTPConnection(self._primary, PORT, timeout=1)
        try:
            connection.request("POST", f"/{what}", json.dumps(ask))
            reply = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if self._cache is not None:
            self._cache[ask["key"]] = reply["value"]
        return reply


class Handler(BaseHTTPRequestHandler):
    """HTTP in front of a Primary or a Proxy."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    server: Server

    def do_POST(self) -> None:
        """Answer 200 with the reply, or 503 where the primary does not answer: the request may have been done."""
        ask = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            status, reply = 200, self.server.store.handle(self.path[1:], ask)
        except (OSError, HTTPException) as error:
            status, reply = 503, {"error": f"the primary does not answer: {error}"}
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_: object) -> None:
        """Log nothing of requests that went well."""


class Server(ThreadingHTTPServer):
    """Listens, a thread a connection."""

    request_queue_size = 128

    def __init__(self, ip: str, store: Primary | Proxy) -> None:
        self.store = store
        super().__init__((ip, PORT), Handler)


def main(ip: str, primary: str, log: str, *flags: str) -> None:
    """Serve until killed."""
    store = Primary(Path(log)) if ip == primary else Proxy(primary, "--cache" in flags)
    print(f"serving on {ip}, the primary is {primary}", flush=True)
    Server(ip, store).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
