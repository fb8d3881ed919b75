"""The loops that decide: integer columns in, codes out. Compiled by Cython where there is a C compiler.

Each kernel is a `.py` file in Cython's pure-Python mode, so that it runs uncompiled too, some 45 times slower, and
gives the same answers (tests/kernel_forms.py gives the tests both forms). The rules of the house:

- One call for all keys. The operations of a key are adjacent and sorted by invocation: `kind` int8, value ids int32,
  `invoke` and `ret` int64 rows of events (a sentinel above every row: unknown outcome), `offsets` int64[keys + 1].
- Read-only arrays: `cython.const[cython.int][::1]`. Memoryviews only; numpy is no part of the build.
- An error is never a verdict: codes start at 1; functions declare `exceptval(-1, check=True)` or let exceptions pass.
- Directives stand in setup.py and not in headers, so that a checked build (KINGSLAYER_CHECKED_KERNELS=1) checks all.
- Uncompiled, numpy scalars overflow and are slow: begin with `.tolist()` there (`if not cython.compiled`).
- Bits: see plain_bits.py. Literals of 2**31 and more go into typed locals first.
"""
