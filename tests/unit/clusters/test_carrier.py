"""The harness's end of an agent, with carriers that fail in every way a carrier can."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence

import pytest

from clusters import carrier
from clusters.carrier import AgentGone, Carrier
from harness.errors import ClusterError

HELLO = "echo '{\"hello\": {}}'; "


def opened(prefix: Sequence[str], call: str = "") -> None:
    """Open a carrier, make one call where one is named, and close it."""

    async def main() -> None:
        agent = await Carrier.open(prefix, "n1", python=sys.executable)
        try:
            if call:
                await agent.call(call, timeout_s=0.2)
        finally:
            await agent.close()

    asyncio.run(main())


def test_a_carrier_that_is_not_installed_is_named() -> None:
    """The error names the program that is missing."""
    with pytest.raises(ClusterError, match="no-such-carrier cannot be started"):
        opened(["no-such-carrier"])


def test_a_carrier_that_ends_gives_its_last_words() -> None:
    """What the carrier wrote to stderr is in the error."""
    with pytest.raises(AgentGone, match=r"n1: the agent ended: no such container"):
        opened(["sh", "-c", "echo no such container >&2; exit 1"])


def test_an_agent_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a hello in time the opening fails, and the carrier is gone."""
    monkeypatch.setattr(carrier, "HELLO_TIMEOUT_S", 0.1)
    started = time.monotonic()
    with pytest.raises(ClusterError, match=r"did not answer within 0\.1 s"):
        opened(["sh", "-c", "exec sleep 60"])
    assert time.monotonic() - started < 5


def test_a_call_that_is_never_answered_is_given_up() -> None:
    """A silent agent fails the call when its time is up, by name."""
    with pytest.raises(ClusterError, match=r"did not answer 'state' within 0\.2 s"):
        opened(["sh", "-c", HELLO + "cat >/dev/null; :"], "state")


def test_an_agent_that_talks_nonsense_is_gone() -> None:
    """A line that is no reply ends the conversation with the reason."""
    with pytest.raises(AgentGone, match="not a reply"):
        opened(["sh", "-c", HELLO + "echo nonsense; cat >/dev/null; :"], "state")


def test_a_hello_of_the_real_agent_needs_no_file_on_the_node() -> None:
    """The agent's source travels over stdin, and the end of stdin ends it."""
    opened(["env"])
