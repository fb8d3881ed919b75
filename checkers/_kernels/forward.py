"""The forward walk over the events of a key, with a set of configurations: the kernel of checkers/forward.py.

What a configuration is, and why each reduction is sound, is told there. A row of a `Configs` holds the words

    state * 2 + unseen | usable[words] | owed[words] | used[lanes / 4]

`usable` and `owed` are masks over slots: of the open operations that may still change the state, and of those that
still have to happen. `used` counts operations of unknown outcome, in a lane of sixteen bits for each of their kinds.

States are numbered from 1; STUCK (0) is what a step gives that cannot happen. Codes start at 1, and -1 is an error.
Storage is array.array, so that the same code runs uncompiled on Python's own integers. Types stand in forward.pxd.
"""

from array import array

import cython

if cython.compiled:
    from cython.cimports.checkers._kernels.bits import popcount
    from cython.cimports.checkers._kernels.moves import Moves
else:
    from checkers._kernels.plain_bits import popcount
    from harness.plain_kernel import plain

    Moves = plain("checkers._kernels.moves").Moves

COMPILED = cython.compiled

VALID = 1
INVALID = 2  # no configuration is left, and none was dropped
LOST = 3  # no configuration is left, but some were dropped
TIME = 4
MEMORY = 5
NARROW = 6  # more operations are open at once than the masks have room for
STOPPED = 7  # as far as it was asked to go

_VALID = cython.declare(cython.int, 1)
_INVALID = cython.declare(cython.int, 2)
_LOST = cython.declare(cython.int, 3)
_TIME = cython.declare(cython.int, 4)
_NARROW = cython.declare(cython.int, 6)
_STOPPED = cython.declare(cython.int, 7)
_CLOCK_EVERY = cython.declare(cython.int, 64)
_MEMORY = cython.declare(cython.int, 5)
_COVER_STATES = cython.declare(cython.int, 4)  # a cover of more, for each of its beam, would cost more than it tells
_FEW = cython.declare(cython.int, 512)  # the widest beam without configurations that differ in `used` alone


