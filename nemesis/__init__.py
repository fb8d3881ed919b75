"""Faults: what there is (FAMILIES), when they come (schedule), and who injects and heals them (Nemesis)."""

from nemesis.family import FAMILIES, Family, family
from nemesis.nemesis import Nemesis, calls

__all__ = ["FAMILIES", "Family", "Nemesis", "calls", "family"]
