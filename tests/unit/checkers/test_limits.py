"""Time and memory are bounded; what they leave undecided is said, and hides no anomaly."""

from __future__ import annotations

from itertools import count

import pytest
from drawn_history import draw

from checkers import MODELS, Linearizable, linearizable
from checkers.object_models import COUNTER
from harness.errors import HistoryError, UsageError
from harness.history import History
from harness.op import Op


def _hard_key(key: str, first_process: int, writes: int = 12, read: int = 3) -> list[dict[str, object]]:
    """Return overlapping writes, half of which complete while a read is open: thousands of configurations.

    One value is written twice, or the key would not be hard.
    """
    first = {"process": first_process, "f": "write", "key": key, "value": 0}
    calls = [{"process": first_process + n, "f": "write", "key": key, "value": n} for n in range(writes)]
    reader = {"process": first_process + 99, "f": "read", "key": key}
    events: list[dict[str, object]] = [first | {"type": "invoke"}, first | {"type": "ok"}]
    events += [call | {"type": "invoke"} for call in calls]
    events += [reader | {"type": "invoke"}]
    events += [call | {"type": "ok"} for call in calls[::2]]
    events += [reader | {"type": "ok", "value": read}]
    return events + [call | {"type": "ok"} for call in calls[1::2]]


def _history(*parts: list[dict[str, object]]) -> History:
    events = [fields for part in parts for fields in part]
    return History([Op(index=at, time=at, **fields) for at, fields in enumerate(events)])


def _stale_key(key: str, first_process: int) -> list[dict[str, object]]:
    drawing = draw("w4 : [-]", "w9 :     [-]", "r4 :         [-]", key=key)
    names = ("type", "f", "key", "value")
    return [
        {name: getattr(op, name) for name in names} | {"process": first_process + int(op.process)}
        for op in drawing.events
    ]


def test_memory_limit_names_the_key_and_the_events() -> None:
    """Too many configurations: unknown, with the key, the limit and the window of events."""
    verdict = Linearizable(MODELS["register"], max_configurations=20).check(_history(_hard_key("k1", 0)))
    assert verdict.status == "unknown"
    assert verdict.reasons == ("key 'k1': undecided, the limit of 20 configurations was met at events 2 to 15",)
    assert not verdict.anomalies


def test_time_limit_is_measured_by_the_clock_that_is_given() -> None:
    """A clock that runs fast ends the search: unknown, with the limit in seconds."""
    ticks = count()
    checker = Linearizable(MODELS["register"], time_limit_s=5.0, clock=lambda: float(next(ticks)))
    verdict = checker.check(_history(*(_hard_key(f"k{key}", 1000 * key) for key in range(20))))
    assert verdict.status == "unknown"
    assert len(verdict.reasons) == 11
    assert "the time limit of 5 s was met at events" in verdict.reasons[0]
    assert verdict.reasons[-1].endswith("more keys are undecided")


def test_a_hard_key_hides_no_anomaly() -> None:
    """An undecided key leaves a bad one after it invalid, and is still named."""
    history = _history(_hard_key("hard", 0), _stale_key("bad", 1000))
    verdict = Linearizable(MODELS["register"], max_configurations=20).check(history)
    assert verdict.status == "invalid"
    assert [anomaly.key for anomaly in verdict.anomalies] == ["bad"]
    assert verdict.reasons[0].startswith("key 'hard': undecided")


def _add(process: int, key: str, value: int) -> dict[str, object]:
    return {"process": process, "f": "add", "key": key, "value": value}


def test_a_key_that_takes_long_leaves_time_for_the_others() -> None:
    """A key that would take all the time gets its share of it, so that a bad key after it is found."""
    adds = [_add(number, "hard", 1 << number) for number in range(16)]
    read = {"process": 99, "f": "read", "key": "hard"}
    hard = [call | {"type": "invoke"} for call in [*adds, read]]
    hard += [read | {"type": "ok", "value": -1}, *(call | {"type": "ok"} for call in adds)]
    one, late = _add(1000, "bad", 1), {"process": 1000, "f": "read", "key": "bad"}
    bad = [one | {"type": "invoke"}, one | {"type": "ok"}, late | {"type": "invoke"}, late | {"type": "ok", "value": 7}]
    ticks = count()
    checker = Linearizable(COUNTER, time_limit_s=20.0, clock=lambda: next(ticks) / 10)
    verdict = checker.check(_history(hard, bad))
    assert verdict.status == "invalid"
    assert [anomaly.key for anomaly in verdict.anomalies] == ["bad"]
    assert verdict.reasons[0].startswith("key 'hard': undecided, the time limit")


def test_an_unknown_operation_is_an_error() -> None:
    """An operation that the model does not know gives no verdict, but says what the model knows."""
    with pytest.raises(UsageError, match="the model register knows read, write, but not cas"):
        linearizable("register").check(draw("c1>2 : [-]"))


def test_a_cas_without_two_values_is_an_error() -> None:
    """A cas whose value is not [old, new] gives no verdict, but names its event."""
    event = {"process": 1, "f": "cas", "key": "k", "value": 7}
    with pytest.raises(HistoryError, match="event 0: the value of a cas is 7"):
        linearizable("cas-register").check(_history([event | {"type": "invoke"}, event | {"type": "ok"}]))


def test_an_unknown_model_is_an_error() -> None:
    """The error names the models that there are."""
    with pytest.raises(UsageError) as caught:
        linearizable("queue")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("the models are: register, cas-register")