@cython.cclass
class Forward(Moves):
    """A walk; see checkers/forward.py for its arguments."""

    def __init__(self, ops, tables, ask, clock, deadline):
        Moves.__init__(self, ops, tables, ask, clock, deadline)
        self.lane_of = array("i", [-1]) * self.kinds
        self.most = 1 << 30
        self.mark_every = 256

    def enter(self, lo, hi, words, lane_kinds, lane_ends, most):
        """Begin a key: its operations are those from `lo` to below `hi`."""
        at: cython.int
        for at in range(self.lanes):
            self.lane_of[self.lane_kind[at]] = -1
        known: cython.int = self.lanes
        self.lanes = len(lane_kinds)
        self.lane_kind = array("i", lane_kinds)
        self.lane_end = array("q", lane_ends)
        self.pending = array("i", bytes(4 * self.lanes))
        for at in range(self.lanes):
            self.lane_of[self.lane_kind[at]] = at
        self.loose = False
        if words != self.words or known != self.lanes:
            self.widen(words)
            self.prepare(1 + 2 * words + (self.lanes + 3) // 4)
        self.most = most
        self.restart(lo, hi)
        self.retire_at = min(lane_ends, default=self.never)

    def restart(self, lo, hi):
        """Stand before the first operation of a key."""
        at: cython.int
        self.at, self.stop = lo, hi
        self.left = hi - lo
        self.row = self.since = -1
        self.opened = 0
        self.version += 1
        self.dropped = False
        for at in range(self.words):
            self.taken[at] = 0
        for at in range(self.stride):
            self.scratch[at] = 0
        self.scratch[0] = 2
        self.front.clear()
        self.front.append(self.scratch)
        return _VALID

    def run_keys(self, offsets, codes, rows, beam):
        """Walk through whole keys, one after the other: those whose code is 0 yet.

        Where the outcome is unknown, an operation is open until the end, and never owed.

        Args:
            offsets: where each key's operations begin, and the end.
            codes, rows: of each key, written here.
            beam: how many configurations are kept.
        """
        begin: cython.longlong[::1] = offsets
        code: cython.int[::1] = codes
        row: cython.longlong[::1] = rows
        number: cython.Py_ssize_t
        count: cython.Py_ssize_t = len(codes)
        self.enter(0, 0, 1, (), (), self.most)
        self.beam, self.cover, self.loose = beam, False, True
        self.work.keyed = self.front.keyed = self.stride
        with cython.nogil:
            for number in range(count):
                if code[number] == 0:
                    self.restart(cython.cast(cython.int, begin[number]), cython.cast(cython.int, begin[number + 1]))
                    self.pause = self.mark_at = self.stop + 1
                    code[number] = self.walk()
                    row[number] = self.row

    def run(self, beam, cover, pause, marks):
        """Walk on, and return a code; STOPPED before the operation `pause`.

        Every so many operations, where the walk is gets appended to `marks`; `resume` goes back there.
        """
        self.beam, self.cover, self.pause, self.marks = beam, cover, pause, marks
        self.mark_at = self.at if not marks else self.at + self.mark_every
        self.work.keyed = self.front.keyed = self.stride if cover or beam > _FEW else 1 + 2 * self.words
        code: cython.int
        with cython.nogil:
            code = self.walk()
        return code

    def mark(self):
        """Note where the walk is."""
        size: cython.int = self.front.count * self.stride
        self.mark_at = self.at + self.mark_every
        place = (self.at, self.left, self.row, self.opened, self.dropped, self.retire_at)
        slots = [bytes(self.order), bytes(self.slot_kind), bytes(self.slot_op), bytes(self.taken), bytes(self.pending)]
        self.marks.append((place, slots, bytes(self.front.words[:size])))
        return _VALID

    def resume(self, mark):
        """Go back to where a walk of this key was, as `run` noted it."""
        self.stand(mark)
        words = mark[2]
        rows: cython.ulonglong[::1] = array("Q", words)
        item: cython.int
        word: cython.int
        self.front.clear()
        for item in range(len(words) // (8 * self.stride)):
            for word in range(self.stride):
                self.scratch[word] = rows[item * self.stride + word]
            self.front.append(self.scratch)

    def resume_afresh(self, mark):
        """Go back to there with every configuration that there may be: of each state one that dominates all others.

        Only where the table is closed, so that all states are known.
        """
        self.stand(mark)
        self.dropped = False
        one: cython.ulonglong = 1
        place: cython.int
        slot: cython.int
        state: cython.int
        for place in range(self.stride):
            self.scratch[place] = 0
        for place in range(self.opened):
            slot = self.order[place]
            if not self.pure[self.slot_kind[slot]]:
                self.scratch[1 + (slot >> 6)] |= one << (slot & 63)
        self.front.clear()
        for state in range(1, len(self.table) // self.kinds):
            self.scratch[0] = cython.cast(cython.ulonglong, state) << 1
            self.front.append(self.scratch)

    def stand(self, mark):
        """Open what was open where a walk noted a mark."""
        place, slots, _ = mark
        self.at, self.left, self.row, self.opened, self.dropped, self.retire_at = place
        self.order, self.slot_kind, self.slot_op = (array("i", each) for each in slots[:3])
        self.taken, self.pending = array("Q", slots[3]), array("i", slots[4])
        self.version += 1

    def walk(self):
        slot: cython.int
        code: cython.int
        while True:
            if self.at >= self.mark_at:
                with cython.gil:
                    self.mark()
            if self.at >= self.pause:
                return _STOPPED
            if self.opened and (self.at == self.stop or self.ret[self.slot_op[self.order[0]]] < self.invoke[self.at]):
                slot = self.order[0]
                self.row = self.ret[self.slot_op[slot]]
                self.steps += 1
                if self.steps % _CLOCK_EVERY == 0 and self.spent() == _TIME:
                    return _TIME
                code = self.finish(slot)
                if code != _VALID:
                    return code
                if self.row >= self.retire_at:
                    self.retire(self.row)
            elif self.at < self.stop:
                self.row = self.invoke[self.at]
                if self.begin(self.at) == _NARROW:
                    return _NARROW
                self.at += 1
            else:
                return _VALID

    def begin(self, op):
        """Open an operation in every configuration; it is not owed where it changes nothing, or may never happen."""
        kind: cython.int = self.kind[op]
        certain: cython.bint = self.ret[op] != self.never
        if not certain:
            self.left -= 1
            if self.lane_of[kind] >= 0:
                self.pending[self.lane_of[kind]] += 1
            if not self.loose or self.pure[kind]:
                return _VALID
        word: cython.int = 0
        one: cython.ulonglong = 1
        free: cython.ulonglong
        while word < self.words and popcount(self.taken[word]) == 64:
            word += 1
        if word == self.words:
            return _NARROW
        slot: cython.int = 64 * word
        free = self.taken[word]
        while free & 1:
            free >>= 1
            slot += 1
        bit: cython.ulonglong = one << (slot & 63)
        self.taken[word] |= bit
        self.slot_kind[slot] = kind
        self.slot_op[slot] = op
        place: cython.int = self.opened
        while place > 0 and self.ret[self.slot_op[self.order[place - 1]]] > self.ret[op]:
            self.order[place] = self.order[place - 1]
            place -= 1
        self.order[place] = slot
        self.opened += 1
        self.version += 1
        item: cython.int
        base: cython.Py_ssize_t
        state: cython.int
        for item in range(self.front.count):
            base = cython.cast(cython.Py_ssize_t, item) * self.stride
            state = self.front.words[base] >> 1
            if not self.pure[kind]:
                self.front.words[base + 1 + word] |= bit
            if certain and self.after(state, kind) != state:
                self.front.words[base + 1 + self.words + word] |= bit
        return _VALID

    def finish(self, slot):
        """Keep what the completing operation has happened in, or can happen in now."""
        word: cython.int = slot >> 6
        one: cython.ulonglong = 1
        bit: cython.ulonglong = one << (slot & 63)
        code: cython.int = _VALID
        item: cython.int
        base: cython.Py_ssize_t
        at: cython.int
        self.out.clear()
        self.work.clear()
        for item in range(self.front.count):
            base = cython.cast(cython.Py_ssize_t, item) * self.stride
            for at in range(self.stride):
                self.scratch[at] = self.front.words[base + at]
            if self.front.words[base + 1 + self.words + word] & bit:
                self.work.add(self.scratch)
                continue
            if self.front.words[base + 1 + word] & bit:
                self.work.add(self.scratch)
            self.scratch[1 + word] &= ~bit
            self.out.add(self.scratch)
        if self.work.count:
            self.list_moves()
            code = self.expand(slot)
            if self.work.merged:
                self.dropped = True
        self.since = self.invoke[self.slot_op[slot]]
        self.close(slot)
        if code != _VALID:
            return code
        self.reduce()
        if self.cover and self.front.count > _COVER_STATES * self.beam:
            return _MEMORY
        if self.front.count == 0:
            return _LOST if self.dropped else _INVALID
        return _VALID

    def close(self, slot):
        """Free the slot of the earliest completion."""
        one: cython.ulonglong = 1
        self.taken[slot >> 6] &= ~(one << (slot & 63))
        self.opened -= 1
        self.left -= 1
        place: cython.int
        for place in range(self.opened):
            self.order[place] = self.order[place + 1]
        return _VALID
