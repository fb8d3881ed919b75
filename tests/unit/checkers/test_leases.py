"""Honest leases: each anomaly beside its nearest valid twin, and a correct service, in its every freedom, unaccused."""

from __future__ import annotations

import time
from random import Random

import pytest
from lock_histories import Locks

from checkers.leases import HonestLocks
from checkers.mutual_exclusion import MutualExclusion
from harness.verdict import Verdict

LATE_S = 3.0


def check(locks: Locks) -> Verdict:
    return HonestLocks(late_s=LATE_S).check(locks.history())


def kinds(locks: Locks) -> list[str]:
    return [anomaly.kind for anomaly in check(locks).anomalies]


@pytest.mark.parametrize("f", ["extend", "is_held", "release"])
def test_who_is_told_of_the_end_within_the_ttl_has_lost_early(f: str) -> None:
    """The answer must have come before the TTL, counted from the acquire's invoke, was over."""
    verdict = check(Locks().grant(1, 1.0, 1.1).ask(1, f, 2.5, 2.9, held=False))
    (anomaly,) = verdict.anomalies
    assert (verdict.status, anomaly.kind, anomaly.key, anomaly.witness) == ("invalid", "lost early", "l", (0, 1, 2, 3))
    assert anomaly.summary == (
        'lock "l" of process 1 (token 1) was said at 2.90 s to have ended, but it was asked for no earlier than 1.00 '
        "s, for 2 s, and nobody had ended it"
    )
    assert kinds(Locks().grant(1, 1.0, 1.1).ask(1, f, 2.5, 3.0, held=False)) == []


def test_what_was_there_afterwards_was_denied_and_not_lost() -> None:
    """By its holder's own question, or by another's that it refuses; one that was asked before says nothing."""

    def told() -> Locks:
        return Locks().grant(1, 1.0, 1.1).ask(1, "is_held", 2.0, 2.2, held=False)

    assert kinds(told().ask(1, "is_held", 2.3, 2.9)) == ["denied"]
    assert kinds(told().ask(1, "extend", 2.3, 2.9)) == ["denied"]
    assert kinds(told().refused(2, 2.3, 2.9, 1)) == ["denied"]
    assert kinds(told().refused(2, 2.1, 2.9, 1)) == ["lost early"]


def test_an_acknowledged_extend_keeps_it_alive_and_others_do_not() -> None:
    """The TTL counts anew from the invoke of an extend that was acknowledged, and of no other."""
    extended = Locks().grant(1, 1.0, 1.1).ask(1, "extend", 2.5, 2.6)
    assert kinds(extended.ask(1, "is_held", 4.0, 4.4, held=False)) == ["lost early"]
    for outcome in ("info", "fail"):
        locks = Locks().grant(1, 1.0, 1.1).op(1, "extend", 2.5, 2.6, outcome)
        assert kinds(locks.ask(1, "is_held", 4.0, 4.4, held=False)) == []


@pytest.mark.parametrize("outcome", ["ok", "fail", "info"])
def test_what_its_holder_gave_back_is_not_lost(outcome: str) -> None:
    """After a release, whatever came of it, the end is no surprise."""
    locks = Locks().grant(1, 1.0, 1.1).op(1, "release", 1.2, 1.3, outcome, held=True)
    assert kinds(locks.ask(1, "is_held", 1.4, 1.5, held=False)) == []


def test_a_grant_within_anothers_hold_is_early_where_it_is_no_double_grant() -> None:
    """Its client's own TTL was over when the reply came, but the service gave it what another one had."""
    owner = Locks().grant(1, 1.0, 1.1, ttl=5)
    verdict = check(owner.grant(2, 2.0, 4.5, 2, ttl=2))
    assert [anomaly.kind for anomaly in verdict.anomalies] == ["early grant"]
    assert verdict.anomalies[0].summary == (
        'process 2 (token 2) asked for lock "l" at 2.00 s and was granted it at 4.50 s, while process 1 (token 1) had '
        "it, from 1.10 s until 5.95 s at least: its TTL of 5 s was over no earlier"
    )
    assert kinds(Locks().grant(1, 1.0, 1.1, ttl=5).grant(2, 2.0, 6.0, 2, ttl=2)) == []
    assert kinds(Locks().grant(1, 1.0, 1.1, ttl=5).grant(2, 1.05, 4.5, 2, ttl=2)) == []
    double = Locks().grant(1, 1.0, 1.1, ttl=5).grant(2, 2.0, 3.0, 2, ttl=2)
    assert (kinds(double), MutualExclusion().check(double.history()).status) == ([], "invalid")


