"""What does not come to pass after the last heal: stuck, beside everything that excuses it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from checkers.liveness import Liveness
from harness.history import History
from harness.op import Op
from harness.verdict import Verdict

S = 1_000_000_000


def phase(begin_s: float, end_s: float | None, late: Any = ()) -> list[Any]:
    """The run's last phase."""
    mark = {"process": "run", "f": "final", "time": begin_s, "type": "invoke", "value": {"late": list(late)}}
    return [mark] + ([{"process": "run", "f": "final", "time": end_s, "type": "ok"}] if end_s is not None else [])


def tries(f: str, key: str, kind: str, *begins_s: float, lasting_s: float = 1.0, process: int = 1) -> list[Any]:
    """Operations that end so, each by a process of its own."""
    found = []
    for at, begin_s in enumerate(begins_s):
        base = {"process": process + 10 * at, "f": f, "key": key}
        found += [base | {"time": begin_s, "type": "invoke"}]
        found += [base | {"time": begin_s + lasting_s, "type": kind, "error": None if kind == "ok" else "why"}]
    return found


def fault(end_s: float, verified: bool = True) -> list[Any]:
    base: dict[str, Any] = {"process": "nemesis", "key": 0, "value": {"kind": "kill"}}
    heal = {"f": "heal", "time": end_s, "type": "ok" if verified else "info", "error": None if verified else "why"}
    inject = base | {"f": "inject", "time": 1}
    return [inject | {"type": "invoke"}, inject | {"type": "ok"}, base | heal | {"type": "invoke"}, base | heal]


def check(*parts: list[Any], exclusive: bool = False) -> Verdict:
    events = sorted((event for part in parts for event in part), key=lambda event: event["time"])
    raw = [{"index": at} | event | {"time": int(event["time"] * S)} for at, event in enumerate(events)]
    return Liveness(("take",), 10.0, exclusive=exclusive).check(History([msgspec.convert(event, Op) for event in raw]))


STUCK = tries("take", "k", "info", 10, 14, 19.1)


def test_stuck() -> None:
    """Tries for longer than the bound, none of which succeeded, after all was healed and every node served."""
    (found,) = check(phase(9, 24), STUCK, fault(8)).anomalies
    assert (found.kind, found.key) == ("stuck", "k")
    assert found.summary == (
        'all was healed and every node served at 9.00 s, but none of 3 tries of take on "k" succeeded between 10.00 s '
        "and 20.10 s; the last said: why"
    )
    assert len(found.witness) == 4


@pytest.mark.parametrize(
    "parts",
    [
        [phase(9, 24), tries("take", "k", "info", 10, 14, 18.9)],
        [phase(9, 24), STUCK, tries("take", "k", "ok", 15, process=2)],
        [phase(9, 24), tries("take", "k", "info", 10, 14), tries("take", "other", "info", 19.1)],
        [phase(9, 24), tries("look", "k", "info", 10, 14, 19.1)],
        [phase(9, 24), tries("take", "k", "info", 10, 14, 20, lasting_s=0.3)],
        [phase(15, 24), STUCK],
        [phase(9, None), STUCK],
        [phase(9, 24, late=["n1"]), STUCK],
        [phase(9, 24), fault(8, verified=False), STUCK],
        [phase(9, 24), tries("take", "k", "info", 10, 14, 19.1)[:1]],
        [STUCK],
    ],
    ids=[
        "within the bound", "one success", "by key", "not named", "cut off too soon", "before the phase",
        "cut off phase", "a node was late", "not healed", "no completion", "no phase",
    ],
)  # fmt: skip
def test_what_excuses_it(parts: list[Any]) -> None:
    """Anything that may have been in the way, or too little trying, accuses nobody."""
    assert check(*parts) == Verdict(status="valid")


def test_refusals_count() -> None:
    """Tries that failed at once are as good as those that hung."""
    assert check(phase(9, 24), tries("take", "k", "fail", 10, 15, 20, lasting_s=0.1)).status == "invalid"


def test_what_a_try_may_have_taken_can_be_refused_to_others() -> None:
    """A lock that a try of unknown outcome may hold is not stuck; one that is always refused is, or never answered."""
    refused = tries("take", "k", "fail", 14, 20, lasting_s=0.1)
    unknown = tries("take", "k", "info", 10, process=2)
    assert check(phase(9, 24), refused, unknown, exclusive=True).status == "valid"
    assert check(phase(9, 24), refused, unknown).status == "invalid"
    assert check(phase(9, 24), tries("take", "k", "fail", 10, 15, 20), exclusive=True).status == "invalid"
    assert check(phase(9, 24), STUCK, exclusive=True).status == "invalid"
