"""Linearizability of registers where every value is written once: zones and chains, linear in the operations.

Source: Gibbons and Korach, "Testing Shared Memories", SIAM J. Comput. 26(4), 1997 (reads and writes: clusters and
zones), here with cas and unknown outcomes added. Times are rows of events; an operation that returned before another
was invoked comes first. The initial value counts as written by a write before all else.

Why each step is sound and complete:

1. *Blocks.* A value is put there once, so what sees it forms one block right after its writer: the operations of a
   value are adjacent in any order that explains the history, writer first, and only cas may join one block to the next.
2. *Needed values.* The initial value; those that certainly were written, were read, or were the `old` of a cas whose
   own value is needed. Their writers took effect, those of unknown outcome too. The writer of any other value can be
   left out: in an explanation that has it, nothing sees its value, so what follows is a write that does not care.
   A needed value that nobody writes: not linearizable. Two needed cas from one value: neither, since a cas ends the
   block that it joins, and there is just one.
3. *Chains.* Each block whose writer is a cas follows its `old`'s block directly. So blocks form chains that begin with
   a write or the initial value, and a chain is contiguous. Along it the order is forced up to the order of reads in one
   block, which is free: possible if and only if no operation returned before one that is forced before it, or its own
   writer, was invoked. A needed value on no chain lies on a cycle of cas: not linearizable.
4. *Zones.* With f the first return and s the last invocation in a chain, chain A must precede B if and only if
   f_A < s_B. An order of chains exists if and only if that relation has no cycle. On a cycle take X with the greatest
   s, and Y, which X must precede: f_X < s_Y, and f_Y < s_Z <= s_X for Y's successor Z: X and Y alone are a cycle. Hence
   forward zones (f < s) must be disjoint, and no other zone (s <= f) may lie, as [s, f], inside a forward one; two that
   are not forward never conflict. Going through the chains by s, all that a forward zone can conflict with is the
   forward zone before it and those that are not forward and wait since its f. The order in which zones leave is one
   that explains the history: forward zones by time, any other one before the forward zones that begin after its s.
5. *A failed cas that told what it saw is a read* (register_columns). *One that saw nothing*, NOT(x), saw that x was
   not there. Certain operations on x before its invocation and after its return: x's block covers it, not linearizable.
   Otherwise take the order of 4, each operation as early as it can be. A NOT(x) fits unless it lies within x's block
   there. If it was invoked before any operation on x returned, x's writer may be delayed until then: that narrows an
   operation, which never makes a history easier, so if that is linearizable, the history is. What then still does not
   fit is left to the general engine. Writers that 2 leaves out may help a NOT, but are not needed for "valid"; and
   "invalid" never depends on a NOT but by its own block.

A value that is written twice, or the initial one that is written again, is not for this kernel: INELIGIBLE.

An invalid key is proved by at most four events: operations with one of them are an anomaly by themselves, all others
taken as of unknown outcome.
The brute-force oracle holds all of this, in tests/unit/checkers.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cython
import numpy as np

VALID = 1
INVALID = 2
INELIGIBLE = 3

_VALID = cython.declare(cython.int, VALID)
_INVALID = cython.declare(cython.int, INVALID)
_INELIGIBLE = cython.declare(cython.int, INELIGIBLE)
_NULL = cython.declare(cython.int, 0)  # the id of the initial value
_READ = cython.declare(cython.int, 0)  # register_columns says what the kinds are
_WRITE = cython.declare(cython.int, 1)
_NOT = cython.declare(cython.int, 3)
_REFUTED = cython.declare(cython.int, 4)
_NEVER = cython.declare(cython.int, 2**31 - 1)
_MAX_DELAYS = cython.declare(cython.int, 8)  # rounds of delaying writers for the sake of failed cas

# What is known of a value: WIDTH integers each.
_WIDTH = cython.declare(cython.Py_ssize_t, 8)
_INVOKE = cython.declare(cython.Py_ssize_t, 0)  # of its writer; -2: nobody writes it
_RETURN = cython.declare(cython.Py_ssize_t, 1)
_SEEN = cython.declare(cython.Py_ssize_t, 2)  # first return of its reads
_SOUGHT = cython.declare(cython.Py_ssize_t, 3)  # last invocation of its reads
_OLD = cython.declare(cython.Py_ssize_t, 4)  # what its cas replaced; -1: a write
_NEXT = cython.declare(cython.Py_ssize_t, 5)  # the value that a cas put in its place
_WHY = cython.declare(cython.Py_ssize_t, 6)  # the certain operation that needs it; -1: none does
_ROOT = cython.declare(cython.Py_ssize_t, 7)  # first value of its chain


@cython.cclass
class Keys:
    """The operations of all keys, and room to decide one key after the other. One for each thread."""

    def __init__(self, ops: Any, codes: Any, proofs: Any, values: int) -> None:
        self.offsets, self.kind, self.value, self.old, self.invoke, self.ret = [_plain(column) for column in ops]
        self.codes, self.proofs = codes, proofs
        known = np.full((values, 8), -1, np.int32)
        known[:, 0] = -2
        known[:, 2] = 2**31 - 1
        self.known = _plain(known.reshape(-1))
        self.first, self.last, self.begin, self.end = (_plain(np.empty(values, np.int32)) for _ in range(4))
        longest = int(np.diff(ops[0]).max(initial=0)) + 1
        self.waiting = _plain(np.empty(longest, np.int32))
        self.order = _plain(np.empty(longest, np.int32))

    def decide(self, first: cython.Py_ssize_t, last: cython.Py_ssize_t) -> None:
        """Decide the keys from `first` to before `last`; free of the interpreter's lock."""
        key: cython.Py_ssize_t
        with cython.nogil:
            for key in range(first, last):
                self.lo, self.hi = self.offsets[key], self.offsets[key + 1]
                self.proof = key * 4
                self.codes[key] = cython.cast(cython.schar, self.one_key())
                if key + 1 < last:
                    self.forget()

    def one_key(self):
        code: cython.int = self.collect()
        if code == _VALID:
            code = self.need()
        if code == _VALID:
            code = self.chains()
        if code == _VALID:
            code = self.zones()
        if code == _VALID and self.nots:
            code = self.failed_cas()
        return code

    def forget(self):
        """Make `known` as new, for the next key."""
        at: cython.Py_ssize_t
        field: cython.Py_ssize_t
        for i in range(self.lo, self.hi):
            for side in range(2):
                at = (self.value[i] if side == 0 else self.old[i]) * _WIDTH
                if at >= 0 and (self.known[at + _INVOKE] != -2 or self.known[at + _WHY] >= 0):
                    for field in range(_WIDTH):
                        self.known[at + field] = -1
                    self.known[at + _INVOKE] = -2
                    self.known[at + _SEEN] = _NEVER
        for field in range(_WIDTH):
            self.known[_NULL * _WIDTH + field] = -1
        self.known[_NULL * _WIDTH + _INVOKE] = -2
        self.known[_NULL * _WIDTH + _SEEN] = _NEVER
        return 1

    def prove(self, one, two, three, four):
        """Note the events that prove the key wrong."""
        self.proofs[self.proof] = one
        self.proofs[self.proof + 1] = two
        self.proofs[self.proof + 2] = three
        self.proofs[self.proof + 3] = four
        return _INVALID

    def collect(self):
        """Learn who writes each value, and who sees it."""
        at: cython.Py_ssize_t
        refuted: cython.Py_ssize_t = -1
        again: cython.bint = False
        self.nots = False
        at = _NULL * _WIDTH
        self.known[at + _INVOKE] = -1
        self.known[at + _RETURN] = -1
        self.known[at + _WHY] = 0
        for i in range(self.lo, self.hi):
            kind = self.kind[i]
            at = self.value[i] * _WIDTH
            if kind == _READ:
                if self.ret[i] < self.known[at + _SEEN]:
                    self.known[at + _SEEN] = self.ret[i]
                self.known[at + _SOUGHT] = self.invoke[i]
                if self.known[at + _WHY] < 0:
                    self.known[at + _WHY] = cython.cast(cython.int, i)
            elif kind == _NOT:
                self.nots = True
            elif kind == _REFUTED:
                refuted = i
            else:
                if self.known[at + _INVOKE] != -2:
                    again = True
                self.known[at + _INVOKE] = self.invoke[i]
                self.known[at + _RETURN] = self.ret[i]
                self.known[at + _OLD] = self.old[i]
                if self.ret[i] != _NEVER and self.known[at + _WHY] < 0:
                    self.known[at + _WHY] = cython.cast(cython.int, i)
        if refuted >= 0:
            return self.prove(self.invoke[refuted], -1, -1, -1)
        return _INELIGIBLE if again else _VALID

    def need(self):
        """Find the values that must have been there, and link each to the cas that replaced it."""
        at: cython.Py_ssize_t
        before: cython.int
        for i in range(self.lo, self.hi):
            at = self.value[i] * _WIDTH
            why = self.known[at + _WHY]
            if why < 0 or self.kind[i] == _NOT:
                continue
            while True:
                if self.known[at + _INVOKE] == -2:
                    return self.prove(self.invoke[why], -1, -1, -1)
                before = self.known[at + _OLD]
                if before < 0:
                    break
                at = before * _WIDTH
                if self.known[at + _WHY] >= 0:
                    break
                self.known[at + _WHY] = why
        return self.link()

    def link(self):
        at: cython.Py_ssize_t
        before: cython.int
        other: cython.int
        for i in range(self.lo, self.hi):
            if self.old[i] < 0:
                continue
            at = self.value[i] * _WIDTH
            if self.known[at + _WHY] < 0:
                continue
            before = self.old[i]
            other = self.known[before * _WIDTH + _NEXT]
            if other >= 0:
                other = self.known[other * _WIDTH + _WHY]
                return self.prove(self.invoke[self.known[at + _WHY]], self.invoke[other], -1, -1)
            self.known[before * _WIDTH + _NEXT] = self.value[i]
        return _VALID

    def chains(self):
        """Walk every chain from its first value: the order in it, and its zone."""
        at: cython.Py_ssize_t
        if self.walk(_NULL) == _INVALID:
            return _INVALID
        for i in range(self.lo, self.hi):
            at = self.value[i] * _WIDTH
            if self.kind[i] == _WRITE and self.known[at + _WHY] >= 0 and self.walk(self.value[i]) == _INVALID:
                return _INVALID
        for i in range(self.lo, self.hi):
            at = self.value[i] * _WIDTH
            if self.known[at + _WHY] >= 0 and self.known[at + _ROOT] < 0:
                return self.prove(self.invoke[self.known[at + _WHY]], -1, -1, -1)
        return _VALID

    def walk(self, root):
        value: cython.int = root
        at: cython.Py_ssize_t
        first: cython.int = _NEVER
        last: cython.int = -1
        while value >= 0:
            at = value * _WIDTH
            if self.known[at + _RETURN] < last:
                return self.prove(self.known[at + _RETURN], last, -1, -1)
            last = max(last, self.known[at + _INVOKE])
            if self.known[at + _SEEN] < last:
                return self.prove(self.known[at + _SEEN], last, -1, -1)
            last = max(last, self.known[at + _SOUGHT])
            first = min(first, min(self.known[at + _RETURN], self.known[at + _SEEN]))
            self.known[at + _ROOT] = root
            value = self.known[at + _NEXT]
        self.first[root] = first
        self.last[root] = last
        return _VALID

    def zones(self):
        """Go through the chains by their last invocation; find their order, or two that cannot be ordered."""
        head: cython.Py_ssize_t = 0
        tail: cython.Py_ssize_t = 0
        before: cython.int = -1  # the forward zone before this one
        self.ordered = 0
        if self.last[_NULL] < 0:
            self.emit(_NULL)
        for i in range(self.lo, self.hi):
            root = self.known[self.value[i] * _WIDTH + _ROOT]
            if root < 0:
                continue
            if self.last[root] != self.invoke[i]:
                continue
            if self.first[root] > self.last[root]:
                self.waiting[tail] = root
                tail += 1
                continue
            if before >= 0 and self.first[root] < self.last[before]:
                return self.conflict(before, root)
            while head < tail and self.last[self.waiting[head]] < self.first[root]:
                self.emit(self.waiting[head])
                head += 1
            self.emit(root)
            while head < tail:
                if self.first[self.waiting[head]] < self.last[root]:
                    return self.conflict(self.waiting[head], root)
                self.emit(self.waiting[head])
                head += 1
            before = root
        while head < tail:
            self.emit(self.waiting[head])
            head += 1
        return _VALID

    def emit(self, root):
        self.order[self.ordered] = root
        self.ordered += 1
        return 1

    def conflict(self, one, two):
        return self.prove(self.first[one], self.last[one], self.first[two], self.last[two])

    def failed_cas(self):
        """Fit failed cas that observed nothing into the order that was found, or into a later one."""
        if self.covered() == _INVALID:
            return _INVALID
        for _ in range(_MAX_DELAYS):
            self.schedule()
            misfits = self.delay()
            if misfits == 1:
                return _VALID
            if misfits == 2 or self.order_again() != _VALID:
                break
        return _INELIGIBLE

    def covered(self):
        """Look for a failed cas that lies between certain operations on the value that it asked for."""
        at: cython.Py_ssize_t
        last: cython.int
        for i in range(self.lo, self.hi):
            at = self.value[i] * _WIDTH
            if self.kind[i] != _NOT or self.known[at + _ROOT] < 0:
                continue
            first = min(self.known[at + _RETURN], self.known[at + _SEEN])
            last = max(self.known[at + _INVOKE], self.known[at + _SOUGHT])
            if first < self.invoke[i] and self.ret[i] < last:
                return self.prove(first, last, self.invoke[i], -1)
        return _VALID

    def schedule(self):
        """Give every block its earliest begin and end in the order that was found."""
        at: cython.Py_ssize_t
        value: cython.int
        now: cython.int = -1
        previous: cython.Py_ssize_t = -1
        for place in range(self.ordered):
            value = self.order[place]
            while value >= 0:
                at = value * _WIDTH
                now = max(now, self.known[at + _INVOKE])
                self.begin[value] = now
                if previous >= 0:
                    self.end[previous] = now
                now = max(now, self.known[at + _SOUGHT])
                previous = value
                value = self.known[at + _NEXT]
        self.end[previous] = _NEVER
        return 1

    def delay(self):
        """Delay writers for failed cas that do not fit; 1 where all fit, 2 where one cannot, 3 to try again."""
        at: cython.Py_ssize_t
        answer: cython.int = 1
        for i in range(self.lo, self.hi):
            at = self.value[i] * _WIDTH
            if self.kind[i] != _NOT or self.known[at + _ROOT] < 0:
                continue
            if self.invoke[i] <= self.begin[self.value[i]] or self.ret[i] > self.end[self.value[i]]:
                continue
            if min(self.known[at + _RETURN], self.known[at + _SEEN]) < self.invoke[i]:
                return 2
            self.known[at + _INVOKE] = max(self.known[at + _INVOKE], self.invoke[i])
            answer = 3
        return answer

    def order_again(self):
        """Find an order after writers were delayed."""
        for i in range(self.lo, self.hi):
            self.known[self.value[i] * _WIDTH + _ROOT] = -1
        if self.chains() == _INVALID:
            return _INVALID
        return self.zones()


