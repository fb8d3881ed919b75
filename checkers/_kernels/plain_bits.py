"""Bit operations for kernels that run uncompiled; bits.pxd has them for compiled ones.

if cython.compiled:
    from cython.cimports.checkers._kernels.bits import ctz, popcount
else:
    from checkers._kernels.plain_bits import ctz, popcount
"""

from __future__ import annotations


def ctz(bits: int) -> int:
    """Return the number of the lowest bit that is set; `bits` is not 0."""
    return (bits & -bits).bit_length() - 1


def popcount(bits: int) -> int:
    """Return how many bits are set."""
    return bits.bit_count()
