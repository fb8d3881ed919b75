"""The vDSO of a running process, whose clock functions jump to code of ours that skews what they tell.

Every clock read of a server goes through these few functions, that of static Go binaries and of Java too, so no library
is replaced and the host's clock stays as it is. The original bytes are those of our own vDSO, the same kernel's: a
patch is recognised, renewed and undone by whoever comes later, also after the death of who made it.

Our code (see payload_*.s) lies in the zeros behind the vDSO's image. What it reads there are banks of
figures, of which a count names the one that holds: changing the skew is two writes, without stopping anybody.
"""

from __future__ import annotations

import os
import platform
import struct
import time
from collections.abc import Sequence
from typing import NamedTuple

from clusters.agent.architectures import X86_64, Architecture
from clusters.agent.processes import Refused
from clusters.agent.ptrace import GETPID, Stopped, peek, poke

FAMILIES = {"realtime": time.CLOCK_REALTIME, "monotonic": time.CLOCK_MONOTONIC}
"""The clocks that are skewed together, by the name of the one that is read to tell their skew."""

COUNT_BYTES, BANK_BYTES, BANK_COUNT = 64, 64, 4  # what the code reads, behind it; the count uses 4 bytes
LOAD, DYNAMIC, STRING_TABLE, SYMBOL_TABLE = 1, 2, 5, 6  # ELF's numbers
TRIES, RETRY_S = 40, 0.0005
LOOKS_MAX, SHARP_NS = 5, 400_000  # a reading that was held up is tried again


class Skew(NamedTuple):
    """How far a family of clocks is off: fake = real + offset + (real - anchor) * rate / 2**32, in ns."""

    offset_ns: int = 0
    rate: int = 0
    anchor_ns: int = 0

    def at(self, real_ns: int) -> int:
        """Return the offset at a time."""
        return self.offset_ns + ((real_ns - self.anchor_ns) * self.rate >> 32)


class Image:
    """The vDSO as the kernel made it, and where our patch lies in it.

    Args:
        architecture: whose code it is.
        original: its bytes, the whole mapping.

    Raises:
        Refused: it has no room for our code.
    """

    def __init__(self, architecture: Architecture, original: bytes) -> None:
        self.architecture, self.original = architecture, original
        functions = symbols(original)
        self.entries = {name: functions[architecture.prefix + name] for name in architecture.stubs}
        figures = COUNT_BYTES + BANK_COUNT * BANK_BYTES
        room = len(architecture.code) + figures + len(architecture.probe)
        # In the zeros behind the image, or else in its section headers, which only debuggers read.
        ends = len(original.rstrip(b"\0")), loaded_bytes(original)
        places = [place for place in (end + 63 & ~63 for end in ends) if place + room <= len(original)]
        if not places:
            raise Refused("this kernel's vDSO has no room for the code that skews clocks")
        self.payload = places[0]
        self.count = self.payload + len(architecture.code)
        self.banks = self.count + COUNT_BYTES
        self.probe = self.count + figures

    @classmethod
    def own(cls) -> Image:
        """Return that of this process: the kernel gives all the same.

        Raises:
            Refused: clocks are not skewed on this machine, or see Image.
        """
        if platform.machine() != "x86_64" or struct.calcsize("P") != 8:
            raise Refused(
                "clocks are skewed on x86_64 only (for aarch64 it is written, but has not been tested on such a "
                f"machine), and this node is {platform.machine()}"
            )
        with open("/proc/self/mem", "rb") as memory:
            start, end = mapping("self")
            memory.seek(start)
            return cls(X86_64, memory.read(end - start))

    def skewed(self) -> bytes:
        """Return the image with our patch, all clocks still right."""
        image = bytearray(self.original)
        image[self.payload : self.probe] = self.architecture.code.ljust(self.probe - self.payload, b"\0")
        for name, (first, last) in zip(self.entries, self.jumps(), strict=True):
            image[first:last] = self.architecture.jump(self.payload + self.architecture.stubs[name] - first)
        return bytes(image)

    def jumps(self) -> list[tuple[int, int]]:
        """Return where the jumps to our code are, as (start, end)."""
        return [(entry, entry + self.architecture.jump_bytes) for entry in self.entries.values()]

    def holds_patch(self, image: bytes) -> bool:
        """Say whether our patch is in an image, whole and of this version, whatever the skew."""
        return self.of_code(image) == self.of_code(self.skewed())

    def of_code(self, image: bytes) -> bytes:
        """Return an image without what changes in it: the count and the banks."""
        return image[: self.count] + image[self.probe :]

    def known(self, image: bytes) -> bool:
        """Say whether an image differs from the original only where our patch lies, by whatever version of us."""
        rest, ours = bytearray(image), bytearray(self.original)
        for each in (rest, ours):
            for first, last in self.jumps():
                each[first:last] = bytes(last - first)
            del each[self.payload :]
        return rest == ours


