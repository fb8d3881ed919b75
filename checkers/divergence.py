"""The checker of replicas: equal state, equal data."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from checkers.words import seconds, show
from harness.errors import HistoryError
from harness.history import History
from harness.op import DIGEST, Op, freeze
from harness.verdict import Anomaly, Verdict


class Divergence:
    """Nodes that are at the same state, by their own word, have the same data.

    Detects: "divergence": two nodes whose digests at one state differ, when the clients are done.

    Cannot detect: replicas that differed and were made equal again; data that the digest leaves out; a node that did
    not answer.

    Cost: one pass over what is no client's.

    Why it is sound: only each node's last answer counts, and only those about one and the same state are compared. The
    nodes were asked again, half a second apart, before an answer became the last one though it differed, so a node that
    was still busy, with a compaction say, has had its time.
    """

    name = "divergence"

    def check(self, history: History) -> Verdict:
        """Compare the nodes' last digests.

        Raises:
            HistoryError: an event is not a digest.
        """
        last: dict[str, Op] = {}
        for op in history.strangers:
            if op.f != DIGEST or op.type != "ok":
                continue
            told = op.value
            if not isinstance(told, dict) or "at" not in told or not isinstance(told.get("digest"), str) or not op.node:
                message = f"{history.source}: event {op.index}: digest ok with value {told!r}"
                raise HistoryError(message, 'a digest is {"at": any, "digest": text} of a node')
            last[op.node] = op
        states: dict[Any, list[Op]] = defaultdict(list)
        for op in last.values():
            states[freeze(op.value["at"])].append(op)
        anomalies = tuple(
            self._differ(told) for told in states.values() if len({op.value["digest"] for op in told}) > 1
        )
        return Verdict(status="invalid" if anomalies else "valid", anomalies=anomalies)

    def _differ(self, told: list[Op]) -> Anomaly:
        by_digest: dict[str, list[str]] = defaultdict(list)
        for op in told:
            by_digest[op.value["digest"]].append(op.node or "")
        (time,) = seconds(max(op.time for op in told))
        sides = ", ".join(f"{digest} on {' '.join(nodes)}" for digest, nodes in by_digest.items())
        summary = f"the nodes' data differed at the same state {show(told[0].value['at'])}, by {time}: {sides}"
        witness = tuple(sorted(op.index for op in told))
        return Anomaly(checker=self.name, kind="divergence", summary=summary, witness=witness)
