"""The schedule language: what a file means, and what it is told where it means nothing."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from harness.config import Schedule, When
from harness.errors import UsageError
from nemesis.language import read
from nemesis.schedule import dump, load

NODES = ["n1", "n2", "n3"]
EVERY = ["partition", "pause", "kill"]
PAGE = Path(__file__).parents[3] / "docs" / "how-to-schedule.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)


def planned(folder: Path, text: str, limit_s: float = 60, seed: int = 1) -> Schedule:
    """Write a file and read it."""
    path = folder / "mine.toml"
    path.write_text(text)
    return read(path, NODES, limit_s, 6, EVERY, Random(seed))


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_of_the_docs_is_a_schedule(tmp_path: Path, text: str) -> None:
    """What the how-to shows can be planned for two minutes, is the seed's alone, and can be replayed."""
    first = planned(tmp_path, text, 120)
    assert first.steps
    assert first == planned(tmp_path, text, 120)
    dump(first, tmp_path / "schedule.json")
    assert load(tmp_path / "schedule.json", NODES) == first


def test_phases_follow_one_another_and_share_what_is_left(tmp_path: Path) -> None:
    """Phases without seconds divide the rest of the time limit; each has its own mix; no faults are quiet."""
    text = """
        [[phase]]
        faults = ["kill"]
        [[phase]]
        seconds = 20
        [[phase]]
        faults = { pause = 2, kill = 1 }
        interval = 2
    """
    steps = planned(tmp_path, text).steps
    assert {step.kind for step in steps if step.stop_s <= 20} == {"kill"}
    assert not [step for step in steps if step.stop_s > 20 and step.start_s < 40]
    last = [step.kind for step in steps if step.start_s >= 40]
    assert last.count("pause") == 2 * last.count("kill") == 6


@pytest.mark.parametrize(
    ("faults", "kinds"),
    [
        ('"all"', set(EVERY)),
        ('"pause"', {"pause"}),
        ('["all", "clock"]', {*EVERY, "clock"}),
        ("{ all = 1, kill = 0 }", {"partition", "pause"}),
        ("{ kill = 0, all = 1 }", {"partition", "pause"}),
        ("{ kill = 0 }", set()),
    ],
)
def test_all_stands_for_what_is_possible(tmp_path: Path, faults: str, kinds: set[str]) -> None:
    """A family that is named has its own weight, whatever weight all others have; 0 leaves it out."""
    assert {step.kind for step in planned(tmp_path, f"[[phase]]\nfaults = {faults}").steps} == kinds


def test_fixed_faults_are_completed_from_the_seed(tmp_path: Path) -> None:
    """Parameters that are given stay; nodes of a target, the order of a shape, or all of them, are chosen."""
    text = """
        [[fault]]
        kind = "pause"
        at = 3
        lasts = 2
        params = { target = "leader" }
        [[fault]]
        kind = "partition"
        at = 3
        lasts = 2
        params = { shape = "isolate-leader" }
        [[fault]]
        kind = "kill"
        at = 10
        lasts = 1
    """
    pause, partition, kill = planned(tmp_path, text).steps
    assert (pause.start_s, pause.stop_s, pause.params["nodes"]) == (3, 5, ["leader"])
    assert pause.params["otherwise"] in NODES
    assert partition.params["shape"] == "isolate-leader"
    assert sorted(partition.params["order"]) == NODES
    assert kill.params["nodes"]
    assert any(planned(tmp_path, text, seed=seed).steps[2] != kill for seed in range(2, 7))


def test_an_aimed_fault_waits_as_long_as_it_may(tmp_path: Path) -> None:
    """Without from and until it waits all the time that leaves it its own length; its node may be the moment's."""
    text = """
        [[fault]]
        kind = "pause"
        when = "became leader"
        delay_ms = 500
        lasts = 2
        params = { target = "moment" }
        [[fault]]
        kind = "kill"
        when = "log line"
        pattern = "elected"
        from = 10
        until = 20
        lasts = 3
    """
    pause, kill = planned(tmp_path, text).steps
    assert (pause.start_s, pause.stop_s, pause.params) == (0, 60, {"target": "one", "nodes": ["moment"]})
    assert pause.when == When(moment="became leader", delay_ms=500, lasts_s=2)
    assert (kill.start_s, kill.stop_s) == (10, 23)
    assert kill.when == When(moment="log line", pattern="elected", lasts_s=3)