def segments(image: bytes) -> list[tuple[int, ...]]:
    """Return the program headers of an ELF image: type, flags, offset, address, physical address, size."""
    start, size, count = *struct.unpack_from("<Q", image, 32), *struct.unpack_from("<HH", image, 54)
    return [struct.unpack_from("<IIQQQQ", image, start + size * at) for at in range(count)]


def loaded_bytes(image: bytes) -> int:
    """Return where the part of an ELF image ends that programs use."""
    return max(offset + size for kind, _, offset, _, _, size in segments(image) if kind == LOAD)


def symbols(image: bytes) -> dict[str, int]:
    """Return where an ELF image's functions are, by its dynamic symbol table, which its string table follows."""
    headers = segments(image)
    base = next(address for kind, _, _, address, _, _ in headers if kind == LOAD)
    dynamic, length = next((offset, length) for kind, _, offset, _, _, length in headers if kind == DYNAMIC)
    tags = dict(struct.iter_unpack("<qQ", image[dynamic : dynamic + length]))
    table, names = tags[SYMBOL_TABLE] - base, tags[STRING_TABLE] - base
    found = {}
    for at in range(table, names - 23, 24):
        name, _, _, value, _ = struct.unpack_from("<IBxHQQ", image, at)
        start = names + name
        found[image[start : image.index(b"\0", start)].decode()] = value - base
    return found


def mapping(pid: int | str) -> tuple[int, int]:
    """Return start and end of a process's vDSO.

    Raises:
        Refused: it has none.
        OSError: there is no such process.
    """
    with open(f"/proc/{pid}/maps") as file:
        for line in file:
            if line.endswith("[vdso]\n"):
                start, _, end = line.partition(" ")[0].partition("-")
                return int(start, 16), int(end, 16)
    raise ProcessLookupError(3, "it has ended, or has no vDSO")


