"""Each reduction of the forward engine, broken: the oracle notices."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from types import ModuleType

import pytest
from drawn_history import draw
from test_forward_against_oracle import OBJECTS, REGISTERS, Case, agree, case_of, narrow

from checkers import _kernels
from checkers.linearizability import split

_LAYERS = ("configs", "steps", "frontier", "moves", "forward")
NAMES = [*REGISTERS, *OBJECTS]
_BATCH = 200
_BATCHES = 40

BROKEN = {
    "what changes nothing is not owed": (
        "steps",
        "if self.after(state, self.slot_kind[slot]) == state:",
        "if self.after(state, self.slot_kind[slot]) != 0:",
    ),
    "only a blind operation absorbs": (
        "moves",
        "if blind and self.scratch[1 + words + word]",
        "if self.scratch[1 + words + word]",
    ),
    "only blind ones are absorbed": ("moves", "            if self.blind[kind]:", "            if True:"),
    "an absorbed operation may still happen last": (
        "forward",
        "if self.front.words[base + 1 + word] & bit:",
        "if False:",
    ),
    "of equal ones, the earliest return comes first": (
        "moves",
        "        for place in range(self.opened):\n            slot = self.order[place]",
        "        for place in reversed(range(self.opened)):\n            slot = self.order[place]",
    ),
    "only a blind operation makes the one before it useless": ("moves", "if head & 1 and blind:", "if head & 1:"),
    "what is owed happens for itself": ("moves", "if seen or (owed and not blind):", "if seen:"),
    "an unknown outcome is used once": ("moves", "if used >= self.pending[lane]:", "if False:"),
    "an unknown outcome that is open need not happen": (
        "forward",
        "if certain and self.after(state, kind) != state:",
        "if self.after(state, kind) != state:",
    ),
    "as many as may be needed never run out, and no fewer": ("moves", ">= self.enough(lane):", ">= 0:"),
    "what is still to complete may need them": (
        "forward",
        "        self.opened -= 1\n        self.left -= 1",
        "        self.opened -= 1\n        self.left = 0",
    ),
    "dominance compares what is usable": (
        "frontier",
        "count += popcount(row[base + word] & ~rows[other + word])",
        "count += 0",
    ),
    "dominance compares what is owed": (
        "frontier",
        "count += popcount(rows[other + words + word] & ~row[base + words + word])",
        "count += 0",
    ),
    "dominance compares what was used": (
        "frontier",
        "                    count += 1",
        "                    count += 0",
    ),
    "what the beam drops is noted": (
        "frontier",
        "        self.dropped = True\n        return _VALID\n\n    def beyond",
        "        return _VALID\n\n    def beyond",
    ),
    "what is kept only once is noted": (
        "configs",
        "                        self.merged = True",
        "                        self.merged = False",
    ),
    "a cover that begins afresh may use what is open": (
        "forward",
        "if not self.pure[self.slot_kind[slot]]:\n                self.scratch",
        "if False:\n                self.scratch",
    ),
    "a cover that begins afresh has every state": (
        "forward",
        "for state in range(1, len(self.table) // self.kinds):",
        "for state in range(2, len(self.table) // self.kinds):",
    ),
    "what a thrifty beam saves is noted": (
        "moves",
        "        self.dropped = True\n        if code == _VALID and",
        "        if code == _VALID and",
    ),
    "a cover may use what either may": (
        "frontier",
        "rows[other + word] |= row[base + word]",
        "rows[other + word] &= row[base + word]",
    ),
    "a cover owes what both do": (
        "frontier",
        "rows[other + words + word] &= row[base + words + word]",
        "rows[other + words + word] |= row[base + words + word]",
    ),
    "unknown outcomes are useful until they cannot be seen": (
        "forward",
        "self.retire(self.row)",
        "self.retire(self.row + 8)",
    ),
}


def _mutant(monkeypatch: pytest.MonkeyPatch, layer: str, old: str, new: str) -> ModuleType:
    """Return the plain kernel with one layer changed."""
    for name in _LAYERS:
        source = (Path(_kernels.__file__).parent / f"{name}.py").read_text()
        if name == layer:
            assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in {name}.py"
            source = source.replace(old, new)
        module = ModuleType(f"plain_checkers__kernels_{name}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return sys.modules["plain_checkers__kernels_forward"]


def _rare() -> Case:
    """Return a history in which it matters which of two unknown outcomes was used; a random one hardly ever is."""
    history = draw("w1 : [", "c->1 : [", "r1 : [-]", "w5 :     [-]", "r5 :         [-]", "r1 :             [-]")
    (key,) = split(history, REGISTERS["cas-register"])
    return history, key.ops, "valid"


def _survives(mutant: ModuleType) -> bool:
    rng = random.Random(1)
    try:
        agree("cas-register", [_rare()], mutant)
        for batch in range(_BATCHES):
            name = NAMES[batch // 2 % len(NAMES)] if batch % 2 else "cas-register"
            agree(name, [case_of(name, lambda below: int(rng.random() * below), 12) for _ in range(_BATCH)], mutant)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("what", BROKEN)
def test_the_oracle_notices_a_broken_reduction(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one line of the kernel changed, some small history gets a wrong verdict."""
    narrow(monkeypatch)
    assert not _survives(_mutant(monkeypatch, *BROKEN[what]))


def test_the_kernel_itself_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    """What catches mutants does not catch the kernel as it is."""
    narrow(monkeypatch)
    assert _survives(_mutant(monkeypatch, "forward", "        self.opened = 0", "        self.opened = 0"))
