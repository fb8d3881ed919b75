"""Faults of disks as data: what is planned, what is refused, and what machines must be able to do for them."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from clusters.etcd import Etcd
from clusters.netns import NetnsBackend
from harness.config import RunConfig, Schedule, Step
from harness.errors import UsageError
from harness.protocols import Right
from harness.session import check_faults
from nemesis import FAMILIES, family, rights
from nemesis.disk import TROUBLES, DiskParams

NODES = ["n1", "n2", "n3", "n4", "n5"]
ONE: dict[str, Any] = {"target": "one", "nodes": ["n1"]}


def test_plans_have_every_trouble_on_every_target() -> None:
    """Over many seeds all troubles and targets come, and each plan is one that a file may have."""
    plans = [family("disk").check(family("disk").plan(Random(seed), NODES), NODES) for seed in range(300)]
    chosen = [plan for plan in plans if isinstance(plan, DiskParams)]
    assert {plan.trouble for plan in chosen} == set(TROUBLES)
    assert {plan.target for plan in chosen} == {"one", "minority", "majority", "all", "leader", "all-but-leader"}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"trouble": "slow"}, "a slow disk has hold_ms"),
        ({"trouble": "slow", "hold_ms": 5000}, "20 to 2000"),
        ({"trouble": "full", "hold_ms": 50}, "and no other has"),
        ({"trouble": "on fire"}, "Invalid enum value 'on fire'"),
    ],
)
def test_what_makes_no_sense_is_refused(params: dict[str, Any], said: str) -> None:
    """Parameters of another trouble and values out of bounds are usage errors."""
    with pytest.raises(UsageError, match=said):
        family("disk").check(ONE | params, NODES)


def test_rights_are_those_of_the_chosen_families() -> None:
    """Machines get the union of what the families take, and nothing where there are none."""
    assert rights([]) == rights(["kill", "pause", "membership"]) == frozenset()
    assert rights(["partition", "packets"]) == {Right.FILTER}
    assert rights(["power", "clock"]) == {Right.VOLUME, Right.TRACE}
    assert rights(FAMILIES) == set(Right)


def test_without_root_the_faults_of_disks_are_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this process may make no loop device, a schedule with one of these families is refused on namespaces."""
    monkeypatch.setattr("clusters.namespaces.has_loop_devices", lambda: False)
    backend = NetnsBackend("0")
    for kind in ("power", "disk"):
        schedule = Schedule((Step(fault=0, kind=kind, start_s=1, stop_s=2, params=ONE),))
        with pytest.raises(UsageError, match=f"no {kind} on the backend netns: .* root on this machine"):
            check_faults(schedule, RunConfig(system="etcd"), backend, Etcd())


@pytest.mark.parametrize(
    ("version", "option", "said"), [("", "maybe", "not a choice"), ("3.4.23", "off", "always flushes")]
)
def test_etcd_says_which_of_its_versions_can_do_without_flushes(version: str, option: str, said: str) -> None:
    """A value that is none, and a version without the flag, are refused when the system is made."""
    with pytest.raises(UsageError, match=said):
        Etcd(version, {"fsync": option})
