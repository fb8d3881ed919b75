"""Two certain holders, and fences: each anomaly beside its nearest valid twin, and all double grants by brute force."""

from __future__ import annotations

import time
from itertools import combinations
from random import Random

import pytest
from lock_histories import Locks

from checkers.mutual_exclusion import MutualExclusion
from checkers.tenures import tenures
from harness.errors import HistoryError
from harness.lines import without_collections
from harness.verdict import Verdict


def check(locks: Locks) -> Verdict:
    return MutualExclusion().check(locks.history())


def kinds(locks: Locks) -> list[str]:
    return [anomaly.kind for anomaly in check(locks).anomalies]


def first_and_second(returned: float, ttl: float = 2.0) -> Locks:
    """Process 1 gets the lock from 1 to 1.1 s for `ttl`; process 2 is granted it at `returned`."""
    return Locks().grant(1, 1.0, 1.1, ttl=ttl).grant(2, returned - 0.2, returned, 2)


def test_a_grant_within_the_ttl_of_another_is_a_double_grant() -> None:
    """The TTL counts from the acquire's invoke: a grant that returns before that is over is one too many."""
    verdict = check(first_and_second(2.9))
    (anomaly,) = verdict.anomalies
    assert (verdict.status, anomaly.kind, anomaly.key, anomaly.witness) == (
        "invalid",
        "double grant",
        "l",
        (0, 1, 2, 3),
    )
    assert anomaly.summary == (
        'process 2 (token 2) was granted lock "l" at 2.90 s, but process 1 (token 1), which got it at 1.10 s, had it '
        "until 2.98 s at least: its TTL of 2 s was over no earlier"
    )


def test_a_grant_after_the_ttl_is_none() -> None:
    """A TTL that is over by the holder's own clock, and by clocks that run a little faster, is over."""
    assert kinds(first_and_second(3.0)) == []
    assert kinds(first_and_second(2.985)) == []


@pytest.mark.parametrize("f", ["release", "extend", "is_held"])
def test_who_gives_back_or_is_told_of_the_loss_holds_no_more(f: str) -> None:
    """From the invoke of a release, whatever comes of it, or of a question that is answered with no, nobody holds."""
    told = {"held": False} if f != "release" else {"held": True}
    assert kinds(first_and_second(2.5).op(1, f, 2.4, 2.6, **told)) == []
    assert kinds(first_and_second(2.5).op(1, f, 2.6, 2.7, **told)) == ["double grant"]
    if f == "release":
        for outcome in ("fail", "info"):
            assert kinds(first_and_second(2.5).op(1, f, 2.4, 2.6, outcome)) == []
        assert kinds(first_and_second(2.5).op(1, f, 2.4, None)) == []


def test_an_acknowledged_extend_prolongs_a_hold_and_another_one_does_not() -> None:
    """Only an answer counts, and from the extend's invoke."""
    assert kinds(first_and_second(4.2).ask(1, "extend", 2.5, 2.6)) == ["double grant"]
    assert kinds(first_and_second(4.49).ask(1, "extend", 2.5, 2.6)) == []
    assert kinds(first_and_second(4.2).op(1, "extend", 2.5, 2.6, "info")) == []
    assert kinds(first_and_second(4.2).op(1, "extend", 2.5, 2.6, "fail")) == []


def test_being_found_to_hold_is_evidence_up_to_the_question() -> None:
    """Who is told that it holds, or because of whom another one was refused, has not lost the lock before."""
    for locks in (first_and_second(3.5).ask(1, "is_held", 3.6, 3.7), first_and_second(3.5).refused(3, 3.6, 3.7, 1)):
        assert kinds(locks) == ["double grant"]
    for locks in (first_and_second(3.5).ask(1, "is_held", 3.4, 3.7), first_and_second(3.5).refused(3, 3.4, 3.7, 1)):
        assert kinds(locks) == []


def test_unknown_and_refused_grants_say_nothing() -> None:
    """An acquire without an acknowledged grant is nobody's hold; nor is one whose TTL was over when it returned."""
    for outcome in ("info", "fail"):
        locks = Locks().grant(1, 1.0, 1.1).op(2, "acquire", 1.2, 1.3, outcome)
        assert kinds(locks) == []
    assert kinds(Locks().grant(1, 1.0, 1.1).op(2, "acquire", 1.2, None)) == []
    assert kinds(Locks().grant(1, 1.0, 1.1).grant(2, 0.1, 2.5, 2)) == []


def test_locks_of_other_names_are_other_locks() -> None:
    """Two hold two locks, also where JSON tells their names apart and Python would not."""
    locks = Locks().grant(1, 1.0, 1.1)
    locks.op(2, "acquire", 1.2, 1.3, key="m", token=1, ttl_s=2)
    locks.op(3, "acquire", 1.2, 1.3, key=1, token=1, ttl_s=2).op(4, "acquire", 1.2, 1.3, key=True, token=1, ttl_s=2)
    assert kinds(locks) == []


def test_one_token_twice_is_broken_fencing() -> None:
    """Two grants with one token cannot be told apart, however far apart they are."""
    verdict = check(Locks().grant(1, 1, 1.1, 7).grant(2, 9, 9.1, 7))
    assert [anomaly.kind for anomaly in verdict.anomalies] == ["broken fencing"]
    assert "got the same token 7" in verdict.anomalies[0].summary
    assert kinds(Locks().grant(1, 1, 1.1, 7).grant(2, 9, 9.1, 8)) == []