FAULT = '[[fault]]\nkind = "pause"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is neither a [[phase]] nor a [[fault]] in it"),
        ("phase = 3", "phase: Expected `array`, got `int`"),
        ("[[phase]\n", "not TOML: "),
        ("[[stage]]", "unknown field `stage`"),
        ("[[phase]]\n[[phase]]\ninterval = 'x'", "[[phase]] 2, interval: Expected `float | null`, got `str`"),
        ("[[phase]]\nseconds = 5\nlength = 3", "[[phase]] 1: Object contains unknown field `length`"),
        ('[[phase]]\nfaults = ["kil"]', "[[phase]] 1: there is no nemesis 'kil'"),
        ("[[phase]]\nfaults = { kill = 1.5 }", "[[phase]] 1, faults"),
        ("[[phase]]\nfaults = { kill = -1 }", "[[phase]] 1: faults: kill has a weight below 0"),
        ('[[phase]]\nfaults = "kill"\noverlap = 0', "[[phase]] 1: overlap: 0"),
        ('[[phase]]\nfaults = "kill"\ninterval = 0', "[[phase]] 1: faults need more than 0 s"),
        ("[[phase]]\nseconds = 61", "the phases take 61 s, and the run 60 s"),
        ("[[phase]]\nseconds = 60\n[[phase]]\nfaults = 'kill'", "[[phase]] 2: it has no time at all"),
        (FAULT, "Object missing required field `lasts`"),
        (f"{FAULT}lasts = 1", "[[fault]] 1: at: it says neither at which time it comes nor at which moment"),
        (f"{FAULT}lasts = 1\nat = 60", "[[fault]] 1: it may last until 61 s, and the run 60 s"),
        (f"{FAULT}lasts = 0\nat = 3", "[[fault]] 1: it lasts from 3 to 3 s"),
        (f"{FAULT}lasts = 1\nat = 3\nuntil = 4", "[[fault]] 1: pattern, delay_ms, from and until are of moments"),
        (f"{FAULT}lasts = 1\nat = 3\nwhen = 'election'", "[[fault]] 1: at: it comes at a moment"),
        (f"{FAULT}lasts = 1\nwhen = 'full moon'", "[[fault]] 1: there is no moment 'full moon'"),
        (f"{FAULT}lasts = 1\nwhen = 'log line'", "[[fault]] 1: 'log line' with the pattern ''"),
        (f"{FAULT}lasts = 1\nat = 3\nparams = {{ target = 'moment' }}", '[[fault]] 1: "moment" stands for a node'),
        (f"{FAULT}lasts = 1\nat = 3\nparams = {{ target = 'some' }}", "[[fault]] 1: params.target: 'some'"),
        (f"{FAULT}lasts = 1\nat = 3\nparams = {{ goal = 'one' }}", "[[fault]] 1: parameters of a pause"),
        (
            f"{FAULT}lasts = 3\nat = 3\nparams = {{ target = 'all' }}\n" * 2,
            "[[fault]] 2: it meets [[fault]] 1: both take hold of the servers of n1, n2, n3",
        ),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, text: str, message: str) -> None:
    """The error names the file, the table and the key, and says what to do."""
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        planned(tmp_path, text)
    assert caught.value.message.startswith(f"{tmp_path / 'mine.toml'}: ")
    assert caught.value.hint


def test_no_file_is_told(tmp_path: Path) -> None:
    """A file that is not there is a usage error, too."""
    with pytest.raises(UsageError, match=r"storm\.toml: No such file"):
        read(tmp_path / "storm.toml", NODES, 60, 6, EVERY, Random(1))
