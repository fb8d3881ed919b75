"""The schedule language: a file in TOML that says which mix of faults comes in which phase, and which come for certain.

docs/how-to-schedule.md shows it. What a file leaves open is chosen from the seed; what comes of it is a Schedule, like
any other.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, get_args

import msgspec

from harness.config import Schedule, Step, When
from harness.errors import UsageError
from nemesis.family import family
from nemesis.overlap import clash
from nemesis.plan import Phase, plan
from nemesis.schedule import check
from nemesis.targets import MOMENT, Target, TargetParams, sizes, whom

SUFFIX: Final = ".toml"
ALL: Final = "all"
HINT: Final = "docs/how-to-schedule.md shows the language"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file."""


class _Phase(_Table, frozen=True):
    """A table [[phase]]: see docs/how-to-schedule.md for what each key is."""

    name: str = ""
    seconds: float | None = None
    interval: float | None = None
    overlap: int = 1
    faults: str | list[str] | dict[str, int] = {}


class _Fault(_Table, frozen=True, rename={"start": "from"}):
    """A table [[fault]]."""

    kind: str
    lasts: float
    at: float | None = None
    when: str = ""
    pattern: str = ""
    delay_ms: float = 0.0
    start: float | None = None
    until: float | None = None
    params: dict[str, Any] = {}


class _File(_Table, frozen=True):
    """The whole file."""

    phase: list[_Phase] = []
    fault: list[_Fault] = []


def read(
    path: Path, nodes: Sequence[str], time_limit_s: float, interval_s: float, every: Sequence[str], random: Random
) -> Schedule:
    """Read a file and plan the faults of a run by it.

    Args:
        path: of the file.
        nodes: names of the cluster's nodes.
        time_limit_s: every fault is healed by then.
        interval_s: of phases that do not say theirs.
        every: the families that "all" stands for.
        random: every choice comes from it.

    Raises:
        UsageError: it cannot be read, or asks for what is not possible; names file, table and key.
    """
    tables = _parsed(path)
    fixed: list[Step] = []
    for number, table in enumerate(tables.fault, 1):
        try:
            step = _step(table, nodes, time_limit_s, random)
            check(step, nodes)
            for other, before in enumerate(fixed, 1):
                if common := clash(before, step):
                    message = f"it meets [[fault]] {other}: both take hold of {common}, and at one time"
                    raise UsageError(message, "change their times or nodes")
        except UsageError as error:
            raise UsageError(f"{path}: [[fault]] {number}: {error.message}", error.hint) from error
        fixed.append(step)
    return plan(_phases(path, tables.phase, time_limit_s, interval_s, every, nodes), fixed, nodes, random)


def _parsed(path: Path) -> _File:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{path}: {reason}", "--nemesis takes families, or a file in the schedule language") from error
    try:
        tables = msgspec.convert(tomllib.loads(text), _File)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML: {error}", HINT) from error
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {_in_words(str(error))}", HINT) from error
    if not tables.phase and not tables.fault:
        raise UsageError(f"{path}: there is neither a [[phase]] nor a [[fault]] in it", HINT)
    return tables


def _in_words(message: str) -> str:
    """Turn "… - at `$.phase[1].interval`" into "[[phase]] 2, interval: …"."""
    what, _, where = message.partition(" - at ")
    found = re.match(r"`\$\.(\w+)(?:\[(\d+|\.\.\.)\])?\.?(.*?)`", where)
    if found is None:
        return what
    table, number, key = found.groups()
    place = f"[[{table}]] {int(number) + 1}" if number and number.isdigit() else table
    return f"{place}, {key}: {what}" if key else f"{place}: {what}"


