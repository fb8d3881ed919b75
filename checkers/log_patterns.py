"""The checker of the nodes' logs: no panic, no fatal error, no alarm of corruption."""

from __future__ import annotations

from harness.errors import HistoryError
from harness.history import History
from harness.op import LOG, NEMESIS, Op
from harness.verdict import Anomaly, Verdict


class LogPatterns:
    """No node's log has a line that its system never writes while it is well, whatever faults there are.

    Detects: whatever the system's log_patterns find, such as "panic"; the kind is the pattern's name.

    Cannot detect: what is not logged, or was logged more than a few megabytes before the end.

    Cost: one pass over what is no client's.

    Why it is sound: it only repeats what the server wrote, and a system names no pattern that a fault explains. A
    server that was killed writes nothing about it. What one wrote whose files were damaged is left out: to refuse them
    is right.
    """

    name = "log patterns"

    def check(self, history: History) -> Verdict:
        """Report the first line of each node and pattern.

        Raises:
            HistoryError: an event is not a line of a log.
        """
        lines: dict[tuple[str, str], list[Op]] = {}
        damaged = damaged_nodes(history)
        for op in history.strangers:
            if op.f != LOG or op.node in damaged:
                continue
            told = op.value
            if not isinstance(told, dict) or any(
                type(told.get(name)) is not str for name in ("log", "pattern", "line")
            ):
                message = f"{history.source}: event {op.index}: log {op.type} with value {told!r}"
                raise HistoryError(message, 'a line of a log is {"log", "pattern", "line"}')
            lines.setdefault((op.node or "", told["pattern"]), []).append(op)
        anomalies = tuple(self._found(node, name, found) for (node, name), found in lines.items())
        return Verdict(status="invalid" if anomalies else "valid", anomalies=anomalies)

    def _found(self, node: str, name: str, found: list[Op]) -> Anomaly:
        first = found[0].value
        more = f" (and {len(found) - 1} more such lines)" if len(found) > 1 else ""
        summary = f"{first['log']} of {node} says{more}: {first['line']}"
        return Anomaly(checker=self.name, kind=name, summary=summary, witness=tuple(op.index for op in found))


def damaged_nodes(history: History) -> set[str]:
    """Return the nodes that a fault `damage` has hit, or may have: the leader of a moment is named when it is done."""
    hit: set[str] = set()
    for op in history.strangers:
        if op.process == NEMESIS and isinstance(op.value, dict) and op.value.get("kind") == "damage":
            hit.update(map(str, op.value.get("nodes", ())))
    return hit
