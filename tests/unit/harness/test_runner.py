"""Whole runs on the system in memory: bugs are found, the correct form is never accused, nothing unproven passes."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from memory_runs import config, run_all, run_one

import workloads
from clusters.memory import Memory, MemoryBackend
from clusters.memory.register_bugs import REGISTER_BUGS
from harness.errors import ClusterError, ContractError, Definite
from harness.history import History
from harness.op import NEMESIS, STATUS
from harness.protocols import FacetFactory, Node, Right
from harness.runner import Result
from harness.verdict import Verdict
from workloads.register import RegisterWorkload

FAULTS = ("partition", "pause", "kill")


@pytest.mark.parametrize("bug", REGISTER_BUGS)
def test_each_bug_is_found(tmp_path: Path, bug: str) -> None:
    """A second of load finds each bug (measured: with 50 of 50 seeds), so that less than half of them is a defect."""
    nemesis = ("partition",) if bug == "split-brain" else ()
    results = run_all([config(seed=seed, nemesis=nemesis, options={"bug": bug}) for seed in range(10)], tmp_path)
    found = [result for result in results if result.summary.verdict == "invalid"]
    assert len(found) >= 5, [result.summary for result in results]
    for result in found:
        for anomaly in result.summary.anomalies:
            events = [result.history.events[index] for index in anomaly.witness]
            assert 2 <= len(events) <= 60
            assert {event.key for event in events} == {anomaly.key}


def test_the_correct_form_is_never_accused(tmp_path: Path) -> None:
    """Fifty seeds, every second one under all faults: valid, every fault verified, enough succeeded."""
    configs = [config(seed=seed, time_limit_s=0.8, nemesis=FAULTS * (seed % 2)) for seed in range(50)]
    results = run_all(configs, tmp_path)
    assert {(result.summary.verdict, result.summary.error) for result in results} == {("valid", None)}
    assert sum(len(result.summary.faults) for result in results) >= 25


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """One run under faults."""
    return run_one(config(seed=7, time_limit_s=2.0, nemesis=FAULTS), tmp_path_factory.mktemp("store"))


def test_a_run_is_stored_whole(usual: Result) -> None:
    """The store holds all files; the record has what was chosen, and every node's log is there."""
    folder = usual.folder
    names = {path.name for path in folder.path.iterdir()}
    assert names == {"run.json", "schedule.json", "history.jsonl", "verdict.json", "report.html", "nodes"}
    assert folder.summary() == usual.summary
    record = folder.record()
    assert record is not None
    assert (record.config.backend, record.config.version, record.config.seed) == ("memory", "1", 7)
    assert record.schedule.steps
    assert {"kingslayer", "python", "kernel", "memory"} <= set(record.versions)
    assert set(record.nodes) == set(folder.logs(100)) == {"n1", "n2", "n3", "n4", "n5"}
    assert folder.path.parent.name == "memory-1-register"


def test_a_run_reads_every_key_finally(usual: Result) -> None:
    """After the last heal every key that was used is read once more, with success."""
    history = usual.history
    healed_ns = max(fault.end_ns or 0 for fault in history.faults)
    last = {op.key: op for op in history.events if type(op.process) is int}
    assert len(last) > 3
    assert all((op.f, op.type) == ("read", "ok") and op.time > healed_ns for op in last.values())


def test_a_run_watches_every_node(usual: Result) -> None:
    """What the nodes say of themselves is in the history, from the beginning on."""
    first = {op.process: op for op in reversed(usual.history.events) if op.f == STATUS and op.type == "ok"}
    assert set(first) == {f"status:n{number}" for number in range(1, 6)}
    assert all(op.value["term"] >= 1 and op.time < 1e9 for op in first.values())


def planned(result: Result) -> list[Any]:
    """What the nemesis was asked for."""
    return [(op.f, op.key, op.value) for op in result.history.events if op.process == NEMESIS and op.type == "invoke"]


def test_the_same_seed_plans_the_same_run(usual: Result, tmp_path: Path) -> None:
    """The same configuration asks the nemesis for the same, in the same order."""
    again = run_one(config(seed=7, time_limit_s=2.0, nemesis=FAULTS), tmp_path)
    assert planned(again) == planned(usual)
    assert len(planned(usual)) >= 4


def test_a_schedule_is_replayed(usual: Result, tmp_path: Path) -> None:
    """The stored schedule, given back by --schedule, brings the same faults, also with another seed."""
    path = usual.folder.path / "schedule.json"
    again = run_one(config(seed=8, time_limit_s=2.0, schedule=str(path)), tmp_path)
    assert planned(again) == planned(usual)
    assert again.summary.verdict == "valid"
    assert again.record is not None
    assert ["--schedule", str(path)] == shlex.split(again.record.config.command())[-2:]


