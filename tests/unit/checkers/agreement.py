"""The tests that every near-linear checker has to stand: the oracle's verdict, and minimal witnesses."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
from object_histories import is_explained, small_history, tries, weaken
from object_specs import Spec

from checkers import Linearizable, Model
from harness.history import History
from harness.protocols import Checker
from harness.verdict import Verdict


def verdict_of(checker: Checker, spec: Spec, history: History) -> Verdict:
    """Return a checker's verdict, which is the oracle's, with witnesses that the oracle confirms."""
    items = tries(history)
    expected = "valid" if is_explained(spec, items) else "invalid"
    verdict = checker.check(history)
    text = "\n".join(msgspec.json.encode(op).decode() for op in history.events)
    assert verdict.status == expected, f"{expected} expected, but {verdict}\n{text}"
    for anomaly in verdict.anomalies:
        kept = set(anomaly.witness)
        invocations = sorted(kept & {item.invoke for item in items})
        assert len(kept) == 2 * len(invocations), f"{anomaly}\n{text}"
        assert not is_explained(spec, weaken(spec, items, kept)), f"no proof: {anomaly}\n{text}"
        for invocation in invocations:
            assert is_explained(spec, weaken(spec, items, kept - {invocation})), f"not minimal: {anomaly}\n{text}"
    return verdict


def agree(checker: Checker, spec: Spec, seed: int, count: int, most: int = 10) -> Sequence[Verdict]:
    """Check `count` random histories; both verdicts must come often."""
    rng = random.Random(seed)
    verdicts = [
        verdict_of(checker, spec, small_history(spec, lambda below: int(rng.random() * below), most))
        for _ in range(count)
    ]
    statuses = [verdict.status for verdict in verdicts]
    assert min(statuses.count("valid"), statuses.count("invalid")) > count / 20, "both verdicts are well tried"
    return verdicts


def agree_with_search(checker: Checker, model: Model, spec: Spec, count: int) -> None:
    """Check longer random histories; the general engine decides nearly all of them, and in the same way."""
    rng = random.Random(count)
    decided = 0
    for _ in range(count):
        history = small_history(spec, lambda below: int(rng.random() * below), most=24)
        expected = Linearizable(model, max_configurations=3_000).check(history).status
        status = checker.check(history).status
        assert status != "unknown"
        if expected != "unknown":
            decided += 1
            assert status == expected, "\n".join(msgspec.json.encode(op).decode() for op in history.events)
    assert decided > count * 0.8