def test_a_grant_that_had_ended_when_it_was_made_is_early() -> None:
    """The service's own account is enough; the same grant without it is none."""
    verdict = check(Locks().op(1, "acquire", 1.0, 4.0, token=None, ttl_s=2, ended=True))
    assert [anomaly.kind for anomaly in verdict.anomalies] == ["early grant"]
    assert verdict.anomalies[0].summary == (
        'process 1 asked for lock "l" at 1.00 s and was granted it at 4.00 s, with a lease that had ended before: by '
        "the service's own account nothing was left of it when it granted it"
    )
    assert kinds(Locks().op(1, "acquire", 1.0, 4.0, token=None, ttl_s=2)) == []


@pytest.mark.parametrize("seen", ["is_held", "extend", "refused"])
def test_who_is_there_long_after_its_ttl_is_late(seen: str) -> None:
    """Later than the bound after the TTL, counted from the return of the last renewal, by clocks that run slower."""
    for asked, expected in ((6.2, ["late expiry"]), (6.1, [])):
        locks = Locks().grant(1, 1.0, 1.1)
        if seen == "refused":
            locks.refused(2, asked, asked + 0.1, 1)
        else:
            locks.ask(1, seen, asked, asked + 0.1)
        assert kinds(locks) == expected


def test_a_renewal_that_may_have_come_late_excuses() -> None:
    """An extend of unknown outcome may take effect at any time, and a slow one as late as its reply."""
    assert kinds(Locks().grant(1, 1.0, 1.1).op(1, "extend", 1.2, 1.3, "info").refused(2, 60, 60.1, 1)) == []
    assert kinds(Locks().grant(1, 1.0, 1.1).op(1, "extend", 1.2, None).refused(2, 60, 60.1, 1)) == []
    assert kinds(Locks().grant(1, 1.0, 1.1).ask(1, "extend", 1.2, 5.0).refused(2, 9, 9.1, 1)) == []
    assert kinds(Locks().grant(1, 1.0, 1.1).op(1, "extend", 1.2, 1.3, "fail").refused(2, 9, 9.1, 1)) == ["late expiry"]


def test_faults_and_new_leaders_begin_time_anew() -> None:
    """A lock may be late by a whole TTL after the last fault, and after the last new leader."""

    def late() -> Locks:
        return Locks().grant(1, 1.0, 1.1).refused(2, 9, 9.1, 1)

    assert kinds(late()) == ["late expiry"]
    assert kinds(late().fault(2, 8.5)) == []
    assert kinds(late().fault(2, 20)) == []
    assert kinds(late().fault(2, 3)) == ["late expiry"]
    assert kinds(late().term(0.1, 2).term(5.0, 3)) == []
    assert kinds(late().term(0.1, 2).term(5.0, 2)) == ["late expiry"]


def test_what_has_ended_does_not_come_back() -> None:
    """After it was told to have ended, or was given back, nobody must find it there."""
    gone = Locks().grant(1, 1.0, 1.1).ask(1, "is_held", 4.0, 4.1, held=False)
    assert kinds(gone.ask(1, "extend", 4.2, 4.3)) == ["revived"]
    released = Locks().grant(1, 1.0, 1.1).ask(1, "release", 1.2, 1.3)
    assert kinds(released.refused(2, 1.4, 1.5, 1)) == ["revived"]
    for outcome in ("info", "fail"):
        locks = Locks().grant(1, 1.0, 1.1).op(1, "release", 1.2, 1.3, outcome, held=True)
        assert kinds(locks.refused(2, 1.4, 1.5, 1)) == []
    assert kinds(Locks().grant(1, 1.0, 1.1).ask(1, "release", 1.2, 1.5).refused(2, 1.4, 1.6, 1)) == []