def decide(ops: Any, values: int, threads: int = 1) -> tuple[Any, Any]:
    """Decide keys.

    Args:
        ops: offsets, kind, value, old, invoke and ret, as register_columns.read returns them.
        values: how many there are; ids are below.
        threads: to share the keys among, by their operations.

    Raises:
        IndexError: an id is out of range; the loops would not notice.

    Returns:
        int8 codes for each key, and int32 proofs: four rows of events a key, -1 for none, where it is INVALID.
    """
    offsets = ops[0]
    keys = len(offsets) - 1
    if max(ops[2].max(initial=0), ops[3].max(initial=0)) >= values or ops[2].min(initial=0) < 0:
        raise IndexError("the id of a value is out of range")
    codes, proofs = np.zeros(keys, np.int8), np.full(keys * 4, -1, np.int32)
    if threads == 1:
        Keys(ops, codes, proofs, values).decide(0, keys)
    else:
        from concurrent.futures import ThreadPoolExecutor  # late: most commands need none, and it brings logging

        parts = np.linspace(0, int(offsets.max(initial=0)), threads + 1)
        bounds = [0, *np.searchsorted(offsets, parts[1:threads]).tolist(), keys]
        with ThreadPoolExecutor(threads) as pool:
            for part in [pool.submit(Keys(ops, codes, proofs, values).decide, *ends) for ends in pairwise(bounds)]:
                part.result()
    return codes, proofs.reshape(keys, 4)


def _plain(array: Any) -> Any:
    return array if cython.compiled else array.tolist()
