"""Packets that are held, sent twice, damaged or slowed down on their way in: a queue of the kernel for each link.

The kernel hands every packet of a shaped link to this process (NFQUEUE) and goes on with it when it is told to. So no
module of traffic control is needed, each directed link has its own figures, and what was done to it is counted. Where
this process is gone, packets pass (`--queue-bypass`).
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import random
import select
import socket
import struct
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from clusters.agent.processes import Refused

NETLINK_NETFILTER = 12
PACKET, VERDICT, CONFIG = 0x300, 0x301, 0x302  # messages of the kernel's subsystem "queue"
CFG_CMD, CFG_PARAMS, CFG_MAXLEN, CFG_MASK, CFG_FLAGS = 1, 2, 3, 4, 5
BIND, UNBIND, COPY_PACKET, FAIL_OPEN = 1, 2, 2, 1
PACKET_HEADER, VERDICT_HEADER, PAYLOAD, WHOLE_LENGTH = 1, 2, 10, 13
DROP, ACCEPT = 0, 1
REQUEST, ACKNOWLEDGE, ERROR = 1, 4, 2
SO_MARK = 36
MARK = 0x4B4C  # of what we send again
HELD_MAX = 65_536  # packets of one link
BACKLOG_NS_MAX = 2_000_000_000  # of a rate: what would wait longer is dropped, as a router does
BUFFER_BYTES = 8 << 20
HEADER_BYTES = 64
FIGURES = ("delay_ms", "jitter_ms", "loss", "duplicate", "reorder", "corrupt", "rate_kbit")
ANSWER_TIMEOUT_S = 2.0


class Link:
    """What happens to the packets of one source, or to one target, and what has happened.

    Attributes:
        loses: whether it loses packets itself. On their way in a rule does; a rule that drops them on their way out
            tells the sender's kernel, which no lost packet would.
    """

    def __init__(self, queue: int, figures: Mapping[str, float], *, loses: bool = False) -> None:
        if not set(figures) <= set(FIGURES):
            raise Refused(f"the figures of a link are {', '.join(FIGURES)}")
        self.queue, self.loses = queue, loses
        self.figures = {name: float(figures.get(name, 0)) for name in FIGURES}
        self.delay_ns, self.jitter_ns = (int(self.figures[name] * 1e6) for name in ("delay_ms", "jitter_ms"))
        self.free_ns, self.last_ns = 0, 0  # when the line is free again, and when the last packet leaves
        self.counts = dict.fromkeys(("seen", "held", "duplicated", "reordered", "corrupted", "overflowed", "lost"), 0)

    def queued(self) -> bool:
        """Say whether its packets have to pass through this process."""
        if self.figures["loss"] >= 1:  # cut by a rule
            return False
        return any(value for name, value in self.figures.items() if self.loses or name != "loss")

    def whole(self) -> bool:
        """Say whether the packets themselves are needed, and not only their sizes."""
        return bool(self.figures["duplicate"] or self.figures["corrupt"])

    def due(self, now_ns: int, size: int) -> int | None:
        """Return when a packet of so many bytes goes on; None where it is dropped, as the line is full."""
        when = now_ns
        if rate := self.figures["rate_kbit"]:
            self.free_ns = max(self.free_ns, now_ns)
            if self.free_ns - now_ns > BACKLOG_NS_MAX:
                return None
            self.free_ns += int(size * 8e6 / rate)
            when = self.free_ns
        if self.happens("reorder"):
            self.counts["reordered"] += 1
            return when
        when += self.delay_ns + int(random.uniform(-self.jitter_ns, self.jitter_ns))  # noqa: S311
        self.last_ns = max(when, self.last_ns)  # a jitter alone does not reorder
        return self.last_ns

    def happens(self, figure: str) -> bool:
        """Throw the dice for one packet."""
        probability = self.figures[figure]
        return bool(probability) and random.random() < probability  # noqa: S311


class Packets:
    """Holds the packets of links until their time; one at a time of everything, driven by the agent's loop.

    Args:
        first: the number of its first queue; two of these must not meet.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self.links: dict[str, Link] = {}  # by source, or by whatever name whoever shapes them gives them
        self.socket: socket.socket | None = None
        self.sender: socket.socket | None = None
        self.by_queue: dict[int, Link] = {}
        self.heap: list[tuple[int, int, int, int, bytes, bool]] = []
        self.number = 0

    def shape(self, links: Mapping[str, Mapping[str, float]], *, outgoing: Collection[str] = ()) -> None:
        """Take the figures of every link, in place of any others; held packets go on at once.

        Args:
            links: by name, or source.
            outgoing: names of those that lead away from this node.
        """
        fresh = {
            name: Link(self.first + at, links[name], loses=name in outgoing) for at, name in enumerate(sorted(links))
        }
        self.close()
        self.links = fresh
        self.by_queue = {link.queue: link for link in fresh.values() if link.queued()}
        if self.by_queue:
            self._open()

    def close(self) -> None:
        """Let go of every packet and queue."""
        if self.socket is not None:
            with contextlib.suppress(OSError, Refused):
                self.take()
            while self.heap:
                self._release(heapq.heappop(self.heap))
            self.socket.close()  # the kernel drops what had arrived since
        if self.sender is not None:
            self.sender.close()
        self.socket = self.sender = None
        self.links, self.by_queue = {}, {}

    def report(self) -> dict[str, dict[str, int]]:
        """Return by source what was done so far."""
        return {source: dict(link.counts) for source, link in self.links.items()}

    def take(self) -> None:
        """Take the packets that wait in the queues, and let those go on whose time has come."""
        if self.socket is None:  # a heal came in the same round of the agent's loop
            return
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    data = self.socket.recv(1 << 17)
                except OSError as error:
                    if error.errno != errno.ENOBUFS:  # it only says that some were lost
                        raise
                    continue
                self._messages(data)
        self.tick()

    def tick(self) -> float | None:
        """Let packets go on whose time has come; return the seconds until the next time, None for never."""
        while self.heap:
            wait_ns = self.heap[0][0] - time.monotonic_ns()
            if wait_ns > 0:
                return wait_ns / 1e9
            self._release(heapq.heappop(self.heap))
        return None

    def _open(self) -> None:
        try:
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
            self.socket.bind((0, 0))
            self.socket.setblocking(False)
            for option in (socket.SO_RCVBUF, 33):  # 33: SO_RCVBUFFORCE, which only real root may
                with contextlib.suppress(OSError):
                    self.socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
            if any(link.figures["duplicate"] for link in self.by_queue.values()):
                self.sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
                self.sender.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
            for queue, link in self.by_queue.items():
                self._ask(queue, attribute(CFG_CMD, struct.pack(">BxH", BIND, socket.AF_INET)))
                size = 0xFFFF if link.whole() else HEADER_BYTES
                self._ask(
                    queue,
                    attribute(CFG_PARAMS, struct.pack(">IB", size, COPY_PACKET))
                    + attribute(CFG_MAXLEN, struct.pack(">I", HELD_MAX))
                    + attribute(CFG_FLAGS, struct.pack(">I", FAIL_OPEN))
                    + attribute(CFG_MASK, struct.pack(">I", FAIL_OPEN)),
                )
        except OSError as error:
            self.close()
            reason = os.strerror(error.errno or 0)
            raise Refused(f"this kernel hands out no packets (NFQUEUE, raw sockets): {reason}") from None

    def _ask(self, queue: int, attributes: bytes) -> None:
        """Configure a queue and wait for the kernel's answer."""
        assert self.socket is not None
        self.socket.send(message(CONFIG, REQUEST | ACKNOWLEDGE, queue, attributes))
        while select.select([self.socket], [], [], ANSWER_TIMEOUT_S)[0]:
            for code in self._messages(self.socket.recv(1 << 17)):
                if code:
                    raise OSError(code, os.strerror(code))
                return
        raise Refused("the kernel does not answer about its packet queues")

    def _messages(self, data: bytes) -> list[int]:
        """Take every packet of a reading; return the error codes of answers in it."""
        answers, at = [], 0
        while at + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            if kind == ERROR:
                answers.append(-struct.unpack_from("=i", data, at + 16)[0])
            elif kind == PACKET:
                (queue,) = struct.unpack_from(">H", data, at + 18)
                self._packet(queue, dict(attributes(data[at + 20 : at + length])))
            at += length + 3 & ~3
        return answers

    def _packet(self, queue: int, fields: dict[int, bytes]) -> None:
        """Decide about one packet."""
        link = self.by_queue.get(queue)
        (identity,) = struct.unpack_from(">I", fields[PACKET_HEADER])
        if link is None:
            self._verdict(queue, identity, ACCEPT, b"")
            return
        payload = fields.get(PAYLOAD, b"")
        size = struct.unpack(">I", fields[WHOLE_LENGTH])[0] if WHOLE_LENGTH in fields else len(payload)
        link.counts["seen"] += 1
        if link.loses and link.happens("loss"):
            link.counts["lost"] += 1
            self._verdict(queue, identity, DROP, b"")
            return
        due = link.due(time.monotonic_ns(), size)
        if due is None:
            link.counts["overflowed"] += 1
            self._verdict(queue, identity, DROP, b"")
            return
        damaged = b""
        if link.happens("corrupt") and (damaged := flipped(payload)):
            link.counts["corrupted"] += 1
        twice = link.happens("duplicate")
        link.counts["duplicated"] += twice
        link.counts["held"] += 1
        self.number += 1
        heapq.heappush(self.heap, (due, self.number, queue, identity, damaged or (payload if twice else b""), twice))

    def _release(self, item: tuple[int, int, int, int, bytes, bool]) -> None:
        _, _, queue, identity, payload, twice = item
        self._verdict(queue, identity, ACCEPT, payload)
        if twice and self.sender is not None:
            with contextlib.suppress(OSError):  # a full buffer: then it stays single
                # It comes in by the loopback or goes out with our mark: the rules leave both alone.
                self.sender.sendto(payload, (socket.inet_ntoa(payload[16:20]), 0))

    def _verdict(self, queue: int, identity: int, verdict: int, payload: bytes) -> None:
        assert self.socket is not None
        fields = attribute(VERDICT_HEADER, struct.pack(">II", verdict, identity))
        if payload:
            fields += attribute(PAYLOAD, payload)
        with contextlib.suppress(FileNotFoundError):  # the kernel has dropped it meanwhile
            self.socket.send(message(VERDICT, REQUEST, queue, fields))