class Liars(MemoryBackend):
    """Machines that say yes and do nothing."""

    async def up(self, names: Sequence[str], paths: Sequence[Path], rights: Collection[Right] = ()) -> list[Node]:
        nodes = await super().up(names, paths, rights)
        for node in nodes:
            node.block = node.signal = self._nothing  # type: ignore[method-assign, assignment]
        return nodes

    @staticmethod
    async def _nothing(argument: Any) -> None: ...


@pytest.mark.parametrize("family", FAULTS)
def test_a_fault_without_effect_is_an_error(tmp_path: Path, family: str) -> None:
    """Where a fault did nothing, the run proves nothing: an error with exit code 4 that names the fault."""
    result = run_one(config(nemesis=(family,), interval_s=0.9), tmp_path, backend=Liars("test"))
    assert (result.summary.verdict, result.summary.exit_code) == ("error", 4)
    assert f"fault 0 ({family}) was not verified" in str(result.summary.error)
    assert [fault.verified for fault in result.summary.faults] == [False]


def test_an_anomaly_wins_over_an_error(tmp_path: Path) -> None:
    """A broken promise is true although the fault had no effect; the error is told all the same."""
    buggy = config(nemesis=("partition",), options={"bug": "stale-reads"})
    result = run_one(buggy, tmp_path, Memory("", {"bug": "stale-reads"}), Liars("test"))
    assert (result.summary.verdict, result.summary.exit_code) == ("invalid", 1)
    assert "was not verified" in str(result.summary.error)


class Broken(Memory):
    """A system whose registers do as a test says."""

    def __init__(self, outcome: Any) -> None:
        super().__init__()
        self._outcome = outcome
        self.facets: Mapping[str, FacetFactory] = {"register": lambda node, options: self}  # type: ignore[assignment, return-value]

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def read(self, key: Any) -> Any:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    async def write(self, key: Any, value: Any) -> None:
        await self.read(key)

    async def cas(self, key: Any, old: Any, new: Any) -> None:
        await self.read(key)


@pytest.mark.parametrize("outcome", [Definite("refused"), ValueError("?")])
def test_a_run_in_which_nothing_succeeds_is_an_error(
    tmp_path: Path, outcome: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was seen to be wrong, because nothing was seen."""
    monkeypatch.setattr("harness.runner.FINAL_S", 0.2)
    result = run_one(config(time_limit_s=0.5), tmp_path, Broken(outcome))
    assert result.summary.verdict == "error"
    assert "operations succeeded" in str(result.summary.error)


def test_a_client_that_breaks_its_contract_ends_the_run(tmp_path: Path) -> None:
    """The error says whose fault it is; what was recorded before is a history, and the logs are fetched."""
    with pytest.raises(ContractError, match="is not JSON"):
        run_one(config(), tmp_path, Broken({1, 2}))
    assert len(History.load(tmp_path / "latest" / "history.jsonl")) > 0
    assert (tmp_path / "latest" / "nodes" / "n1" / "server.log").is_file()
    assert not (tmp_path / "latest" / "verdict.json").exists()


class Crashing(RegisterWorkload):
    """A workload whose checker has a bug."""

    name = "crashing"

    def checkers(self) -> Any:
        return (self,)

    def check(self, history: History) -> Verdict:
        raise ZeroDivisionError("bug")


def test_a_checker_that_crashes_makes_the_run_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown, with the reason; never a pass."""
    monkeypatch.setattr(workloads, "WORKLOADS", {"crashing": Crashing})
    result = run_one(config(workload="crashing", time_limit_s=0.3), tmp_path)
    assert (result.summary.verdict, result.summary.exit_code) == ("unknown", 3)
    assert result.summary.reasons == ("checker crashing crashed: ZeroDivisionError: bug",)


class Unhealthy(Memory):
    """A system that does not start."""

    async def boot(self, nodes: Sequence[Node]) -> None:
        raise ClusterError("n3 never got healthy", "its last log lines: no space left on device")


def test_a_cluster_that_never_gets_healthy(tmp_path: Path) -> None:
    """The system's own error comes through; there is no history."""
    with pytest.raises(ClusterError, match="n3 never got healthy"):
        run_one(config(), tmp_path, Unhealthy())
    assert not (tmp_path / "latest" / "history.jsonl").exists()


class Late(Memory):
    """A system of which one node never serves again."""

    async def ready(self, node: Node) -> bool:
        return node.name != "n4"


def test_a_node_that_does_not_come_back_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a remark: the verdict is about what was promised."""
    monkeypatch.setattr("harness.runner.RECOVER_S", 0.2)
    result = run_one(config(time_limit_s=0.3), tmp_path, Late())
    assert result.summary.verdict == "valid"
    assert result.summary.reasons == ("n4 did not serve within 0.2 s after the last heal",)
