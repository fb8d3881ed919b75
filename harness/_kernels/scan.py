"""History.jsonl straight into columns.

It knows lines with the members in any order and with blanks between them, and keys that are null, a boolean, an
integer of up to 18 digits or plain ASCII text without escapes. On any other line of a client it gives up, and whoever
called it reads the file in the general way; so it does where events do not pair. It thus never has to say what is wrong
with a file. Lines that it need not understand (the nemesis's, a node's, or an error with escapes) are listed, for the
caller to hold to the format. A line as the recorder writes it, in its order and without blanks, is tried first: that is
twice as fast.

Values are numbered in order of appearance, those that tokens.py knows so that equal ones, and only those, get one
number. All other values are numbered by their spelling, and the caller finds the equal ones among them. Types stand in
scan.pxd.
"""

from __future__ import annotations

from typing import Any, Final

import cython
import numpy as np

if cython.compiled:
    from cython.cimports.harness._kernels.ids import Ids
    from cython.cimports.harness._kernels.tokens import Tokens

    from harness._kernels.ids import ROOM, column
    from harness._kernels.tokens import INTEGER, NULL, TEXT
else:
    from harness.plain_kernel import plain

    ids_kernel = plain("harness._kernels.ids")
    Ids, ROOM, column = ids_kernel.Ids, ids_kernel.ROOM, ids_kernel.column
    tokens_kernel = plain("harness._kernels.tokens")
    Tokens, NULL = tokens_kernel.Tokens, tokens_kernel.NULL
    INTEGER, TEXT = tokens_kernel.INTEGER, tokens_kernel.TEXT

COMPILED: Final = cython.compiled

_NULL = cython.declare(cython.int, NULL)
_INTEGER = cython.declare(cython.int, INTEGER)
_TEXT = cython.declare(cython.int, TEXT)

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
)
_NAMES: Final = (
    b'index"', b'time"', b'process"', b'type"', b'f"', b'node"', b'key"', b'value"', b'observed"', b'error"',
)  # fmt: skip
_TYPES: Final = (b'"ok"', b'"fail"', b'"info"', b'"invoke"')
_FIRST = cython.declare(cython.int, 3)  # of the literals; before them stand the words of tokens.py
_OF_TYPE = cython.declare(cython.int, 7)  # the literal of _OK; those of _FAIL, _INFO and _INVOKE follow
_NODE = cython.declare(cython.int, 11)
_KEY = cython.declare(cython.int, 12)
_VALUE = cython.declare(cython.int, 13)
_OBSERVED = cython.declare(cython.int, 14)
_ERROR = cython.declare(cython.int, 15)
_END = cython.declare(cython.int, 16)
_NAME = cython.declare(cython.int, 17)  # of "index"; those of the other members follow
_TYPE = cython.declare(cython.int, 27)  # of _OK; those of _FAIL, _INFO and _INVOKE follow
_MEMBERS = cython.declare(cython.int, 10)
_REQUIRED = cython.declare(cython.int, 5)  # the first ones of them
_TIME_PLACE = cython.declare(cython.int, 1)
_PROCESS_PLACE = cython.declare(cython.int, 2)
_TYPE_PLACE = cython.declare(cython.int, 3)
_F_PLACE = cython.declare(cython.int, 4)
_NODE_PLACE = cython.declare(cython.int, 5)
_KEY_PLACE = cython.declare(cython.int, 6)
_VALUE_PLACE = cython.declare(cython.int, 7)
_OBSERVED_PLACE = cython.declare(cython.int, 8)
_ERROR_PLACE = cython.declare(cython.int, 9)


