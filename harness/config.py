"""What was asked for and what was run, as plain data: run.json."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec


class RunConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One run, fully described: the same configuration and seed plan the same operations and faults.

    Attributes:
        system: name, or "module:Class" of somebody's own, without the version.
        version: of the system; "" is its default.
        nodes: how many.
        backend: where nodes live; "" chooses the first that works.
        nemesis: the families of faults, none for a run without faults; "all" among them stands for every one that is
            possible; or one file in the schedule language (docs/how-to-schedule.md), whose name ends with .toml.
        time_limit_s: how long clients drive, without start, heal and final reads.
        concurrency: how many clients at once.
        rate: operations a second in all; 0 is as fast as the system answers.
        op_timeout_s: an operation that takes longer is `info`.
        interval_s: mean time from one fault to the next.
        facets: which variety of a facet is used, by the facet's name, such as {"lock": "recipe"}; others are as the
            system has them by default.
        options: of the workload and its facet, such as {"reads": "serializable"}, and of the system ({"bug": …}).
        client_processes: how many processes hold the clients; 0 is the harness's own, unless clients are frozen.
        schedule: a file with a schedule to replay instead of planning one; "" plans one from the seed.
    """

    system: str
    version: str = ""
    nodes: int = 5
    backend: str = ""
    workload: str = "register"
    nemesis: tuple[str, ...] = ()
    time_limit_s: float = 60.0
    concurrency: int = 20
    rate: float = 500.0
    op_timeout_s: float = 1.0
    interval_s: float = 6.0
    seed: int = 0
    facets: dict[str, str] = {}
    options: dict[str, Any] = {}
    client_processes: int = 0
    schedule: str = ""

    def facet(self, name: str) -> str:
        """Return the name below which a system offers the variety of a facet that was chosen: "lock=recipe"."""
        return f"{name}={self.facets[name]}" if name in self.facets else name

    def command(self) -> str:
        """Return the command line that replays this run."""
        name = f"{self.system}:{self.version}" if self.version else self.system
        words = ["kingslayer", "run", name, "--nodes", str(self.nodes), "--workload", self.workload]
        if self.nemesis:
            words += ["--nemesis", ",".join(self.nemesis)]
        words += ["--time-limit", f"{self.time_limit_s:.15g}", "--concurrency", str(self.concurrency)]
        words += ["--rate", f"{self.rate:.15g}", "--op-timeout", f"{self.op_timeout_s:.15g}"]
        words += ["--interval", f"{self.interval_s:.15g}", "--seed", str(self.seed)]
        if self.backend:
            words += ["--backend", self.backend]
        if self.client_processes:
            words += ["--client-processes", str(self.client_processes)]
        if self.schedule:
            words += ["--schedule", self.schedule]
        for facet, variety in self.facets.items():
            words += ["--facet", f"{facet}={variety}"]
        for option, value in self.options.items():
            words += ["--option", f"{option}={value}"]
        return shlex.join(words)


class When(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The moment that an aimed fault waits for.

    Attributes:
        moment: what is waited for, one of nemesis.moments.MOMENTS, such as "became leader".
        pattern: regular expression that a new line of a node's log matches; of the moment "log line" alone.
        delay_ms: from the moment to the injection.
        lasts_s: from the injection to the heal.
    """

    moment: str
    pattern: str = ""
    delay_ms: float = 0.0
    lasts_s: float


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault of a schedule, with times in seconds since the clients' start.

    Attributes:
        fault: the fault's number in the schedule, from 0.
        kind: the family, such as "partition".
        start_s: when it is injected; or, of an aimed fault, from when on it waits for its moment.
        stop_s: when it is healed; an aimed fault by then at the latest, so that it waits until `stop_s` less its
            delay and its length.
        params: the family's own plain data: shape, target, nodes, heal, … The word "leader" for a node stands for
            whoever leads when the fault is injected, "moment" for the node that the moment was seen on.
        when: the moment that it is aimed at; None injects it at `start_s`.
    """

    fault: int
    kind: str
    start_s: float
    stop_s: float
    params: dict[str, Any] = {}
    when: When | None = None


class Schedule(msgspec.Struct, frozen=True):
    """Every fault of a run, as data: stored with it, replayed by --schedule."""

    steps: tuple[Step, ...] = ()


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """run.json: what was run, on what, and when.

    Attributes:
        config: what was asked for, with every default filled in (backend, version, seed).
        name, started: the store's folder is store/<name>/<started>.
        nodes: each node's name and address.
        versions: of kingslayer, Python, the kernel, the backend's engine, the system.
        schedule: the faults as planned.
        epoch_ns: CLOCK_REALTIME at the history's time 0, to line up the nodes' logs.
    """

    config: RunConfig
    name: str
    started: str
    nodes: dict[str, str] = {}
    versions: dict[str, str] = {}
    schedule: Schedule = Schedule()
    epoch_ns: int = 0
