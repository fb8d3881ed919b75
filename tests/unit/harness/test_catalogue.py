"""What the lists of the command tell."""

from __future__ import annotations

from harness import catalogue
from nemesis import FAMILIES
from nemesis.packets import PacketsParams
from nemesis.process import ProcessParams


def test_every_parameter_of_every_family_is_told_with_what_it_may_be() -> None:
    """None is of a kind that the list has no word for."""
    for name, each in FAMILIES.items():
        told = catalogue.parameters_of(each.params)
        assert set(told) == set(each.params.__struct_encode_fields__), name
        assert "any" not in told.values(), name


def test_choices_are_listed_and_other_values_named_by_their_kind() -> None:
    """A choice among words, a number, a list of names; also where a word is added to the choices."""
    told = catalogue.parameters_of(ProcessParams)
    assert set(told["action"].split("|")) >= {"stop", "signal", "memory"}
    assert (told["period_s"], told["nodes"], told["signal"]) == ("number", "names", "text")
    assert {"halves", "all"} < set(catalogue.parameters_of(PacketsParams)["shape"].split("|"))


def test_what_is_no_part_of_all_says_why() -> None:
    """With the reason that its family gives."""
    assert f"{'':12}not in all: {FAMILIES['damage'].apart}" in list(catalogue.nemeses())