def flipped(packet: bytes) -> bytes:
    """Return an IPv4 packet with one bit of its content flipped; empty where it has none.

    Its checksum, TCP's or UDP's, tells: the receiver's kernel throws it away, as it does with what a cable damages.
    """
    start = (packet[0] & 15) * 4
    content = start + ((packet[start + 12] >> 4) * 4 if packet[9] == socket.IPPROTO_TCP else 8)
    if content >= len(packet):
        return b""
    damaged = bytearray(packet)
    damaged[random.randrange(content, len(packet))] ^= 1 << random.randrange(8)  # noqa: S311
    return bytes(damaged)


def message(kind: int, flags: int, queue: int, attributes: bytes) -> bytes:
    """Return a netlink message about a queue."""
    head = struct.pack("=IHHII", 20 + len(attributes), kind, flags, 0, 0)
    return head + struct.pack(">BBH", 0, 0, queue) + attributes


def attribute(kind: int, data: bytes) -> bytes:
    """Return one netlink attribute, padded."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) & 3)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and content of each netlink attribute."""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += length + 3 & ~3


class Trials:
    """Numbered test packets: how those of each source fared since the last look.

    A packet tells when it was sent, by a clock that all nodes of one machine share.
    """

    MARK = b"kingslayer trial"
    SHAPE = struct.Struct(">IQ")

    def __init__(self) -> None:
        self.number = 0  # no two of our packets have the same
        self.seen: dict[str, list[tuple[int, float]]] = {}

    def packet(self, size: int) -> bytes:
        """Return a packet that is to be sent at once."""
        self.number += 1
        return (self.MARK + self.SHAPE.pack(self.number, time.monotonic_ns())).ljust(size, b".")

    def take(self, packet: bytes, source: str, arrived_ns: int) -> None:
        """Note a packet that has arrived then."""
        number, sent_ns = self.SHAPE.unpack_from(packet, len(self.MARK))
        self.seen.setdefault(source, []).append((number, (arrived_ns - sent_ns) / 1e6))

    def report(self) -> dict[str, Any]:
        """Return by source: how many arrived, twice, after a later one; the delays and the burst's length, in ms."""
        found = {}
        for source, seen in self.seen.items():
            numbers = [number for number, _ in seen]
            distinct = set(numbers)
            delays = sorted(delay for _, delay in seen)
            found[source] = {
                "arrived": len(distinct),
                "duplicates": len(numbers) - len(distinct),
                "reordered": sum(number < numbers[at] for at, number in enumerate(numbers[1:])),
                "delay_ms_min": delays[0],
                "delay_ms_median": delays[len(delays) // 2],
                "delay_ms_max": delays[-1],
            }
        self.seen.clear()
        return found
