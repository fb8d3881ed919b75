"""What is asked of the nodes when the clients are done: digests until they agree, and lines of logs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clusters.memory import Memory, MemoryBackend
from harness.closing import DIGEST_S, LINES_MAX, ROUNDS, compare, fetch_logs
from harness.cluster import Cluster
from harness.errors import ContractError
from harness.history import History
from harness.op import Op
from harness.protocols import Node, NodeDigest
from harness.recorder import Recorder
from harness.store import RunFolder
from tests import virtual_time


class Scripted(Memory):
    """Answers from a list, each once: a digest, an error, or None to hang."""

    def __init__(self, answers: Sequence[Any] = (), patterns: dict[str, str] | None = None) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[Any] = []
        self.log_patterns = patterns or {"panic": "^panic: "}

    async def digest(self, node: Node, at: Any) -> NodeDigest:
        self.asked.append(at)
        answer = self.answers.pop(0)
        if answer is None:
            await asyncio.sleep(1000)
        if isinstance(answer, Exception):
            raise answer
        return NodeDigest(*answer)


def recorded(system: Scripted, folder: Path, lines: Sequence[str] = ()) -> list[Op]:
    """Boot two nodes, ask them as a run does at its end, and return what was recorded."""

    async def main() -> None:
        cluster = Cluster(MemoryBackend("test"), system, ["n1", "n2"])
        await cluster.up([])
        await cluster.boot()
        recorder = Recorder(folder / "history.jsonl", virtual_time.now_ns)
        for text in lines:
            cluster.nodes["n2"].log(text)  # type: ignore[attr-defined]
        await compare(cluster, recorder)
        await fetch_logs(cluster, RunFolder(folder), recorder, lambda text: None)
        recorder.close()
        await cluster.down()

    virtual_time.run(main())
    return list(History.load(folder / "history.jsonl").events)


def test_nodes_that_agree_are_asked_once(tmp_path: Path) -> None:
    """The second is asked about the first one's state; both answers are recorded."""
    system = Scripted([(7, "aa"), (7, "aa")])
    events = recorded(system, tmp_path)
    assert system.asked == [None, 7]
    assert [(op.process, op.type, op.value) for op in events if op.type != "invoke"] == [
        ("digest:n1", "ok", {"at": 7, "digest": "aa"}),
        ("digest:n2", "ok", {"at": 7, "digest": "aa"}),
    ]


def test_nodes_that_differ_or_do_not_answer_are_asked_again(tmp_path: Path) -> None:
    """A node that was behind gets its time; one that hangs is given up, and so is the comparison in the end."""
    system = Scripted([(7, "aa"), OSError("behind"), (7, "aa"), (7, "bb"), None, (8, "aa")])
    events = recorded(system, tmp_path)
    assert len(system.asked) == 2 * ROUNDS
    assert system.asked[-1] is None
    answers = [(op.type, op.error) for op in events if op.type != "invoke"]
    assert answers[1] == ("info", "behind")
    assert answers[4][0] == "info"
    assert events[-1].time > DIGEST_S * 10**9


def test_lines_that_should_not_be_there_are_recorded(tmp_path: Path) -> None:
    """Each is an event of its node, with the log and the pattern; all logs are stored."""
    system = Scripted([(7, "aa"), (7, "aa")])
    events = recorded(system, tmp_path, ["all is well", "panic: why", "no panic: here"])
    found = [(op.process, op.node, op.value) for op in events if op.f == "log"]
    assert found == [("log:n2", "n2", {"log": "server.log", "pattern": "panic", "line": "panic: why"})]
    assert (tmp_path / "nodes" / "n1" / "server.log").read_text()


def test_a_log_full_of_panics_is_cut(tmp_path: Path) -> None:
    """A node's lines are bounded in number."""
    events = recorded(Scripted([(7, "aa"), (7, "aa")]), tmp_path, ["panic: x" * 1000] * 100)
    assert sum(op.f == "log" for op in events) == LINES_MAX


def test_a_pattern_that_is_none_is_the_systems_fault(tmp_path: Path) -> None:
    """What is no regular expression is a ContractError."""
    with pytest.raises(ContractError, match="no regular expression"):
        recorded(Scripted([(7, "aa"), (7, "aa")], {"panic": "("}), tmp_path)
