"""The table of outcomes: what is definite, and that nothing else is."""

from __future__ import annotations

import pytest

from clusters.etcd.outcomes import DEFINITE, Refusal, is_definite


@pytest.mark.parametrize("refusal", DEFINITE)
def test_each_refusal_is_definite_and_argued(refusal: Refusal) -> None:
    """An error of the table is definite, whatever follows its beginning, and the table says why."""
    assert is_definite(refusal.code, refusal.details + "; last error: …")
    assert refusal.why


@pytest.mark.parametrize(
    ("code", "details"),
    [
        ("UNAVAILABLE", "etcdserver: request timed out"),
        ("UNAVAILABLE", "etcdserver: request timed out, possibly due to previous leader failure"),
        ("UNAVAILABLE", "etcdserver: leader changed"),
        ("UNAVAILABLE", "etcdserver: server stopped"),
        ("UNAVAILABLE", "etcdserver: no leader"),
        ("UNAVAILABLE", "Socket closed"),
        ("UNAVAILABLE", "recvmsg:Connection reset by peer"),
        ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded"),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded"),
        ("INTERNAL", "etcdserver: too many requests"),
        ("UNKNOWN", ""),
    ],
)
def test_what_may_have_happened_is_not_definite(code: str, details: str) -> None:
    """Errors that are raised while, or after, the write may be applied are left indefinite."""
    assert not is_definite(code, details)
