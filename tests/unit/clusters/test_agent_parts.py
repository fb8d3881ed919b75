"""The agent's pure parts: /proc and iptables text in, plain values out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.agent import firewall, processes

ADDRESSES = st.lists(st.ip_addresses(v=4).map(str), unique=True)


@given(name=st.text(max_size=15), state=st.sampled_from("RSDTtZX"), parent=st.integers(0, 2**22))
def test_a_stat_line_is_read_whatever_the_process_is_called(name: str, state: str, parent: int) -> None:
    """Brackets, blanks and line ends in a process's name do not shift the fields."""
    assert processes.parse_stat(f"17 ({name}) {state} {parent} 17 17 0 -1 4194560") == (parent, state)


def test_descendants_are_all_below_and_nobody_else() -> None:
    """Children of children count, the root and its neighbours do not."""
    table = {1: 0, 2: 1, 3: 2, 4: 3, 5: 1, 6: 99}
    assert processes.descendants(2, table) == {3, 4}
    assert processes.descendants(1, table) == {2, 3, 4, 5}
    assert processes.descendants(6, table) == set()


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ("TTT", "paused"),
        ("TTS", "running"),
        ("TtT", "running"),  # a debugger's stop is not ours
        ("TDT", "running"),  # a thread in the kernel has not stopped yet
        ("ZTT", "paused"),  # the first thread has ended, the others are stopped
        ("Z", "running"),  # dead only once it was reaped
        ("", "running"),
    ],
)
def test_a_server_is_paused_only_if_every_living_thread_is_stopped(states: str, verdict: str) -> None:
    """One thread that is not stopped is enough to be running."""
    assert processes.judge(list(states)) == verdict


@given(sources=ADDRESSES.filter(bool), hooked=st.booleans())
def test_the_firewall_gets_the_full_set_in_our_chain_alone(sources: list[str], hooked: bool) -> None:
    """The script empties our chain, drops each source once, and touches INPUT only to hook the chain in."""
    rules = [f"-s {source}/32 -j DROP" for source in sources]
    lines = firewall.restore_script({"KINGSLAYER": rules}, {"KINGSLAYER"} if hooked else set()).splitlines()
    assert lines[:2] == ["*filter", ":KINGSLAYER - [0:0]"]
    assert lines[-1] == "COMMIT"
    assert [line for line in lines if "INPUT" in line] == ["-I INPUT -j KINGSLAYER"] * (not hooked)
    drops = [line for line in lines if line.endswith("-j DROP")]
    assert drops == [f"-A KINGSLAYER -s {source}/32 -j DROP" for source in sources]
    assert len(lines) == 3 + (not hooked) + len(sources)


def test_a_chain_without_rules_is_taken_away() -> None:
    """The script unhooks and deletes a chain that is there, and does not mention one that is not."""
    script = firewall.restore_script({"KINGSLAYER": [], "KINGSLAYER-TO": []}, {"KINGSLAYER-TO"})
    assert script.splitlines()[1:-1] == [
        ":KINGSLAYER-TO - [0:0]",
        "-D OUTPUT -j KINGSLAYER-TO",
        "-X KINGSLAYER-TO",
    ]


@given(counts=st.dictionaries(st.ip_addresses(v=4).map(str), st.integers(0, 2**40)))
def test_the_kernels_listing_gives_each_source_its_packets(counts: dict[str, int]) -> None:
    """Counters come back by source; the chain's own line and foreign rules are no sources."""
    rules = [f"-A KINGSLAYER -s {source}/32 -c {count} {count * 60} -j DROP" for source, count in counts.items()]
    foreign = [
        "-N KINGSLAYER",
        "-A INPUT -s 9.9.9.9/32 -c 1 60 -j DROP",
        "-A KINGSLAYER -s 8.8.8.8/32 -c 1 60 -j ACCEPT",
    ]
    assert firewall.parse_rules("\n".join([*foreign, *rules])) == counts


@given(text=st.text())
def test_only_an_address_becomes_part_of_a_rule(text: str) -> None:
    """Whatever is accepted is its own plain dotted spelling; all else is refused."""
    try:
        assert firewall.address(text) == text
    except processes.Refused:
        return
    assert all(0 <= int(number) <= 255 for number in text.split("."))


@pytest.mark.parametrize("path", sorted(Path(processes.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_the_agent_needs_nothing_but_python_3_9(path: Path) -> None:
    """Every file of it parses as Python 3.9; test_layers.py holds what it imports."""
    ast.parse(path.read_text(), feature_version=(3, 9))
