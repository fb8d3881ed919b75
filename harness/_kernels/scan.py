"""History.jsonl as the recorder writes it, straight into columns.

It knows one shape of line: the members in the recorder's order, no spaces, and keys and values that are null, a
boolean, an integer of up to 18 digits, plain ASCII text without escapes, or (values) a list of two of those. On any
other line of a client it gives up, and whoever called it reads the file in the general way; so it does where events do
not pair. It thus never has to say what is wrong with a file. Lines that it need not understand (the nemesis's, a
node's, or an error with escapes) are listed, for the caller to hold to the format.

Values are numbered in order of appearance; equal ones, and only those, get one number, since what it knows has one
spelling each. Types stand in scan.pxd.
"""

from __future__ import annotations

from typing import Any, Final

import cython
import numpy as np

if cython.compiled:
    from cython.cimports.harness._kernels.ids import Ids

    from harness._kernels.ids import ROOM, column
else:
    from harness.plain_kernel import plain

    ids_kernel = plain("harness._kernels.ids")
    Ids, ROOM, column = ids_kernel.Ids, ids_kernel.ROOM, ids_kernel.column

NULL: Final = 0
FALSE: Final = 1
TRUE: Final = 2
INTEGER: Final = 3  # the number, 0
TEXT: Final = 4  # begin and end in the data, without the quotes
PAIR: Final = 5  # ids of the elements

COMPILED: Final = cython.compiled

_NULL = cython.declare(cython.int, NULL)
_FALSE = cython.declare(cython.int, FALSE)
_TRUE = cython.declare(cython.int, TRUE)
_INTEGER = cython.declare(cython.int, INTEGER)
_TEXT = cython.declare(cython.int, TEXT)
_PAIR = cython.declare(cython.int, PAIR)

_OK = cython.declare(cython.int, 0)
_FAIL = cython.declare(cython.int, 1)
_INFO = cython.declare(cython.int, 2)
_INVOKE = cython.declare(cython.int, 3)

_DONE = cython.declare(cython.int, 1)
_FULL = cython.declare(cython.int, 2)
_UNKNOWN = cython.declare(cython.int, 3)

_ROOM = cython.declare(cython.int, ROOM)


_LITERALS: Final = (
    b'{"index":',
    b',"time":',
    b',"process":',
    b',"type":"',
    b'ok","f":"',
    b'fail","f":"',
    b'info","f":"',
    b'invoke","f":"',
    b',"node":"',
    b',"key":',
    b',"value":',
    b',"observed":',
    b',"error":"',
    b"}\n",
    b"null",
    b"false",
    b"true",
)
_OF_TYPE = cython.declare(cython.int, 4)  # the literal of _OK; those of _FAIL, _INFO and _INVOKE follow
_NODE = cython.declare(cython.int, 8)
_KEY = cython.declare(cython.int, 9)
_VALUE = cython.declare(cython.int, 10)
_OBSERVED = cython.declare(cython.int, 11)
_ERROR = cython.declare(cython.int, 12)
_END = cython.declare(cython.int, 13)
_WORDS = cython.declare(cython.int, 14)  # of _NULL; those of _FALSE and _TRUE follow


