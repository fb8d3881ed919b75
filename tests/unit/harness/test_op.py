"""Operations: JSON's own equality."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.op import Op, freeze

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=2),
    max_leaves=4,
)


def same_json(one: Any, two: Any) -> bool:
    """Say whether two values are equal in JSON, the slow and plain way."""
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same_json, one, two))
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same_json(one[name], two[name]) for name in one)
    return type(one) is type(two) and one == two


@given(json_values, json_values)
def test_freeze_has_the_equality_of_json(one: Any, two: Any) -> None:
    """Frozen values are hashable, and equal exactly where the JSON is."""
    assert (freeze(one) == freeze(two)) == same_json(one, two)
    assert len({freeze(one), freeze(two)}) == 2 - same_json(one, two)


@pytest.mark.parametrize(
    ("one", "two"),
    [(True, 1), (False, 0), ([], {}), ([["list", 1]], [[1]]), (["bool", True], True), ([None], []), ([1], [True])],
)
def test_freeze_tells_apart(one: Any, two: Any) -> None:
    """Values that look alike in Python, or after freezing, are told apart."""
    assert freeze(one) != freeze(two)


def test_a_number_is_the_same_with_and_without_a_fraction() -> None:
    """JSON knows one kind of number."""
    assert freeze(1) == freeze(1.0)
    assert freeze((1, 2)) == freeze([1, 2])


def test_an_event_cannot_be_changed() -> None:
    """What was recorded stays as it is."""
    with pytest.raises(AttributeError):
        Op(0, 0, 0, "ok", "read").value = 1  # type: ignore[misc]


def test_defaults_are_left_out_of_the_line() -> None:
    """A line holds what there is to say; null as observed is something to say."""
    assert msgspec.json.encode(Op(0, 1, 2, "ok", "read")) == b'{"index":0,"time":1,"process":2,"type":"ok","f":"read"}'
    assert b'"observed":null' in msgspec.json.encode(Op(0, 1, 2, "fail", "cas", observed=None))
