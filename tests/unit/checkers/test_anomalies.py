"""Each anomaly beside its nearest valid twin: the kind, the sentence and the witness."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from drawn_history import draw

from checkers import linearizable
from harness.history import History
from harness.op import Op
from harness.verdict import Anomaly


def _status(*lines: str) -> str:
    return linearizable("cas-register").check(draw(*lines)).status


def _anomaly(*lines: str) -> Anomaly:
    verdict = linearizable("cas-register").check(draw(*lines))
    assert verdict.status == "invalid"
    (anomaly,) = verdict.anomalies
    return anomaly


def test_stale_read() -> None:
    """A read that begins after a newer write returned must not see the older value; one that overlaps it may."""
    stale = _anomaly("w4 : [-]", "w9 :     [-]", "r4 :         [--]", "r9 :              [-]")
    assert stale.kind == "stale read"
    assert stale.summary == (
        "read of 4 by process 2 began at 0.90 s, after write of 9 by process 1 had returned at 0.70 s, "
        "and 4 was overwritten by it"
    )
    assert stale.witness == (0, 1, 2, 3, 4, 5)
    assert _status("w4 : [-]", "w9 :     [----]", "r4 :         [--]", "r9 :              [-]") == "valid"


def test_stale_read_of_the_initial_value() -> None:
    """A key that was written must not read as never written."""
    stale = _anomaly("w9 : [-]", "r- :     [-]", "r9 :         [-]")
    assert (stale.kind, stale.witness) == ("stale read", (0, 1, 2, 3))
    assert "nothing can have put null there again" in stale.summary
    assert _status("w9 : [-?", "r- :     [-]", "r9 :         [-]") == "valid"


def test_resurrected_value() -> None:
    """Once a newer value was read, a read that begins later must not see the older one."""
    lines = ["w4 : [", "w9 :  [", "r4 :   [-]", "r9 :       [-]", "r4 :           [-]"]
    found = _anomaly(*lines)
    assert (found.kind, len(found.witness)) == ("resurrected value", 6)
    assert found.summary.endswith("4 is older: read of 4 by process 2 had returned before that")
    assert _status(*lines[:-1], "r4 :        [--]") == "valid"
    assert _status(*lines, "w4 :  [") == "valid"


def test_value_never_written() -> None:
    """A read must see a value that some write may have put there; a failed write has not."""
    found = _anomaly("w4 : [-]", "r7 :     [-]", "w7!: [---]")
    assert (found.kind, found.witness) == ("value never written", (3, 5))
    assert "no write or cas to 7 ever succeeded or may have" in found.summary
    assert _status("w4 : [-]", "r7 :     [-]", "w7 : [---?") == "valid"


def test_future_read() -> None:
    """A read that returned before the first write of its value began cannot have seen it."""
    found = _anomaly("r4 : [-]", "w4 :     [-]")
    assert (found.kind, found.witness) == ("future read", (0, 1))
    assert found.summary == (
        "read of 4 by process 0 returned at 0.30 s, before write of 4 by process 1, the first to write that, "
        "began at 0.50 s"
    )
    assert _status("r4 : [---]", "w4 :    [-]") == "valid"


def test_lost_update_of_two_cas() -> None:
    """Only one of two cas can replace a value that was there once."""
    found = _anomaly("w4   : [-]", "c4>8 :     [--]", "c4>9 :      [--]")
    assert found.kind == "lost update"
    assert found.summary.endswith("4 was written only once, by process 0: one of them overwrote the other unseen")
    assert _status("w4   : [-]", "c4>8 :     [--]", "c4>9!:      [--]") == "valid"
    assert _status("w4   : [-]", "c4>8 :     [--]", "c8>9 :      [--]") == "valid"
    assert _anomaly("c->8 : [-]", "c->9 : [-]").summary.endswith(
        "null was there only at the start: one of them overwrote the other unseen"
    )


def test_lost_update_of_a_write() -> None:
    """A write that returned and that nothing ever saw, while the older value lives on, is lost and not just stale."""
    found = _anomaly("w4 : [-]", "w9 :     [-]", "r4 :         [-]", "r4 :             [-]")
    assert found.kind == "lost update"
    assert "nothing is known to have seen 9" in found.summary
    assert _status("w4 : [-]", "w9 :     [-?", "r4 :         [-]", "r4 :             [-]") == "valid"


def test_cas_on_an_overwritten_value_loses_the_write() -> None:
    """A cas that succeeds on a value after a newer write returned has lost that write, whoever saw it."""
    lines = ["w4   : [-]", "w9   :     [-]", "r9   :         [-]"]
    found = _anomaly(*lines, "c4>7 :             [-]")
    assert found.kind == "lost update"
    assert found.summary.endswith("had returned at 0.70 s, and 4 was overwritten by it")
    assert _status(*lines, "c9>7 :             [-]") == "valid"


def test_failed_cas_is_evidence_of_what_it_observed() -> None:
    """A failed cas that tells what it saw is a read; one that does not says nothing."""
    found = _anomaly("w4     : [-]", "w9     :     [-]", "c7>8!4 :         [-]", "r9     :             [-]")
    assert found.kind == "stale read"
    assert found.summary.startswith("failed cas from 7 that saw 4 by process 2 began at")
    assert _status("w4     : [-]", "w9     :     [-]", "c7>8!9 :         [-]") == "valid"
    assert _status("w4     : [-]", "c4>8!  :     [-]", "r4     :         [-]") == "valid"


def test_a_read_is_called_a_read_though_a_failed_cas_saw_the_same_value_before() -> None:
    """And not by the other's name."""
    stale = _anomaly("w4 : [-]", "c2>3!4 :     [-]", "w9 :         [-]", "r4 :             [-]")
    assert stale.summary.startswith("read of 4 by process 3 began")