class Target:
    """One process, whose clocks we skew.

    Args:
        image: the kernel's vDSO.
        pid: of the process.
    """

    def __init__(self, image: Image, pid: int) -> None:
        self.image, self.pid = image, pid
        self.start, end = mapping(pid)
        self.size = end - self.start

    def read(self) -> bytes:
        """Return its vDSO as it is now."""
        memory = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY)
        try:
            return peek(memory, self.size, self.start)
        finally:
            os.close(memory)

    def intact(self) -> bool:
        """Say whether it is as the kernel made it."""
        return self.read() == self.image.original

    def patched(self) -> bool:
        """Say whether our patch is in it, whole and of this version."""
        return self.image.holds_patch(self.read())

    def update(self, realtime: Skew, monotonic: Skew) -> None:
        """Change the skew of a patched process, running or not; nobody is stopped."""
        memory = os.open(f"/proc/{self.pid}/mem", os.O_RDWR)
        try:
            if not self.image.holds_patch(peek(memory, self.size, self.start)):
                raise ProcessLookupError(3, "it runs another program by now")  # whose vDSO is elsewhere
            count = self.start + self.image.count
            (number,) = struct.unpack("<I", peek(memory, 4, count))
            number = number + 1 & 0xFFFFFFFF
            bank = self.start + self.image.banks + number % BANK_COUNT * BANK_BYTES
            poke(memory, struct.pack("<3q8x3q8x", *realtime, *monotonic), bank)
            poke(memory, struct.pack("<I", number), count)
        finally:
            os.close(memory)

    def patch(self) -> None:
        """Put our code in; the clocks stay right. To be called apart: it stops the process.

        Raises:
            Refused: its vDSO is not the kernel's, or it is never out of its clock functions.
        """
        if not self.intact():
            self.restore()
        image = self.image.skewed()
        code, jumps = (self.image.payload, self.image.probe), self.image.jumps()
        self._replace(image, [code, *jumps], jumps)

    def restore(self) -> None:
        """Put the kernel's bytes back, every one. To be called apart: it stops the process.

        The jumps to our code go first: then its last users leave it by themselves.

        Raises:
            Refused: see patch.
        """
        code, jumps = (self.image.payload, self.size), self.image.jumps()
        self._replace(self.image.original, jumps, jumps)
        self._replace(self.image.original, [code], [code])

    def clocks(self) -> dict[str, tuple[int, int, int]]:
        """Return what one of the process's own threads reads of each family, and when it began and ended; in ns.

        To be called apart: it stops the process.
        """
        read = {}
        with Stopped(self.pid, self.image.architecture) as stopped:
            for family, number in FAMILIES.items():
                tries = [self._look(stopped, number)]
                while tries[-1][2] - tries[-1][1] > SHARP_NS and len(tries) < LOOKS_MAX:
                    tries.append(self._look(stopped, number))
                read[family] = min(tries, key=lambda look: look[2] - look[1])
        return read

    def _look(self, stopped: Stopped, number: int) -> tuple[int, int, int]:
        slots = struct.pack("<QQ", number, self.start + self.image.entries["clock_gettime"])
        code = self.image.architecture.probe[: self.image.architecture.which] + slots
        before = time.clock_gettime_ns(number)
        failed, timespec = stopped.visit(code, self.start + self.image.probe, GETPID)
        after = time.clock_gettime_ns(number)
        if failed:
            raise Refused(f"clock_gettime failed in process {self.pid}")
        seconds, rest = struct.unpack("<qq", timespec)
        return seconds * 10**9 + rest, before, after

    def _replace(self, image: bytes, pieces: Sequence[tuple[int, int]], busy: Sequence[tuple[int, int]]) -> None:
        """Copy pieces of an image in, in this order, at a moment when no thread is amid one of those that may be busy.

        At the start of a jump a thread has not begun it yet; in our code it may be anywhere. Waiting for such a moment
        harms nobody whenever we are killed. A thread that was paused in there, or in a signal's handler that returns to
        there, is stepped out in the end.
        """

        jumps = self.image.jumps()

        def amid(place: int) -> bool:
            offset = place - self.start
            return any(first + ((first, last) in jumps) <= offset < last for first, last in busy)

        for left in reversed(range(TRIES)):
            with Stopped(self.pid, self.image.architecture) as stopped:
                if not self.image.known(peek(stopped.memory, self.size, self.start)):
                    raise Refused(
                        f"process {self.pid} does not have this kernel's own 64-bit vDSO: it is a 32-bit program, "
                        "or another tool has patched it"
                    )

                def out(tid: int, stopped: Stopped = stopped) -> bool:
                    return not any(map(amid, stopped.places(tid, self.start, self.start + self.size)))

                if not left:
                    for tid in stopped.tids:
                        stopped.step(tid, out)
                if all(map(out, stopped.tids)):
                    for first, last in pieces:
                        poke(stopped.memory, image[first:last], self.start + first)
                    return
            time.sleep(RETRY_S)
        raise Refused(f"process {self.pid} is never out of its clock functions")
