"""What can happen at a completion: every sequence of open operations that ends with the completing one."""

from array import array

import cython

if cython.compiled:
    from cython.cimports.checkers._kernels.configs import Configs
    from cython.cimports.checkers._kernels.frontier import Frontier
else:
    from harness.plain_kernel import plain

    Configs = plain("checkers._kernels.configs").Configs
    Frontier = plain("checkers._kernels.frontier").Frontier

_VALID = cython.declare(cython.int, 1)
_TIME = cython.declare(cython.int, 4)
_MEMORY = cython.declare(cython.int, 5)
_LANE_MAX = cython.declare(cython.ulonglong, 65535)
_CLOCK_EVERY = cython.declare(cython.int, 64)  # expansions and completions between two looks at the clock
_JOIN_ABOVE = cython.declare(cython.int, 4)  # configurations of a cover at a completion, for each of its beam
_CROWD = cython.declare(cython.int, 8)  # open operations above which a narrow beam saves sequences too
_THRIFTY = cython.declare(cython.int, 16)  # the widest beam that saves unknown outcomes
_SCARCE = cython.declare(cython.int, 32)  # the widest cover that counts only those of which there are a few
_FEW = cython.declare(cython.int, 4)
_WORK = cython.declare(cython.int, 32)  # expansions for each configuration of the beam


