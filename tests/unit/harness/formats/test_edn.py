"""EDN is read as Clojure reads it, and what is no EDN is refused at its place."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.formats.edn import DEPTH_MAX, Map, Tagged, read, read_all, read_elements
from harness.formats.edn_atoms import Char, EdnError, Keyword, Symbol
from harness.formats.edn_writer import write

K = Keyword

READ = {
    "nil": None,
    "true": True,
    "false": False,
    "-12": -12,
    "+7": 7,
    "5N": 5,
    "123456789012345678901234567890N": 123456789012345678901234567890,
    "0x1F": 31,
    "017": 15,
    "2r101": 5,
    "1.5e3": 1500.0,
    "2.5M": Decimal("2.5"),
    "3/4": Fraction(3, 4),
    "4/2": 2,
    "##Inf": math.inf,
    ":a": K("a"),
    ":a.b/c-d?": K("a.b/c-d?"),
    ":1": K("1"),
    "foo": Symbol("foo"),
    "a/b": Symbol("a/b"),
    "/": Symbol("/"),
    "-": Symbol("-"),
    "->x": Symbol("->x"),
    r"\a": Char("a"),
    r"\newline": Char("\n"),
    r"\u03bb": Char("λ"),
    r"\{": Char("{"),
    r"\\": Char("\\"),
    r'"a\"b\\c\n\t} {"': 'a"b\\c\n\t} {',
    r'"\u00e9\ud83d\ude00"': "é😀",
    '"two\nlines"': "two\nlines",
    "[1 2,3]": (1, 2, 3),
    "(1 (2) [])": (1, (2,), ()),
    "#{1 :a}": frozenset({1, K("a")}),
    "{:a {1 2}, [1] #{}}": Map({K("a"): Map({1: 2}), (1,): frozenset()}),
    "#:n{:a 1, :m/b 2, 3 4}": Map({K("n/a"): 1, K("m/b"): 2, 3: 4}),
    '#inst "2020-01-01T00:00:00Z"': Tagged("inst", "2020-01-01T00:00:00Z"),
    "#jepsen.history.Op{:index 0}": Tagged("jepsen.history.Op", Map({K("index"): 0})),
    "#a #b 1": Tagged("a", Tagged("b", 1)),
    "[1 #_ 2 3]": (1, 3),
    "[#_ #_ 1 2 3]": (3,),
    "{:a #_ :skipped 1}": Map({K("a"): 1}),
    "{:a #_(b [c]) [1 ; }\n 2]}": Map({K("a"): (1, 2)}),
    "; only this\n 1 ; and not that": 1,
    "{:value [[1 2] [3 4]] :f :cas}": Map({K("value"): ((1, 2), (3, 4)), K("f"): K("cas")}),
    "{:a[1]:b 2}": Map({K("a"): (1,), K("b"): 2}),
}

REFUSED = {
    "": "one value was expected",
    "1 2": "one value was expected",
    "[1": r"\[ is never completed",
    "{:a 1": r"\{ is never completed",
    "(": r"\( is never completed",
    "]": r"\] closes nothing",
    "[1}": r"\} stands where \[",
    "{:a}": "a key without a value",
    "{:a 1 :b}": "a key without a value",
    "{:a 1 :a 2}": "twice in a map",
    "#{1 1}": "twice in a set",
    '"abc': "never closed",
    r'"a\q"': "no escape",
    r'"\ud83d"': "surrogate",
    r"\nothing": "no character",
    "::a": "no keyword",
    ":": "no keyword",
    "1a": "no number",
    "1/0": "no number",
    "08": "no number",
    "##Nan": "no value",
    "@a": "no value",
    "^{:a 1} b": "no value",
    "#_": "never completed",
    "#tag": "never completed",
    "#1 2": "no tag",
    "# 0": "no tag",
    "#:a 1": "no map follows",
    "[" * (DEPTH_MAX + 1): "levels of nesting",
    "9" * 5_000: "no number",
}


@pytest.mark.parametrize("text", READ)
def test_reads(text: str) -> None:
    """Each form of the specification means what Clojure takes it for."""
    value = read(text)
    assert value == READ[text]
    assert type(value) is type(READ[text])


@pytest.mark.parametrize("text", REFUSED)
def test_refuses(text: str) -> None:
    """What is no EDN is an EdnError that says why."""
    with pytest.raises(EdnError, match=REFUSED[text]):
        read(text)


def test_errors_know_their_place() -> None:
    """The offset of an error is that of what is wrong, inside a map that is read at one go too."""
    text = "{:a 1}\n{:b 1x}\n"
    with pytest.raises(EdnError) as caught:
        list(read_all(text))
    assert caught.value.offset == text.index("1x")


def test_elements_come_one_at_a_time() -> None:
    """The elements of a vector are read one by one, with their offsets; nothing may follow the vector."""
    assert list(read_elements(" [{:a 1}\n 2]")) == [(2, Map({K("a"): 1})), (10, 2)]
    with pytest.raises(EdnError, match="something follows"):
        list(read_elements("[1] 2"))
    with pytest.raises(EdnError, match="never closed"):
        list(read_elements("[1 [2]"))
    with pytest.raises(EdnError, match="was expected"):
        list(read_elements("1"))


_NAMES = st.from_regex(r"[a-z*!?][a-z0-9.*+!_?$%&=<>-]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("nil", "true", "false")
)
_ATOMS = (
    st.none()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.builds(Keyword, _NAMES)
    | st.builds(Symbol, _NAMES)
    | st.builds(Char, st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF))
    | st.fractions().filter(lambda value: value.denominator > 1)
    | st.decimals(allow_nan=False, allow_infinity=False)
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(inner, max_size=4).map(tuple)
        | st.frozensets(inner, max_size=4)
        | st.dictionaries(inner, inner, max_size=4).map(Map)
        | st.builds(Tagged, _NAMES, inner)
    )


VALUES: st.SearchStrategy[Any] = _ATOMS | st.deferred(lambda: _containers(VALUES))


@given(VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    """Writing and reading a value gives the same value."""
    assert read(write(value)) == value


@given(st.text() | st.text(alphabet='[](){}#_"\\:;,/ \n01naeM+-^'))
@example("{:a [}")
@example("{[}")
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the text is, it is read or an EdnError whose offset lies in the text."""
    try:
        for offset, _ in read_all(text):
            assert 0 <= offset < len(text)
    except EdnError as error:
        refused_at = error.offset
    else:
        refused_at = 0
    assert 0 <= refused_at <= len(text)


@given(st.lists(VALUES.map(write), max_size=5), st.randoms(use_true_random=False))
def test_a_flat_map_means_what_its_words_mean(words: list[str], random: Any) -> None:
    """Maps that are read at one go are read as any other: a comment inside, which forces that, changes nothing."""
    text = " ".join(f":k{number} {word}" for number, word in enumerate(words))
    assert read(f"{{{text}}}") == read(f"{{{text} ;\n}}")
