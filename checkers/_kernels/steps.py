"""What a step does to a state: from a closed table, or asked of the model once and noted.

States are numbered from 1; STUCK (0) is what a step gives that cannot happen.
"""

from array import array

import cython

_VALID = cython.declare(cython.int, 1)
_TIME = cython.declare(cython.int, 4)
_ADMITS = cython.declare(cython.int, 256)


@cython.cclass
class Steps:
    """The steps of a model, and which open operations change nothing in which state."""

    def __init__(self, ops, tables, ask, clock, deadline):
        self.kind, self.invoke, self.ret, self.never = ops
        self.kinds, self.pure, self.blind, self.targets, self.table = tables
        self.closed = len(self.table) > 0
        self.pair_mask = 1023
        self.pair_count = 0
        self.pairs = array("q", bytes(8 * 1024))
        self.afters = array("i", bytes(4 * 1024))
        self.ask = ask
        self.clock = clock
        self.deadline = deadline
        self.steps = 0
        self.words = 0

    def widen(self, words):
        """Make room for `words` times 64 open operations."""
        room: cython.int = 64 * words
        self.words = words
        self.order = array("i", bytes(4 * room))
        self.slot_kind = array("i", bytes(4 * room))
        self.slot_op = array("i", bytes(4 * room))
        self.taken = array("Q", bytes(8 * words))
        self.admit_state = array("i", bytes(4 * _ADMITS))
        self.admit_version = array("i", bytes(4 * _ADMITS))
        self.admit_mask = array("Q", bytes(8 * _ADMITS * words))
        self.version = 1

    def after(self, state, kind):
        """Return the state after an operation of this kind, or 0; asks the model once for each pair."""
        if self.closed:
            return self.table[state * self.kinds + kind]
        pair: cython.longlong = cython.cast(cython.longlong, state) * self.kinds + kind
        at: cython.int = cython.cast(cython.int, (pair ^ (pair >> 17)) & self.pair_mask)
        while self.pairs[at]:
            if self.pairs[at] == pair:
                return self.afters[at]
            at = (at + 1) & self.pair_mask
        reached: cython.int
        with cython.gil:
            reached = self.learn(pair, state, kind)
        return reached

    def learn(self, pair, state, kind):
        """Ask the model, and note its answer."""
        reached: cython.int = self.ask(state, kind)
        old_pairs: cython.longlong[::1] = self.pairs
        old_afters: cython.int[::1] = self.afters
        size: cython.int = self.pair_mask + 1
        at: cython.int
        if 2 * self.pair_count >= size:
            self.pair_mask = 4 * size - 1
            self.pair_count = 0
            self.pairs = array("q", bytes(8 * 4 * size))
            self.afters = array("i", bytes(4 * 4 * size))
            for at in range(size):
                if old_pairs[at]:
                    self.note(old_pairs[at], old_afters[at])
        self.note(pair, reached)
        return reached

    def note(self, pair, reached):
        at: cython.int = cython.cast(cython.int, (pair ^ (pair >> 17)) & self.pair_mask)
        while self.pairs[at]:
            at = (at + 1) & self.pair_mask
        self.pairs[at] = pair
        self.afters[at] = reached
        self.pair_count += 1
        return _VALID

    def admit(self, state):
        """Return where in `admit_mask` the open operations stand that leave this state as it is."""
        words: cython.int = self.words
        line: cython.int = state & (_ADMITS - 1)
        base: cython.int = line * words
        if self.admit_state[line] == state and self.admit_version[line] == self.version:
            return base
        one: cython.ulonglong = 1
        place: cython.int
        slot: cython.int
        for place in range(words):
            self.admit_mask[base + place] = 0
        for place in range(self.opened):
            slot = self.order[place]
            if self.after(state, self.slot_kind[slot]) == state:
                self.admit_mask[base + (slot >> 6)] |= one << (slot & 63)
        self.admit_state[line] = state
        self.admit_version[line] = self.version
        return base

    def spent(self):
        """Look at the clock."""
        over: cython.bint
        with cython.gil:
            over = self.clock() >= self.deadline
        return _TIME if over else _VALID
