# What C has and Python's language has not; plain_bits.py is the same for kernels that run uncompiled.
cdef extern from *:
    int ctz "__builtin_ctzll"(unsigned long long bits) nogil
    int popcount "__builtin_popcountll"(unsigned long long bits) nogil
