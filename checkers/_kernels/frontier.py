"""Which configurations go on after a completion: the undominated ones, as many as the beam has room for."""

from array import array

import cython

if cython.compiled:
    from cython.cimports.checkers._kernels.bits import popcount
    from cython.cimports.checkers._kernels.configs import Configs
    from cython.cimports.checkers._kernels.steps import Steps
else:
    from checkers._kernels.plain_bits import popcount
    from harness.plain_kernel import plain

    Configs = plain("checkers._kernels.configs").Configs
    Steps = plain("checkers._kernels.steps").Steps

_VALID = cython.declare(cython.int, 1)
_LANE_MAX = cython.declare(cython.ulonglong, 65535)
_SCORES = cython.declare(cython.int, 1024)
_COMPARED = cython.declare(cython.int, 64)


@cython.cclass
class Frontier(Steps):
    """The configurations after the events so far (`front`), and those being made (`out`)."""

    def __init__(self, ops, tables, ask, clock, deadline):
        Steps.__init__(self, ops, tables, ask, clock, deadline)
        self.room = 64
        self.lanes = 0
        self.left = 0  # operations that have not completed, or, of unknown outcome, have not been invoked
        self.score = array("i", bytes(4 * self.room))
        self.ranked = array("i", bytes(4 * self.room))
        self.heads = array("i", bytes(4 * (_SCORES + 1)))

    def reduce(self):
        """Move `out` into `front`, the best first: without the dominated, and without what the beam has no room for."""
        item: cython.int
        self.front.clear()
        self.rank()
        for item in range(self.out.count):
            self.keep(cython.cast(cython.Py_ssize_t, self.ranked[item]) * self.stride)
        if self.front.merged:
            self.dropped = True
        return _VALID

    def rank(self):
        """Order `out` by score; what dominates another has a lower one."""
        words: cython.int = self.words
        count: cython.int = self.out.count
        item: cython.int
        word: cython.int
        total: cython.int
        base: cython.Py_ssize_t
        used: cython.ulonglong
        if count > self.room:
            with cython.gil:
                self.room = 2 * count
                self.score = array("i", bytes(4 * self.room))
                self.ranked = array("i", bytes(4 * self.room))
        lowest: cython.int = _SCORES
        highest: cython.int = 0
        for item in range(count):
            base = cython.cast(cython.Py_ssize_t, item) * self.stride
            total = 64 * words
            for word in range(words):
                total += 2 * popcount(self.out.words[base + 1 + words + word])
                total -= popcount(self.out.words[base + 1 + word])
            for word in range(1 + 2 * words, self.stride):
                used = self.out.words[base + word]
                while used:
                    total += 8 * cython.cast(cython.int, used & _LANE_MAX)
                    used >>= 16
            total = min(total, _SCORES - 1)
            self.score[item] = total
            lowest = min(lowest, total)
            highest = max(highest, total)
        for item in range(lowest, highest + 2):
            self.heads[item] = 0
        for item in range(count):
            self.heads[self.score[item] + 1] += 1
        for item in range(lowest, highest + 1):
            self.heads[item + 1] += self.heads[item]
        for item in range(count):
            self.ranked[self.heads[self.score[item]]] = item
            self.heads[self.score[item]] += 1
        return _VALID

    def keep(self, base):
        """Take a row of `out` into `front`, unless one there dominates it, or there is no room."""
        item: cython.int
        word: cython.int
        other: cython.Py_ssize_t
        apart: cython.int
        least: cython.int = 1 << 30
        nearest: cython.Py_ssize_t = -1
        for item in range(self.front.count):
            if item == _COMPARED and not self.cover:
                break
            other = cython.cast(cython.Py_ssize_t, item) * self.stride
            if self.front.words[other] != self.out.words[base]:
                continue
            apart = self.beyond(self.out.words, base, self.front.words, other)
            if apart == 0:
                return _VALID
            if apart < least:
                least = apart
                nearest = other
        if self.front.count < self.beam or (self.cover and nearest < 0):
            for word in range(self.stride):
                self.scratch[word] = self.out.words[base + word]
            return self.front.add(self.scratch)
        if self.cover:
            return self.join(self.out.words, base, self.front.words, nearest)
        self.dropped = True
        return _VALID

    def beyond(self, row, base, rows, other):
        """Count what the configuration at `base` of `row` can do that the one at `other` of `rows` cannot."""
        words: cython.int = self.words
        word: cython.int
        shift: cython.int
        mine: cython.ulonglong
        theirs: cython.ulonglong
        count: cython.int = 0
        for word in range(1, 1 + words):
            count += popcount(row[base + word] & ~rows[other + word])
            count += popcount(rows[other + words + word] & ~row[base + words + word])
        for word in range(1 + 2 * words, self.stride):
            mine = row[base + word]
            theirs = rows[other + word]
            if mine == theirs:
                continue
            for shift in range(0, 64, 16):
                if (theirs >> shift) & _LANE_MAX > (mine >> shift) & _LANE_MAX:
                    count += 1
        return count

    def join(self, row, base, rows, other):
        """Widen the configuration at `other` of `rows` so that it can do all that the one at `base` of `row` can."""
        words: cython.int = self.words
        word: cython.int
        shift: cython.int
        least: cython.ulonglong
        lane: cython.ulonglong
        for word in range(1, 1 + words):
            rows[other + word] |= row[base + word]
            rows[other + words + word] &= row[base + words + word]
        for word in range(1 + 2 * words, self.stride):
            least = 0
            for shift in range(0, 64, 16):
                lane = min((rows[other + word] >> shift) & _LANE_MAX, (row[base + word] >> shift) & _LANE_MAX)
                least |= lane << shift
            rows[other + word] = least
        return _VALID

    def retire(self, row):
        """Forget what nobody can see any more of operations of unknown outcome."""
        lane: cython.int
        item: cython.int
        word: cython.int
        keep: cython.ulonglong
        self.retire_at = self.never
        for lane in range(self.lanes):
            if self.lane_end[lane] > row:
                self.retire_at = min(self.retire_at, self.lane_end[lane])
            elif self.pending[lane]:
                self.pending[lane] = 0
                word = 1 + 2 * self.words + (lane >> 2)
                keep = ~(_LANE_MAX << (16 * (lane & 3)))
                for item in range(self.front.count):
                    self.front.words[cython.cast(cython.Py_ssize_t, item) * self.stride + word] &= keep
        return _VALID