@cython.cclass
class Scan(Tokens):
    """One file: its data, and the columns so far."""

    def __init__(self, data: Any, size: int) -> None:
        Tokens.__init__(self, data, (*_LITERALS, *_NAMES, *_TYPES))
        self.size = size
        self.fs, self.keys, self.processes = Ids(data), Ids(data), Ids(data)
        self.members = column("q", 10)
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
        after: cython.Py_ssize_t
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
            after = self.line(at)
            at = self.loose_line(at) if after == 0 else after
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
        """Read a line as the recorder writes it; return where the next one begins, or 0 for any other line."""
        outcome: cython.int
        after: cython.Py_ssize_t
        process: cython.longlong
        which: cython.int
        for which in range(3):
            at = self.literal(at, _FIRST + which)
            if at == 0:
                return 0
            if which == 2 and self.data[at] == 34:
                self.stranger = True
                return self.line_end(at)
            at = self.number(at)
            if at == 0:
                return 0
        process = self.one
        at = self.literal(at, _FIRST + 3)
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
        key_kind: cython.int = self.kind
        key_one: cython.longlong = self.one
        key_two: cython.longlong = self.two
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
        if at == 0:
            return 0
        if outcome == _INVOKE:
            key = self.keys.find(key_kind, key_one, key_two)
        return 0 if self.record(outcome, process, f, key, value) == _UNKNOWN else at

    def loose_line(self, at):
        """Read a line with its members in any order; return where the next one begins, or 0 where it is not known."""
        outcome: cython.int = 0
        after: cython.Py_ssize_t
        begin: cython.Py_ssize_t = at
        end: cython.Py_ssize_t = self.find_members(at)
        process: cython.longlong
        f: cython.int
        key: cython.int = -1
        value: cython.int = 0
        while end == 0 and self.data[at] != 10:  # whatever else it holds, it may name its process
            if self.data[at] == 34:
                after = self.blank(self.literal(at + 1, _NAME + _PROCESS_PLACE))
                if after != 0 and self.data[after] == 58 and self.data[self.blank(after + 1)] == 34:
                    self.stranger = True
                    return self.line_end(begin)
            at += 1
        if end == 0:
            return 0
        if self.data[self.members[_PROCESS_PLACE]] == 34:
            self.stranger = True
            return end
        if self.number(self.members[0]) == 0 or self.number(self.members[_TIME_PLACE]) == 0:
            return 0
        if self.number(self.members[_PROCESS_PLACE]) == 0 or self.data[self.members[_F_PLACE]] != 34:
            return 0
        process = self.one
        while outcome <= _INVOKE and self.literal(self.members[_TYPE_PLACE], _TYPE + outcome) == 0:
            outcome += 1
        if outcome > _INVOKE or (outcome == _INVOKE and self.members[_OBSERVED_PLACE] != 0):
            return 0
        at = self.members[_F_PLACE] + 1
        f = self.fs.find(_TEXT, at, self.text(at) - 1)
        self.kind = _NULL
        self.one = self.two = 0
        if self.members[_KEY_PLACE] != 0 and self.simple(self.members[_KEY_PLACE]) == 0:
            return 0
        if outcome == _INVOKE:
            key = self.keys.find(self.kind, self.one, self.two)
        self.seen_observed = self.seen_old = self.seen_new = -1
        if self.members[_VALUE_PLACE] != 0:
            if self.content(self.members[_VALUE_PLACE]) == 0:
                return 0
            value = self.known()
        if self.members[_OBSERVED_PLACE] != 0:
            if self.content(self.members[_OBSERVED_PLACE]) == 0:
                return 0
            self.seen_observed = self.known()
        return 0 if self.record(outcome, process, f, key, value) == _UNKNOWN else end

    def find_members(self, at):
        """Note where the value of each member of a line begins; return where the next line begins, or 0."""
        name: cython.int
        after: cython.Py_ssize_t
        for name in range(_MEMBERS):
            self.members[name] = 0
        if self.data[at] == 32:
            at = self.blank(at + 1)
        if self.data[at] != 123:
            return 0
        while True:
            at = self.blank(at + 1)
            if self.data[at] != 34:
                return 0
            name = 0
            after = 0
            while name < _MEMBERS and after == 0:
                after = self.literal(at + 1, _NAME + name)
                name += 1
            name -= 1
            at = self.blank(after)
            if at == 0 or self.data[at] != 58 or self.members[name] != 0:
                return 0
            at = self.blank(at + 1)
            self.members[name] = at
            at = self.blank(self.skip(name, at))
            if at == 0:
                return 0
            if self.data[at] != 44:
                break
        for name in range(_REQUIRED):
            if self.members[name] == 0:
                return 0
        if self.data[at] != 125:
            return 0
        at = self.blank(at + 1)
        return at + 1 if self.data[at] == 10 else 0

    def skip(self, name, at):
        """Return where the value of a member ends, or 0 for one that it cannot have, or that is not known."""
        if name in (_NODE_PLACE, _ERROR_PLACE):
            return self.any_text(at + 1) if self.data[at] == 34 else self.literal(at, _NULL)
        return self.element(at) if name in (_VALUE_PLACE, _OBSERVED_PLACE) else self.simple(at)

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
