"""Machines that stand for many runs may do what they were made for, and no more."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from silent import Silent

from harness.config import RunConfig
from harness.errors import UsageError
from harness.session import Session
from harness.standing import StandingCluster
from nemesis import rights


def test_a_run_whose_faults_need_more_rights_is_refused(tmp_path: Path) -> None:
    """It says which family lacks them and what to do, before anything is booted; what needs none runs."""
    config = RunConfig(system="memory", nodes=3, time_limit_s=0.5, interval_s=0.5, seed=1)
    session = Session.open(config, Silent())
    with closing(StandingCluster(session, config, tmp_path, Silent(), rights(["kill"]))) as cluster:
        cluster.up()
        with pytest.raises(UsageError, match="made without the rights that partition takes") as refused:
            cluster.run(replace(config, nemesis=("kill", "partition")))
        assert refused.value.hint == "add partition to --cluster-nemesis"
        assert not list(tmp_path.iterdir())
        result, stopped = cluster.run(replace(config, nemesis=("kill",)))
        assert (result.summary.verdict, stopped) == ("valid", False)
