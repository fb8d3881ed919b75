"""Faults: what there is (FAMILIES), when they come (schedule, language), and who injects and heals them (Nemesis)."""

from nemesis.family import FAMILIES, Family, family, rights
from nemesis.moments import Lookout
from nemesis.nemesis import Nemesis

__all__ = ["FAMILIES", "Family", "Lookout", "Nemesis", "family", "rights"]
