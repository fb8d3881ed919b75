"""Scripts: each process plays its own, is told how its calls ended, and pauses."""

from __future__ import annotations

from random import Random

from harness.generator import Context, Generator, Script, Wait, script
from harness.op import Call, EventType


def told(outcomes: list[EventType | None]) -> Generator:
    """A script of two calls with a pause between that notes what it was sent."""

    def play(random: Random) -> Script:
        outcomes.append((yield Call("a")))
        outcomes.append((yield 2.0))
        outcomes.append((yield Call("b")))

    return script(play)


def test_a_script_is_sent_how_each_call_ended() -> None:
    """A call's outcome is the value of its yield, a pause's is None, and after the last step there is no more."""
    outcomes: list[EventType | None] = []
    source = told(outcomes).start(Random(1))
    context = Context(0, 0, 1, 1)

    def end(outcome: EventType) -> None:
        for listener in context.on_end:
            listener(outcome)
        context.on_end = []

    assert source.next(context) == Call("a")
    end("fail")
    assert source.next(context) == Wait(2_000_000_000)
    context.time_ns = 1_999_999_999
    assert source.next(context) == Wait(2_000_000_000)
    context.time_ns = 2_000_000_000
    assert source.next(context) == Call("b")
    end("ok")
    assert source.next(context) is None
    assert source.next(context) is None
    assert outcomes == ["fail", None, "ok"]


def test_each_process_plays_its_own() -> None:
    """Two workers are at different places, and a process that takes the place of a retired one begins anew."""
    source = told([]).start(Random(1))
    one, two = Context(0, 0, 2, 2), Context(1, 1, 2, 2)
    assert source.next(one) == Call("a")
    assert source.next(two) == Call("a")
    assert isinstance(source.next(two), Wait)
    one.process = 2
    assert source.next(one) == Call("a")
