"""What differs between processors: the code that skews clocks, how a vDSO jumps to it, and what ptrace shows."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Architecture(NamedTuple):
    """One kind of processor."""

    prefix: str
    """What the names of its vDSO's functions begin with."""
    stubs: Mapping[str, int]
    """The functions that are replaced, and where in `code` their replacements begin."""
    code: bytes
    """payload_*.s, assembled, up to `count`."""
    probe: bytes
    """The same, from `probe` on: written only while a thread reads a clock for us. Empty where there is none."""
    which: int
    """Where in `probe` the clock is named, and then the function's address."""
    jump: Callable[[int], bytes]
    """Returns the instructions that jump so many bytes on from where they begin."""
    registers: int
    """How many the kernel's NT_PRSTATUS has; `pc` and `sp` are those that say where a thread is, and its stack."""
    pc: int
    sp: int
    tgkill: int
    """The number of that system call."""

    @property
    def jump_bytes(self) -> int:
        """How much of a function a jump takes."""
        return len(self.jump(0))


def _jump_x86_64(distance: int) -> bytes:
    return b"\xe9" + struct.pack("<i", distance - 5)


def _jump_aarch64(distance: int) -> bytes:
    return struct.pack("<II", 0xD503245F, 0x14000000 | distance - 4 >> 2 & 0x3FFFFFF)  # bti c; b


X86_64 = Architecture(
    prefix="__vdso_",
    stubs={"clock_gettime": 0x000, "gettimeofday": 0x0A0, "time": 0x140},
    code=bytes.fromhex(
        "b8e40000000f0585c00f858d00000083ff0b0f87840000004531c9b9210900000fa3f97210b9d20200000fa3f9736d41b920"
        "00000048690600ca9a3b48034608448b1d790100004489da83e203c1e2064c8d05a90100004901d04d01c8498b084d8b5008"
        "4d8b4010443b1d5101000075cf4989c14c29c049f7ea480facd0204c01c84801c8790231c031d2b900ca9a3b48f7f1488906"
        "4889560831c0c30f1f00b8600000000f0585c00f85810000004885ff747c4531c948690700ca9a3b48695708e80300004801"
        "d0448b1df00000004489da83e203c1e2064c8d05200100004901d04d01c8498b084d8b50084d8b4010443b1dc800000075cf"
        "4989c14c29c049f7ea480facd0204c01c84801c8790231c031d2b900ca9a3b48f7f148890789d031d2b9e8030000f7f14889"
        "470831c0c366662e0f1f8400000000000f1f40004989f931ff488d7424f0b8e40000000f054c89cf4531c948690600ca9a3b"
        "48034608448b1d570000004489da83e203c1e2064c8d05870000004901d04d01c8498b084d8b50084d8b4010443b1d2f0000"
        "0075cf4989c14c29c049f7ea480facd0204c01c84801c8790231c031d2b900ca9a3b48f7f14885ff7403488907c36690"
    ),
    probe=bytes.fromhex(
        "9c50515256574150415141524153554889e54883e4f04883ec104889e68b3d2d000000ff152f00000089c74889e6b8270000"
        "000f054889ec5d415b415a415941585f5e5a59589dc28000660f1f44000000000000000000000000000000000000"
    ),
    which=0x50,
    jump=_jump_x86_64,
    registers=27,
    pc=16,
    sp=19,
    tgkill=234,
)
AARCH64 = Architecture(
    prefix="__kernel_",
    stubs={"clock_gettime": 0x000, "gettimeofday": 0x0C0},
    code=bytes.fromhex(
        "ee03002aef0301aa280e80d2010000d400050035df2d0071c8040054495a80522925ce1a29017bd3890000b52a2481524a25"
        "ce1aea030036e00540a90b4099524b73a7722c008052217c0c9b00040b9b820900102901019143fcdf88640400122519048b"
        "a500028ba61c40a9aa0840f9bf3903d5440040b97f00046be1feff540a000acb447d079b457d479ba480c4930000048b0000"
        "06ab00509f9ae10300aa0008cb9a01840b9be00500a900008052c0035fd61f2003d51f2003d51f2003d5ef0300aa281580d2"
        "010000d4400400352f0400b4090080d2e00540a90b4099524b73a7720c7d8052217c0c9b00040b9b820400102901019143fc"
        "df88640400122519048ba500028ba61c40a9aa0840f9bf3903d5440040b97f00046be1feff540a000acb447d079b457d479b"
        "a480c4930000048b000006ab00509f9ae10300aa0008cb9a01840b9b2108cc9ae00500a900008052c0035fd61f2003d51f20"
        "03d51f2003d51f2003d51f2003d51f2003d51f2003d51f2003d51f2003d51f2003d5"
    ),
    probe=b"",
    which=0,
    jump=_jump_aarch64,
    registers=34,
    pc=32,
    sp=31,
    tgkill=131,
)
"""Not used yet: no such machine has tried it, and a thread that reads a clock for us is not written for it."""