def test_a_token_that_was_given_twice_tells_nobodys_lock() -> None:
    """A refusal by a token of two grants is evidence about neither."""
    locks = Locks().grant(1, 1.0, 1.1).ask(1, "release", 1.2, 1.3).grant(2, 2.0, 2.1, 1)
    assert kinds(locks.refused(3, 2.2, 2.3, 1)) == []


class Service:
    """A correct lock service with all its freedom: when a call takes effect, how late a lease ends, lost replies."""

    def __init__(self, random: Random, locks: Locks) -> None:
        self.random, self.locks = random, locks
        self.token, self.until, self.tardy = 0, 0.0, 0.0
        self.now = 0.0

    def call(self, process: int, f: str, token: int) -> tuple[str, int]:
        """Do one call of a client at the service's next instant; return its outcome and the token."""
        random = self.random
        at = self.now + random.uniform(0.001, 0.4)
        begin, end = self.now + random.random() * (at - self.now), at + random.choice((0.0, 0.01, 0.5))
        self.now = at
        stands = at < self.until + self.tardy
        outcome = random.choices(("ok", "info", "fail"), (8, 1, 1))[0]
        happened = outcome == "ok" or (outcome == "info" and random.random() < 0.5)
        value: dict[str, object] = {}
        if f == "try_acquire":
            if stands:
                value, outcome = {"observed": {"token": self.token}}, "fail" if outcome == "ok" else outcome
            elif happened:
                self.token += 1
                self._live(at)
                value = {"token": self.token, "ttl_s": 2.0}
        elif happened:
            held = stands and token == self.token
            value = {"held": held}
            if held and f == "extend":
                self._live(at)
            elif held and f == "release":
                self.until = self.tardy = 0.0
        if outcome == "info":
            value = {}
        self.locks.op(process, f, begin, end, outcome, **value)
        self.now = at
        return outcome, self.token

    def _live(self, at: float) -> None:
        self.until, self.tardy = at + 2.0 * self.random.uniform(0.995, 1.005), self.random.uniform(0, 0.9 * LATE_S)


def test_a_correct_service_is_never_accused() -> None:
    """Whatever such a service answers, and whichever replies are lost, neither checker finds anything."""
    seen = set()
    for seed in range(300):
        random, locks = Random(seed), Locks()
        service = Service(random, locks)
        tokens: dict[int, int] = {}
        processes, free = [0, 1, 2, 3], 4
        for _ in range(40):
            place = random.randrange(4)
            process = processes[place]
            service.now += random.choice((0.0, 0.2, 1.5))
            f = random.choice(("extend", "is_held", "release")) if process in tokens else "try_acquire"
            service.now = max(service.now, locks.busy_until(process))
            outcome, token = service.call(process, f, tokens.get(process, 0))
            seen.add((f, outcome))
            if outcome == "info":
                processes[place], free = free, free + 1
            elif f == "try_acquire" and outcome == "ok":
                tokens[process] = token
            elif f == "release" and outcome == "ok":
                del tokens[process]
        history = locks.history()
        for checker in (MutualExclusion(), HonestLocks(late_s=LATE_S)):
            verdict = checker.check(history)
            assert verdict.status == "valid", (seed, verdict.anomalies)
    assert len(seen) == 12


def test_a_long_history_takes_little_time() -> None:
    """100,000 events of one lock with refusals, all valid."""
    locks = Locks()
    for number in range(12_500):
        at = float(number)
        locks.grant(number % 20, at, at + 0.1, number + 1).refused(21, at + 0.2, at + 0.25, number + 1)
        locks.ask(number % 20, "extend", at + 0.3, at + 0.4).ask(number % 20, "release", at + 0.5, at + 0.6)
    history = locks.history()
    history.columns  # noqa: B018 - paired once, for all checkers
    start = time.process_time()
    assert HonestLocks(late_s=LATE_S).check(history).status == "valid"
    assert time.process_time() - start < 3.0  # a machine may be slow; benchmarks/evidence.py tells how fast it is