def test_failed_cas_that_saw_what_it_asked_for() -> None:
    """A cas must not fail where it saw the very value that it asked for."""
    found = _anomaly("w4     : [-]", "c4>8!4 :     [-]")
    assert found.summary == (
        "failed cas from 4 that saw 4 by process 1 failed, at 0.70 s, although that is the value it asked for"
    )
    assert _status("w4     : [-]", "w5     :     [-]", "c4>8!5 :     [-]") == "valid"


def test_general_kind_lists_the_operations() -> None:
    """Two clients that disagree on the order of two writes fit no pattern: the sentence lists what they did."""
    lines = ["w4 : [--]", "w9 : [--]", "r4 :      [---]", "r9 :      [---]"]
    found = _anomaly(*lines)
    assert found.kind == "not linearizable"
    assert found.summary == (
        "no order of these operations explains what each of them saw: write of 4 by process 0 (0.10 s to 0.40 s); "
        "write of 9 by process 1 (0.10 s to 0.40 s); read of 4 by process 2 (0.60 s to 1.00 s); "
        "read of 9 by process 3 (0.60 s to 1.00 s)"
    )
    assert _status(*lines[:3], "r9 :   [------]") == "valid"


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("w4 : [-]",),
        ("w4 : [",),
        ("w4 : [?", "c4>5 : [?", "r- : [?"),
        ("r- : [-]",),
        ("w4!: [-]", "r- : [-]"),
    ],
)
def test_little_histories_are_valid(lines: tuple[str, ...]) -> None:
    """Nothing, one operation, or only unknown outcomes accuse nobody."""
    assert _status(*lines) == "valid"


def test_an_unknown_write_may_take_effect_late() -> None:
    """A write of unknown outcome may take effect at any later time, but never before it was invoked, and once."""
    assert _status("w4 : [?", "w9 :    [-]", "r9 :        [-]", "r4 :            [-]") == "valid"
    assert _status("r4 : [-]", "w4 :     [-?") == "invalid"
    assert _status("w4 : [?", "w9 :    [-]", "r4 :     [-------]", "r9 :   [---------]", "r4 : [-------]") == "valid"


def test_each_key_is_reported_once_and_the_first_ten_in_full() -> None:
    """More than ten bad keys are counted, not proved; a key that is fine is not named."""
    events = []
    for key in range(14):
        drawing = draw("w4 : [-]", "w9 :     [-]", "r4 :         [-]" if key else "r9 :         [-]", key=f"k{key}")
        events += drawing.events
    numbered = [msgspec.structs.replace(op, index=at, time=at) for at, op in enumerate(events)]
    verdict = linearizable("cas-register").check(History(numbered))
    assert [anomaly.key for anomaly in verdict.anomalies] == [f"k{key}" for key in range(1, 11)]
    assert verdict.reasons == ("3 more keys are not linearizable",)


@pytest.mark.parametrize(
    ("value", "other"),
    [(True, 1), ([1, {"b": None, "a": False}], [1, {"a": 0, "b": None}]), ("1", 1), ({}, [])],
)
def test_values_are_any_json(value: Any, other: Any) -> None:
    """Values compare as JSON does, True not being 1, and a sentence shows them as JSON."""
    write = {"f": "write", "key": {"name": [1]}, "process": 0, "value": value}
    read = {"f": "read", "key": {"name": [1]}, "process": 0}
    for seen, status in ((value, "valid"), (other, "invalid")):
        fields = [{**write, "type": "invoke"}, {**write, "type": "ok"}, {**read, "type": "invoke"}]
        fields.append({**read, "type": "ok", "value": seen})
        history = History([Op(index=at, time=at, **event) for at, event in enumerate(fields)])
        verdict = linearizable("register").check(history)
        assert verdict.status == status
    (anomaly,) = verdict.anomalies
    assert anomaly.key == {"name": [1]}
    assert anomaly.summary.startswith(f"read of {json.dumps(other)} by process 0 returned at")