@cython.cclass
class Moves(Frontier):
    """The configurations that are being taken through moves (`work`), and the moves."""

    def prepare(self, stride):
        """Make room for moves, and for rows of `stride` words."""
        words: cython.int = self.words
        most: cython.int = 64 * words + self.lanes
        self.stride = stride
        self.front, self.out, self.work = Configs(stride), Configs(stride), Configs(stride)
        self.scratch = array("Q", bytes(8 * stride))
        self.move_slot = array("i", bytes(4 * most))
        self.move_kind = array("i", bytes(4 * most))
        self.move_equal = array("Q", bytes(8 * words * most))
        self.blind_mask = array("Q", bytes(8 * words))
        self.kind_mask = array("Q", bytes(8 * words * self.kinds))

    def list_moves(self):
        """List what may happen now, earliest completion first, with the mask of the equal ones before each."""
        words: cython.int = self.words
        one: cython.ulonglong = 1
        place: cython.int
        word: cython.int
        slot: cython.int
        kind: cython.int
        for word in range(words):
            self.blind_mask[word] = 0
        self.moves = 0
        for place in range(self.opened):
            slot = self.order[place]
            kind = self.slot_kind[slot]
            if self.pure[kind]:
                continue
            self.move_slot[self.moves] = slot
            self.move_kind[self.moves] = kind
            for word in range(words):
                self.move_equal[self.moves * words + word] = self.kind_mask[kind * words + word]
            self.kind_mask[kind * words + (slot >> 6)] |= one << (slot & 63)
            if self.blind[kind]:
                self.blind_mask[slot >> 6] |= one << (slot & 63)
            self.moves += 1
        self.certain_moves = self.moves
        for place in range(self.lanes):
            if self.pending[place] == 0:
                continue
            kind = self.lane_kind[place]
            self.move_slot[self.moves] = -1 - place
            self.move_kind[self.moves] = kind
            for word in range(words):
                self.move_equal[self.moves * words + word] = self.kind_mask[kind * words + word]
            self.moves += 1
        for place in range(self.opened):
            for word in range(words):
                self.kind_mask[self.slot_kind[self.order[place]] * words + word] = 0
        return _VALID

    def expand(self, slot):
        """Take each configuration of `work` through every sequence that ends with the completing operation.

        A narrow beam makes use of an unknown outcome only where nothing goes on without.
        """
        if self.beam > _THRIFTY or self.cover or self.moves == self.certain_moves:
            return self.expand_by(slot, self.moves)
        code: cython.int = self.expand_by(slot, self.certain_moves)
        self.dropped = True
        if code == _VALID and self.out.count == 0:
            return self.expand_by(slot, self.moves)
        return code

    def expand_by(self, slot, moves):
        """Take each configuration of `work` through every sequence of the first `moves` moves."""
        one: cython.ulonglong = 1
        bit: cython.ulonglong = one << (slot & 63)
        item: cython.int = 0
        which: cython.int
        made: cython.int
        count: cython.int
        owed: cython.bint
        base: cython.Py_ssize_t
        while item < self.work.count:
            self.item = item
            self.steps += 1
            if self.steps % _CLOCK_EVERY == 0 and self.spent() == _TIME:
                return _TIME
            if self.work.count + self.out.count > self.most:
                return _MEMORY
            if item > _WORK * self.beam and not self.cover:
                self.dropped = True
                return _VALID
            base = cython.cast(cython.Py_ssize_t, item) * self.stride
            owed = self.work.words[base + 1 + self.words + (slot >> 6)] & bit != 0
            if not owed and self.dropped and self.certain_moves > _CROWD and self.beam <= _THRIFTY and not self.cover:
                count = 1  # the completing operation itself; nothing is proved by this beam any more
            else:
                count = moves
            for which in range(count):
                made = self.move(which, base)
                if made:
                    self.emit(slot, which, owed)
                    base = cython.cast(cython.Py_ssize_t, item) * self.stride
            item += 1
        return _VALID

    def move(self, which, base):
        """Do a move in a configuration of `work`, into `scratch`; 0: it cannot or need not be, 2: nothing saw it."""
        words: cython.int = self.words
        slot: cython.int = self.move_slot[which]
        kind: cython.int = self.move_kind[which]
        blind: cython.bint = self.blind[kind]
        head: cython.ulonglong = self.work.words[base]
        if head & 1 and blind:
            return 0
        one: cython.ulonglong = 1
        bit: cython.ulonglong = 0
        word: cython.int
        usable: cython.ulonglong
        owed: cython.bint = False
        if slot >= 0:
            bit = one << (slot & 63)
            if not self.work.words[base + 1 + (slot >> 6)] & bit:
                return 0
            owed = self.work.words[base + 1 + words + (slot >> 6)] & bit != 0
        for word in range(words):
            usable = self.move_equal[which * words + word] & self.work.words[base + 1 + word]
            if usable and (not owed or usable & self.work.words[base + 1 + words + word]):
                return 0
        state: cython.int = cython.cast(cython.int, head >> 1)
        after: cython.int = self.after(state, kind)
        if after == 0 or (after == state and not blind):
            return 0
        for word in range(self.stride):
            self.scratch[word] = self.work.words[base + word]
        return self.apply(slot, blind, owed, state, after)

    def apply(self, slot, blind, owed, state, after):
        """Finish a move in `scratch`: 1, or 2 where nothing saw it, or 0 where it makes no difference."""
        words: cython.int = self.words
        one: cython.ulonglong = 1
        lane: cython.int
        word: cython.int
        shift: cython.int
        if slot >= 0:
            self.scratch[1 + (slot >> 6)] &= ~(one << (slot & 63))
            self.scratch[1 + words + (slot >> 6)] &= ~(one << (slot & 63))
        else:
            lane = -1 - slot
            word = 1 + 2 * words + (lane >> 2)
            shift = 16 * (lane & 3)
            used: cython.ulonglong = (self.scratch[word] >> shift) & _LANE_MAX
            if used >= self.pending[lane]:
                return 0
            if used == _LANE_MAX:
                self.dropped = True
                return 0
            if self.closed and self.pending[lane] - cython.cast(cython.longlong, used) >= self.enough(lane):
                self.scratch[word] &= ~(_LANE_MAX << shift)  # they never run out
            # a narrow cover uses unknown outcomes again and again, where that cannot lead to ever new states
            elif not self.cover or not self.closed or self.beam > (_SCARCE if self.pending[lane] > _FEW else _THRIFTY):
                self.scratch[word] += one << shift
        admits: cython.int = self.admit(after)
        seen: cython.bint = False
        cleared: cython.bint = False
        for word in range(words):
            if blind and self.scratch[1 + words + word] & self.blind_mask[word]:
                self.scratch[1 + words + word] &= ~self.blind_mask[word]
                cleared = True
            if self.scratch[1 + words + word] & self.admit_mask[admits + word]:
                self.scratch[1 + words + word] &= ~self.admit_mask[admits + word]
                seen = True
        if after == state and not cleared and not seen:
            return 0
        self.scratch[0] = cython.cast(cython.ulonglong, after) << 1
        if seen or (owed and not blind):
            return 1
        self.scratch[0] |= 1
        return 2

    def enough(self, lane):
        """Return how many of unknown outcome suffice for all that is still to complete."""
        return cython.cast(cython.longlong, self.left) * self.targets[self.lane_kind[lane]]

    def emit(self, slot, which, owed):
        """File what a move made: in `out` where the completing operation has happened, else in `work`."""
        words: cython.int = self.words
        word: cython.int = slot >> 6
        one: cython.ulonglong = 1
        bit: cython.ulonglong = one << (slot & 63)
        head: cython.ulonglong = self.scratch[0]
        if self.move_slot[which] == slot:
            self.scratch[0] = (head >> 1) << 1
            return self.out.add(self.scratch)
        if (
            owed
            and not self.scratch[1 + words + word] & bit
            and not (self.blind[self.slot_kind[slot]] and self.blind[self.move_kind[which]])
        ):
            usable: cython.ulonglong = self.scratch[1 + word]
            self.scratch[0] = (head >> 1) << 1
            self.scratch[1 + word] = usable & ~bit
            self.out.add(self.scratch)
            if not usable & bit:
                return 1
            self.scratch[0] = head
            self.scratch[1 + word] = usable
        if self.cover and self.work.count > _JOIN_ABOVE * self.beam:
            return self.widen_work(slot)
        return self.work.add(self.scratch)

    def widen_work(self, slot):
        """File `scratch` in `work` of a cover that gets large: joined with one that waits there, if there is one."""
        one: cython.ulonglong = 1
        bit: cython.ulonglong = one << (slot & 63)
        word: cython.int = 1 + self.words + (slot >> 6)
        item: cython.int
        base: cython.Py_ssize_t
        waiting: cython.Py_ssize_t = -1
        for item in range(self.work.count):
            base = cython.cast(cython.Py_ssize_t, item) * self.stride
            if self.work.words[base] >> 1 != self.scratch[0] >> 1:
                continue
            if (self.work.words[base + word] ^ self.scratch[word]) & bit:
                continue
            if self.work.words[base] <= self.scratch[0] and self.beyond(self.scratch, 0, self.work.words, base) == 0:
                return _VALID
            if item > self.item:
                waiting = base
        if waiting < 0:
            return self.work.append(self.scratch)
        self.work.words[waiting] &= self.scratch[0]
        return self.join(self.scratch, 0, self.work.words, waiting)