@cython.cclass
class Scan:
    """One file: its data, and the columns so far."""

    def __init__(self, data: Any, size: int) -> None:
        self.data = data
        self.size = size
        self.literals = b"".join(_LITERALS)
        self.bounds = np.cumsum([0, *map(len, _LITERALS)], dtype=np.int32)
        self.fs, self.keys, self.values, self.processes = Ids(data), Ids(data), Ids(data), Ids(data)
        self.values.find(NULL, 0, 0)
        self.open_rows = column("q", self.processes.limit, -1)
        self.events = self.rows = self.strangers = self.doubts = 0

    def read(self, events: int) -> dict[str, Any] | None:
        """Read all lines; None where there is one that this loop does not know.

        Args:
            events: how many lines there are.
        """
        names = {
            "starts": "q",
            "strange": "q",
            "doubtful": "q",
            "invoke": "q",
            "complete": "q",
            "process": "q",
            "outcome": "b",
        }
        names |= {"f": "h", "key": "i", "value": "i", "result": "i", "observed": "i", "old": "i", "new": "i"}
        columns = {name: np.empty(events + 1, typecode) for name, typecode in names.items()}
        self.starts, self.strange, self.doubtful = columns["starts"], columns["strange"], columns["doubtful"]
        self.invoke, self.complete, self.process = columns["invoke"], columns["complete"], columns["process"]
        self.outcome, self.f, self.key = columns["outcome"], columns["f"], columns["key"]
        self.value, self.result, self.observed = columns["value"], columns["result"], columns["observed"]
        self.old, self.new = columns["old"], columns["new"]
        self.starts[0] = 0
        code: cython.int = _FULL
        while code == _FULL:
            for ids in (self.fs, self.keys, self.values, self.processes):
                ids.make_room()
            if len(self.open_rows) < self.processes.limit:
                wider = column("q", self.processes.limit, -1)
                wider[: len(self.open_rows)] = self.open_rows
                self.open_rows = wider
            with cython.nogil:
                code = self.lines()
        return columns if code == _DONE else None

    def lines(self):
        at: cython.Py_ssize_t = self.starts[self.events]
        while at < self.size:
            if (
                self.values.count + _ROOM > self.values.limit
                or self.keys.count + _ROOM > self.keys.limit
                or self.fs.count + _ROOM > self.fs.limit
                or self.processes.count + _ROOM > self.processes.limit
            ):
                return _FULL
            self.stranger = self.doubt = False
            at = self.line(at)
            if at == 0:
                return _UNKNOWN
            if self.stranger:
                self.strange[self.strangers] = self.events
                self.strangers += 1
            elif self.doubt:
                self.doubtful[self.doubts] = self.events
                self.doubts += 1
            self.events += 1
            self.starts[self.events] = at
        return _DONE

    def line(self, at):
        """Read one line; return where the next one begins, or 0 for a line that is not known."""
        outcome: cython.int
        after: cython.Py_ssize_t
        process: cython.longlong
        which: cython.int
        for which in range(3):
            at = self.literal(at, which)
            if at == 0:
                return 0
            if which == 2 and self.data[at] == 34:
                self.stranger = True
                return self.line_end(at)
            at = self.number(at)
            if at == 0:
                return 0
        process = self.one
        at = self.literal(at, 3)
        if at == 0:
            return 0
        for outcome in range(4):
            after = self.literal(at, _OF_TYPE + outcome)
            if after != 0:
                return self.rest(after, outcome, process)
        return 0

    def rest(self, at, outcome, process):
        """Read what follows the type: the name, and what may be left out."""
        begin: cython.Py_ssize_t = at
        after: cython.Py_ssize_t
        f: cython.int
        key: cython.int = -1
        value: cython.int = 0
        at = self.text(at)
        if at == 0:
            return 0
        f = self.fs.find(_TEXT, begin, at - 1)
        after = self.literal(at, _NODE)
        if after != 0:
            at = self.any_text(after)
            if at == 0:
                return 0
        after = self.literal(at, _KEY)
        self.kind = _NULL
        self.one = self.two = 0
        if after != 0:
            at = self.simple(after)
            if at == 0:
                return 0
        if outcome == _INVOKE:
            key = self.keys.find(self.kind, self.one, self.two)
        self.seen_observed = self.seen_old = self.seen_new = -1
        after = self.literal(at, _VALUE)
        if after != 0:
            at = self.content(after)
            if at == 0:
                return 0
            value = self.known()
        after = self.literal(at, _OBSERVED)
        if after != 0:
            if outcome == _INVOKE:
                return 0
            at = self.content(after)
            if at == 0:
                return 0
            self.seen_observed = self.known()
        after = self.literal(at, _ERROR)
        if after != 0:
            at = self.any_text(after)
            if at == 0:
                return 0
        at = self.literal(at, _END)
        if at == 0 or self.record(outcome, process, f, key, value) == _UNKNOWN:
            return 0
        return at

    def record(self, outcome, process, f, key, value):
        """Add an invocation, or complete the operation that is open."""
        row: cython.Py_ssize_t
        who: cython.int = self.processes.find(_INTEGER, process, 0)
        row = self.open_rows[who]
        if outcome == _INVOKE:
            if row >= 0:
                return _UNKNOWN
            row = self.rows
            self.rows += 1
            self.open_rows[who] = row
            self.invoke[row] = self.events
            self.complete[row] = -1
            self.outcome[row] = _INFO
            self.process[row] = process
            self.f[row] = f
            self.key[row] = key
            self.value[row] = value
            self.result[row] = self.observed[row] = -1
            self.old[row], self.new[row] = self.seen_old, self.seen_new
            return _DONE
        if row < 0 or self.f[row] != f:
            return _UNKNOWN
        self.open_rows[who] = -1
        self.complete[row] = self.events
        self.outcome[row] = outcome
        self.result[row] = value
        self.observed[row] = self.seen_observed
        return _DONE

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
        while self.data[at] != 34:
            if self.data[at] < 32:
                return 0
            if self.data[at] > 126:
                self.doubt = True
            if self.data[at] == 92:
                self.doubt = True
                at += 1
                if self.data[at] < 32:
                    return 0
            at += 1
        return at + 1

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
            at = self.literal(begin, _WORDS + kind)
            if at != 0:
                self.kind, self.one, self.two = kind, 0, 0
                return at
        return 0

    def known(self):
        """Return the number of the value that was read last."""
        return self.values.find(self.kind, self.one, self.two)

    def content(self, at):
        """Read a simple value, or a list of two; such a list's elements are `seen_old` and `seen_new`."""
        old: cython.int
        new: cython.int
        if self.data[at] != 91:
            return self.simple(at)
        at = self.simple(at + 1)
        if at == 0 or self.data[at] != 44:
            return 0
        old = self.known()
        at = self.simple(at + 1)
        if at == 0 or self.data[at] != 93:
            return 0
        new = self.known()
        self.seen_old, self.seen_new = old, new
        self.kind, self.one, self.two = _PAIR, old, new
        return at + 1
