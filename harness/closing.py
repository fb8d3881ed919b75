"""What is asked of the nodes when the clients are done: whether their data is the same, and what their logs say."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from harness import store as files
from harness.cluster import Cluster
from harness.errors import ContractError, HarnessError
from harness.op import DIGEST, LOG
from harness.protocols import HasDigest, HasLogPatterns, NodeDigest
from harness.recorder import Recorder
from harness.store import RunFolder

DIGEST_S: Final = 2.0
ROUNDS: Final = 3
ROUND_S: Final = 0.5
"""Digests are asked for ROUNDS times, so much apart, until all nodes have told the same: one may be a little behind."""

LOG_BYTES: Final = 8 << 20
LINES_MAX: Final = 20
LINE_CHARS_MAX: Final = 500
"""Of a node's log so many lines are recorded at most, and so much of each."""


async def compare(cluster: Cluster, recorder: Recorder) -> None:
    """Ask every node what its data amounts to, and record the answers; nothing where the system cannot tell."""
    if not isinstance(cluster.system, HasDigest):
        return
    for turn in range(ROUNDS):
        if turn:
            await asyncio.sleep(ROUND_S)
        found: list[NodeDigest | None] = []
        for name in cluster.names:
            at = next((digest.at for digest in found if digest is not None), None)
            found.append(await _digest(cluster, cluster.system, name, at, recorder))
        if None not in found and found.count(found[0]) == len(found):
            return


async def _digest(cluster: Cluster, system: HasDigest, name: str, at: object, recorder: Recorder) -> NodeDigest | None:
    process = f"{DIGEST}:{name}"
    recorder.record(process, "invoke", DIGEST, name, None, None)
    try:
        async with asyncio.timeout(DIGEST_S):
            digest = await system.digest(cluster.nodes[name], at)
    except Exception as error:  # a node may answer with anything, or not at all
        recorder.record(process, "info", DIGEST, name, None, None, error=str(error) or type(error).__name__)
        return None
    recorder.record(process, "ok", DIGEST, name, None, {"at": digest.at, "digest": digest.digest})
    return digest


async def fetch_logs(cluster: Cluster, folder: RunFolder, recorder: Recorder, warn: Callable[[str], None]) -> None:
    """Store every node's logs, and record the lines that should not be there.

    Raises:
        ContractError: a pattern of the system is no regular expression.
    """
    system = cluster.system
    patterns = _compiled(system) if isinstance(system, HasLogPatterns) else {}
    for node in cluster.nodes.values():
        for log in system.logs:
            try:
                data = await node.read(log, tail_bytes=LOG_BYTES)
                folder.write(f"{files.NODES}/{node.name}/{Path(log).name}", data)
            except HarnessError as error:
                warn(f"{log} of {node.name} was not fetched: {error}")
                continue
            for name, line in _matches(data.decode(errors="replace"), patterns):
                value = {"log": log, "pattern": name, "line": line}
                recorder.record(f"{LOG}:{node.name}", "ok", LOG, node.name, None, value)


def _compiled(system: HasLogPatterns) -> dict[str, re.Pattern[str]]:
    try:
        return {name: re.compile(pattern) for name, pattern in system.log_patterns.items()}
    except re.error as error:
        message = f"a log pattern of the system is no regular expression: {error}"
        raise ContractError(message, "mend log_patterns") from error


def _matches(text: str, patterns: dict[str, re.Pattern[str]]) -> Iterator[tuple[str, str]]:
    """Yield the first lines that a pattern finds, each with the first that does."""
    left = LINES_MAX
    for line in text.splitlines() if patterns else ():
        name = next((name for name, pattern in patterns.items() if pattern.search(line)), None)
        if name is not None and left:
            left -= 1
            yield name, line[:LINE_CHARS_MAX]
