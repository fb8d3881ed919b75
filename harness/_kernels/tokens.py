"""The words of JSON that a scan knows: null, a boolean, an integer, plain text, and a list of two.

What else JSON has (a fraction, an object, another list, text with escapes) is skipped, as its spelling: where it ends
is found by its quotes and brackets alone, so whoever reads the file must still decode it, to see that it is valid.

Each method reads at a place of the data, and returns where the data goes on, or 0 where something else stands. There
is always a line's end behind, at which all of them stop. Types stand in tokens.pxd.
"""

from __future__ import annotations

from typing import Any, Final

import cython
import numpy as np

if cython.compiled:
    from cython.cimports.harness._kernels.ids import Ids
else:
    from harness.plain_kernel import plain

    Ids = plain("harness._kernels.ids").Ids

NULL: Final = 0
FALSE: Final = 1
TRUE: Final = 2
INTEGER: Final = 3  # the number, 0
TEXT: Final = 4  # begin and end in the data, without the quotes
OTHER: Final = 5  # begin and end in the data
PAIR: Final = 6  # ids of the elements

_NULL = cython.declare(cython.int, NULL)
_TRUE = cython.declare(cython.int, TRUE)
_INTEGER = cython.declare(cython.int, INTEGER)
_TEXT = cython.declare(cython.int, TEXT)
_OTHER = cython.declare(cython.int, OTHER)
_PAIR = cython.declare(cython.int, PAIR)

_WORDS: Final = (b"null", b"false", b"true")


@cython.cclass
class Tokens:
    """The data, the words that are looked for in it, and the word that was read last."""

    def __init__(self, data: Any, literals: Any) -> None:
        known = (*_WORDS, *literals)
        self.data = data
        self.literals = b"".join(known)
        self.bounds = np.cumsum([0, *map(len, known)], dtype=np.int32)
        self.values = Ids(data)
        self.values.find(NULL, 0, 0)

    def literal(self, at, which):
        """Return where the data goes on after a literal, or 0. No literal but the last has a line's end in it."""
        place: cython.int
        for place in range(self.bounds[which], self.bounds[which + 1]):
            if self.data[at] != self.literals[place]:
                return 0
            at += 1
        return at

    def number(self, at):
        """Read an integer of up to 18 digits into `one`."""
        negative: cython.bint = self.data[at] == 45
        begin: cython.Py_ssize_t
        number: cython.longlong = 0
        if negative:
            at += 1
        begin = at
        while 48 <= self.data[at] <= 57:
            number = number * 10 + (self.data[at] - 48)
            at += 1
            if at - begin > 18:
                return 0
        if at == begin or (self.data[begin] == 48 and (at - begin > 1 or negative)):
            return 0
        self.kind = _INTEGER
        self.one = -number if negative else number
        self.two = 0
        return at

    def text(self, at):
        """Return where plain text ends, after its quote."""
        while self.data[at] != 34:
            if self.data[at] < 32 or self.data[at] > 126 or self.data[at] == 92:
                return 0
            at += 1
        return at + 1

    def any_text(self, at):
        """Return where text ends, after its quote; text that is not plain makes the line doubtful."""
        after: cython.Py_ssize_t = self.text(at)
        if after != 0:
            return after
        self.doubt = True
        return self.quoted(at)

    def blank(self, at):
        """Return where blanks end; 0 stays 0."""
        if at == 0:
            return 0
        while self.data[at] == 32 or self.data[at] == 9 or self.data[at] == 13:
            at += 1
        return at

    def line_end(self, at):
        while self.data[at] != 10:
            at += 1
        return at + 1

    def simple(self, at):
        """Read null, a boolean, an integer or plain text into `kind`, `one` and `two`."""
        begin: cython.Py_ssize_t = at
        kind: cython.int
        if self.data[at] == 34:
            at = self.text(at + 1)
            self.kind, self.one, self.two = _TEXT, begin + 1, at - 1
            return at
        if self.data[at] < 97:
            return self.number(at)
        for kind in range(_NULL, _TRUE + 1):
            at = self.literal(begin, kind)
            if at != 0:
                self.kind, self.one, self.two = kind, 0, 0
                return at
        return 0

    def known(self):
        """Return the number of the value that was read last."""
        return self.values.find(self.kind, self.one, self.two)

    def content(self, at):
        """Read any value; the elements of a list of two are `seen_old` and `seen_new`."""
        begin: cython.Py_ssize_t = at
        old: cython.int
        if self.data[at] != 91:
            return self.element(at)
        at = self.blank(self.element(self.blank(at + 1)))
        if at == 0 or self.data[at] != 44:
            return self.other(begin)
        kind: cython.int = self.kind
        one: cython.longlong = self.one
        two: cython.longlong = self.two
        at = self.blank(self.element(self.blank(at + 1)))
        if at == 0 or self.data[at] != 93 or not self.ends(at + 1):
            return self.other(begin)
        old = self.values.find(kind, one, two)
        self.seen_old, self.seen_new = old, self.known()
        self.kind, self.one, self.two = _PAIR, self.seen_old, self.seen_new
        return at + 1

    def element(self, at):
        """Read any value, a list of two as its spelling."""
        after: cython.Py_ssize_t = self.simple(at)
        if after != 0 and self.ends(after):
            return after
        return self.other(at)

    def ends(self, at):
        """Say whether a value may end before this place."""
        return self.data[at] in (9, 10, 13, 32, 44, 93, 125)

    def other(self, at):
        """Skip a value by its quotes and brackets; its begin and end are `one` and `two`."""
        begin: cython.Py_ssize_t = at
        depth: cython.int = 0
        while True:
            if self.data[at] == 34:
                at = self.quoted(at + 1)
                if at == 0:
                    return 0
            elif self.data[at] == 91 or self.data[at] == 123:
                depth += 1
                at += 1
            elif depth > 0 and (self.data[at] == 93 or self.data[at] == 125):
                depth -= 1
                at += 1
            elif self.data[at] == 10 or (depth == 0 and self.ends(at)):
                break
            else:
                at += 1
            if depth == 0 and self.ends(at):
                break
        if depth > 0 or at == begin:
            return 0
        self.kind, self.one, self.two = _OTHER, begin, at
        return at

    def quoted(self, at):
        """Return where any text ends, after its quote."""
        while self.data[at] != 34:
            if self.data[at] == 92:
                at += 1
            if self.data[at] < 32:
                return 0
            at += 1
        return at + 1