def test_tokens_must_grow_in_real_time() -> None:
    """A smaller token for a grant that was asked for after a greater one was known; side by side it may be."""
    verdict = check(Locks().grant(1, 1, 1.1, 7).grant(2, 9, 9.1, 6))
    assert [anomaly.kind for anomaly in verdict.anomalies] == ["broken fencing"]
    assert verdict.anomalies[0].summary == (
        'the tokens of lock "l" went back: process 1 had got 7 by 1.10 s, and process 2, which asked at 9.00 s, got 6'
    )
    assert kinds(Locks().grant(1, 1, 9.05, 7).grant(2, 9, 9.1, 6)) == []


def stale_write(fenced: bool | None, token: int | None = 1) -> Locks:
    """Process 1 wakes up after its TTL, and writes after its successor has."""
    newer = None if token is None else token + 1
    locks = Locks().grant(1, 1.0, 1.1, token).op(1, "freeze", 1.2, 1.3).grant(2, 4.0, 4.1, newer)
    return locks.write(2, 4.2, 1, None if token is None else True).write(1, 4.3, 2, fenced)


def test_a_stale_write_that_the_fence_refused_is_unsafe_but_fenced() -> None:
    """It is no breach, so the verdict is valid, and one sentence tells of it."""
    verdict = check(stale_write(False))
    assert verdict.status == "valid"
    (reason,) = verdict.reasons
    assert reason == (
        'unsafe but fenced: process 1 (token 1) froze for longer than its TTL and then wrote under lock "l", at 4.30 '
        "s, though process 2 (token 2), which had been granted the lock meanwhile, had written at 4.20 s; no lock that "
        "ends by itself can prevent this: a plain resource took the write, one that checks fencing tokens refused it"
    )


def test_without_tokens_it_is_unsafe() -> None:
    """Where the system gives no tokens, real time tells which grant is newer, and nothing refuses."""
    verdict = check(stale_write(None, token=None))
    assert (verdict.status, verdict.reasons[0].partition(":")[0]) == ("valid", "unsafe")


def test_a_stale_token_that_the_fenced_resource_took_is_broken_fencing() -> None:
    """A fence that lets an old token in after a greater one is none."""
    assert kinds(stale_write(True)) == ["broken fencing"]


def test_writes_in_the_order_of_the_grants_are_safe() -> None:
    """Without a stale write there is nothing to tell."""
    assert check(Locks().grant(1, 1.0, 1.1).write(1, 1.2, 1).grant(2, 4.0, 4.1, 2).write(2, 4.2, 2)).reasons == ()


def test_values_that_no_lock_gives_are_an_error() -> None:
    """The message names the file and the event."""
    for locks in (
        Locks().op(1, "acquire", 1, 2, token="x", ttl_s=1),
        Locks().op(1, "acquire", 1, 2, token=1),
        Locks().op(1, "acquire", 1, 2, token=1, ttl_s=-1),
        Locks().grant(1, 0.1, 0.2).op(1, "extend", 1, 2),
        Locks().grant(1, 0.1, 0.2).op(1, "write", 1, 2, fenced=True),
    ):
        with pytest.raises(HistoryError, match=r"hand-made: event \d: an ok \w+ has no \w+ in its value"):
            check(locks)


def drawn(random: Random) -> Locks:
    """Random grants with renewals and ends, without any rule."""
    locks = Locks()
    for process in range(4):
        begin = random.uniform(0, 20)
        locks.grant(process, begin, at := begin + random.uniform(0, 1), process + 1, random.choice((1.0, 2.0)))
        for _ in range(random.randint(0, 3)):
            at += random.uniform(0.01, 1)
            f = random.choice(("extend", "is_held", "release"))
            locks.op(process, f, at, at + 0.1, random.choice(("ok", "ok", "info")), held=random.random() < 0.8)
            at += 0.1
    return locks


def test_every_double_grant_is_found() -> None:
    """The sweep finds one exactly where two of all pairs of certain holds overlap."""
    found = 0
    for seed in range(300):
        locks = drawn(Random(seed))
        holds = [(tenure.life.granted.end_ns, tenure.life.certain().until_ns) for tenure in tenures(locks.history())]
        pairs = combinations([hold for hold in holds if hold[0] < hold[1]], 2)
        expected = any(max(one[0], other[0]) < min(one[1], other[1]) for one, other in pairs)
        assert ("double grant" in kinds(locks)) == expected
        found += expected
    assert 30 < found < 270


def test_a_long_history_takes_little_time() -> None:
    """100,000 events of one lock, all valid."""
    locks = Locks()
    for number in range(12_500):
        at = float(number)
        locks.grant(number % 20, at, at + 0.1, number + 1).write(number % 20, at + 0.2, number)
        locks.ask(number % 20, "extend", at + 0.3, at + 0.4).ask(number % 20, "release", at + 0.5, at + 0.6)
    history = locks.history()
    history.columns  # noqa: B018 - paired once, for all checkers
    start = time.process_time()
    with without_collections():  # as in a run: to walk through this process's other objects is no part of the check
        assert MutualExclusion().check(history).status == "valid"
    assert time.process_time() - start < 3.0  # a machine may be slow; benchmarks/evidence.py tells how fast it is