def _phases(
    path: Path,
    tables: Sequence[_Phase],
    time_limit_s: float,
    interval_s: float,
    every: Sequence[str],
    nodes: Sequence[str],
) -> list[Phase]:
    """Lay the phases out one after the other; those without a length share what the others leave of the time limit."""
    given_s = sum(table.seconds or 0 for table in tables)
    if given_s > time_limit_s:
        message = f"{path}: the phases take {given_s:g} s, and the run {time_limit_s:g} s"
        raise UsageError(message, "give a longer --time-limit, or leave out seconds of one phase")
    rest_s = (time_limit_s - given_s) / max(1, sum(table.seconds is None for table in tables))
    start_s, phases = 0.0, []
    for number, table in enumerate(tables, 1):
        stop_s = start_s + (rest_s if table.seconds is None else table.seconds)
        try:
            phase = _phase(table, start_s, stop_s, interval_s, every)
            plan([phase], [], nodes, Random(0))  # noqa: S311 - only to see whether it can be planned, by itself
        except UsageError as error:
            raise UsageError(f"{path}: [[phase]] {number}: {error.message}", error.hint) from error
        phases.append(phase)
        start_s = stop_s
    return phases


def _phase(table: _Phase, start_s: float, stop_s: float, interval_s: float, every: Sequence[str]) -> Phase:
    faults = table.faults
    given = {faults: 1} if isinstance(faults, str) else dict.fromkeys(faults, 1) if isinstance(faults, list) else faults
    weights = dict.fromkeys(every, given[ALL]) if ALL in given else {}
    weights |= {family(name).name: weight for name, weight in given.items() if name != ALL}
    if wrong := [name for name, weight in given.items() if weight < 0]:
        raise UsageError(f"faults: {wrong[0]} has a weight below 0", "0 leaves a family out, 2 deals it twice a round")
    if table.overlap < 1:
        raise UsageError(f"overlap: {table.overlap}", "give 1 for one fault at a time, or more; no faults are quiet")
    if stop_s <= start_s:
        raise UsageError("it has no time at all", "give it seconds, or a longer --time-limit")
    return Phase(start_s, stop_s, interval_s if table.interval is None else table.interval, weights, table.overlap)


def _step(table: _Fault, nodes: Sequence[str], time_limit_s: float, random: Random) -> Step:
    params = _filled(table.kind, table.params, nodes, random)
    if table.when:
        if table.at is not None:
            raise UsageError("at: it comes at a moment, not at a time", "give `when` or `at`")
        after_s = table.delay_ms / 1000 + table.lasts
        start_s = 0.0 if table.start is None else table.start
        stop_s = time_limit_s if table.until is None else table.until + after_s
        when = When(moment=table.when, pattern=table.pattern, delay_ms=table.delay_ms, lasts_s=table.lasts)
    else:
        if table.at is None:
            raise UsageError("at: it says neither at which time it comes nor at which moment", "give `at` or `when`")
        if table.pattern or table.delay_ms or table.start is not None or table.until is not None:
            raise UsageError("pattern, delay_ms, from and until are of moments", "give `when`, or leave them out")
        start_s, stop_s, when = table.at, table.at + table.lasts, None
    if stop_s > time_limit_s:
        message = f"it may last until {stop_s:g} s, and the run {time_limit_s:g} s"
        raise UsageError(message, "give a longer --time-limit, or let it come earlier")
    return Step(fault=0, kind=table.kind, start_s=start_s, stop_s=stop_s, params=params, when=when)


def _filled(kind: str, given: dict[str, Any], nodes: Sequence[str], random: Random) -> dict[str, Any]:
    """Complete the parameters: all of them where none is given, else the nodes of a target or the order of a shape.

    Choices are drawn in any case, so that what is given does not shift those of other faults.
    """
    each = family(kind)
    chosen = each.plan(random, nodes)
    if not given:
        return chosen
    fields = each.params.__struct_fields__
    params = dict(given)
    if "order" in fields and "order" not in params:
        params["order"] = chosen.get("order", list(nodes))
    if issubclass(each.params, TargetParams) and "target" in params and "nodes" not in params:
        target = params["target"]
        if target == MOMENT:
            return params | {"target": "one", "nodes": [MOMENT]}
        if target not in get_args(Target) or target not in sizes(len(nodes)):
            known = ", ".join((*sizes(len(nodes)), MOMENT))
            raise UsageError(f"params.target: {target!r} is none on {len(nodes)} nodes", f"choose one of {known}")
        _, hit, otherwise = whom(random, nodes, target)
        params |= {"nodes": list(hit)} | ({"otherwise": otherwise} if otherwise else {})
    return params
