"""What clients and the nemesis do, and when: small composable values, all random choices from the run's seed.

A Generator is an immutable value that says *what*; `start(random)` makes a Source, which is asked by every free
worker for its next call. Because a worker asks only when it is free, "every worker was told that there is no more"
is the barrier between phases, and no generator needs to see the events to know who is busy.

    phases(
        time_limit(60, nemesis(timeline(faults), stagger(1 / 500, mix(reads, writes)))),
        clients(until_ok(repeat(once(Call("read"))))),
    )
"""

from harness.generator.base import Context, Generator, Source, Wait, fork
from harness.generator.composites import clients, every, mix, nemesis, on_keys, phases, repeat, then
from harness.generator.leaves import calls, once, sequence, sleep, timeline
from harness.generator.script import Script, script
from harness.generator.wrappers import each_process, limit, stagger, time_limit, until_ok

__all__ = [
    "Context",
    "Generator",
    "Script",
    "Source",
    "Wait",
    "calls",
    "clients",
    "each_process",
    "every",
    "fork",
    "limit",
    "mix",
    "nemesis",
    "on_keys",
    "once",
    "phases",
    "repeat",
    "script",
    "sequence",
    "sleep",
    "stagger",
    "then",
    "time_limit",
    "timeline",
    "until_ok",
]
