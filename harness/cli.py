"""The command `kingslayer`. Results go to stdout, everything else to stderr; exit codes are those of the error tree."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from harness.config import RunConfig
    from harness.history import History
    from harness.verdict import Summary

# What a command needs is imported inside it: --help must not pay for numpy.

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.version_option(package_name="kingslayer")
def cli() -> None:
    """Consistency testing for coordination services: real clusters, real faults, exact verdicts.

    Exit codes: 0 valid, 1 an anomaly, 2 usage, 3 unknown, 4 environment, 5 a bug of kingslayer, 130 Ctrl-C.
    """


def _pairs(_: click.Context, __: click.Parameter, words: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{word!r} is not NAME=VALUE")
        pairs[name] = value
    return pairs


def _names(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    return _families(text)


def _families(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in text.split(",") if name and name != "none"))


@cli.command("run")
@click.argument("system")
@click.option("--nodes", default=5, show_default=True, type=click.IntRange(1, 99), help="Nodes of the cluster.")
@click.option("--workload", default="register", show_default=True, help="See `kingslayer workloads`.")
@click.option(
    "--nemesis", default="none", show_default=True, callback=_names, help="Such as partition,kill; all; or FILE.toml."
)
@click.option("--time-limit", default=60.0, show_default=True, type=click.FloatRange(0.1), help="Seconds of load.")
@click.option("--concurrency", default=20, show_default=True, type=click.IntRange(1, 10_000), help="Clients at once.")
@click.option("--rate", default=500.0, show_default=True, type=click.FloatRange(0), help="Operations/s; 0: no limit.")
@click.option("--op-timeout", default=1.0, show_default=True, type=click.FloatRange(0.01), help="Seconds until info.")
@click.option("--interval", default=6.0, show_default=True, type=click.FloatRange(0.5), help="Seconds between faults.")
@click.option("--seed", type=int, help="Of all random choices; one is drawn and shown otherwise.")
@click.option("--backend", default="", help="docker, netns or memory; the first that works otherwise.")
@click.option("--client-processes", default=0, type=click.IntRange(0, 99), help="Processes that hold the clients.")
@click.option("--schedule", default="", help="Replay the faults of this schedule.json instead of planning them.")
@click.option(
    "--facet", "facets", multiple=True, callback=_pairs, metavar="NAME=VARIETY", help="Such as lock=recipe, of etcd."
)
@click.option("--reads", help="Same as --option reads=…: how a register is read, see `kingslayer systems`.")
@click.option(
    "--option", "options", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="Of workload or system."
)
@click.option(
    "--store", default="store", show_default=True, type=click.Path(file_okay=False), help="Where runs are kept."
)
@JSON
def run_command(system: str, store: str, as_json: bool, **flags: Any) -> None:
    """Run a workload against a cluster of SYSTEM (etcd, etcd:3.5.1, module:Class) under faults, and check it."""
    from harness import session
    from harness.observer import Console

    result, stopped = session.run(_config(system, flags), Path(store), Console())
    _show(result.summary, result.history, as_json)
    if stopped:
        sys.exit(130)
    sys.exit(result.summary.exit_code)


def _config(system: str, flags: dict[str, Any]) -> RunConfig:
    import secrets

    from harness.config import RunConfig
    from harness.registry import split_system

    name, version = split_system(system)
    options = dict(flags["options"])
    if flags["reads"]:
        options["reads"] = flags["reads"]
    return RunConfig(
        system=name,
        version=version,
        nodes=flags["nodes"],
        backend=flags["backend"],
        workload=flags["workload"],
        nemesis=flags["nemesis"],
        time_limit_s=flags["time_limit"],
        concurrency=flags["concurrency"],
        rate=flags["rate"],
        op_timeout_s=flags["op_timeout"],
        interval_s=flags["interval"],
        seed=secrets.randbelow(10**6) if flags["seed"] is None else flags["seed"],
        facets=flags["facets"],
        options=options,
        client_processes=flags["client_processes"],
        schedule=flags["schedule"],
    )


@cli.command("campaign")
@click.argument("systems", metavar="SYSTEM...", nargs=-1, required=True)
@click.option("--workload", "chosen", default="", callback=_names, help="Such as lock,register; all otherwise.")
@click.option(
    "--nemesis",
    "nemeses",
    multiple=True,
    default=("none", "partition,pause,kill"),
    show_default=True,
    help="Families of faults; once for each row of the table.",
)
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1), help="Runs of each combination.")
@click.option("--seed", default=0, show_default=True, help="The first seed.")
@click.option("--nodes", default=5, show_default=True, type=click.IntRange(1, 99), help="Nodes of each cluster.")
@click.option("--time-limit", default=30.0, show_default=True, type=click.FloatRange(0.1), help="Seconds of each run.")
@click.option("--interval", default=6.0, show_default=True, type=click.FloatRange(0.5), help="As of `run`.")
@click.option("--rate", default=500.0, show_default=True, type=click.FloatRange(0), help="As of `run`.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 16), help="Runs at a time.")
@click.option("--backend", default="", help="docker, netns or memory; the first that works otherwise.")
@click.option("--option", "options", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="As of `run`.")
@click.option("--store", default="store", show_default=True, type=click.Path(file_okay=False), help="As of `run`.")
@JSON
def campaign_command(
    systems: tuple[str, ...], chosen: tuple[str, ...], nemeses: tuple[str, ...], as_json: bool, **flags: Any
) -> None:
    """Run every workload against every SYSTEM under each choice of faults, and show all in one table."""
    import msgspec

    from harness import campaign
    from harness.config import RunConfig

    base = RunConfig(
        system="", nodes=flags["nodes"], backend=flags["backend"], options=flags["options"], seed=flags["seed"],
        time_limit_s=flags["time_limit"], interval_s=flags["interval"], rate=flags["rate"],
    )  # fmt: skip
    families = [_families(text) for text in nemeses]
    configs = campaign.plan(systems, chosen, families, flags["seeds"], base)
    outcomes = []
    for outcome in campaign.execute(configs, Path(flags["store"]), flags["jobs"]):
        outcomes.append(outcome)
        click.echo(f"{len(outcomes)}/{len(configs)}  {outcome.line()}", err=True)
    if as_json:
        click.echo(msgspec.json.encode(campaign.rows(outcomes)).decode())
    else:
        campaign.show(campaign.rows(outcomes))
    sys.exit(130 if len(outcomes) < len(configs) else campaign.worst(outcomes))


@cli.command("check")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", default="", help="Such as cas-register; a run's folder knows its own.")
@click.option("--format", "form", default="auto", show_default=True, help="Of the files: jsonl, jepsen-edn, …")
@click.option("--time-limit", type=click.FloatRange(0.01), help="Seconds for each, then the verdict is unknown.")
@JSON
def check_command(paths: tuple[Path, ...], model: str, form: str, time_limit: float | None, as_json: bool) -> None:
    """Check histories: runs' folders, history.jsonl files, or files of Jepsen, Knossos, Porcupine and elle-cli."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads, which nothing here uses, cost a tenth of it
    from harness.check import check, together

    found = {}
    for path in dict.fromkeys(paths):
        summary, history = check(path, model, time_limit, _warn, form)
        found[str(path)] = summary
        if not as_json:
            if len(paths) > 1:
                click.echo(f"\n{path}", nl=False)
            _show(summary, history, as_json)
    summary = together(found) if len(found) > 1 else summary
    if as_json:
        _print_json(summary)
    sys.exit(summary.exit_code)


@cli.command("export")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--to", "form", required=True, help="jepsen-edn or parquet.")
@click.option("--output", type=click.Path(path_type=Path), help="Where to; beside the history otherwise.")
@click.option("--format", "source", default="auto", show_default=True, help="Of the file that is exported.")
def export_command(path: Path, form: str, output: Path | None, source: str) -> None:
    """Write a run's folder or a history file in another format, and print the path of the new file."""
    from harness.check import export

    click.echo(export(path, form, output, source, _warn))


@cli.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
def report_command(folder: Path) -> None:
    """Write the HTML report of a run's FOLDER anew, and print its path."""
    from harness.check import report

    click.echo(report(folder, _warn))


@cli.command("systems")
def systems_command() -> None:
    """List the systems that can be tested."""
    from harness import catalogue

    _echo(catalogue.systems())


@cli.command("workloads")
def workloads_command() -> None:
    """List the workloads."""
    from harness import catalogue

    _echo(catalogue.workloads())


@cli.command("nemeses")
def nemeses_command() -> None:
    """List the families of faults, with the parameters of a schedule's steps."""
    from harness import catalogue

    _echo(catalogue.nemeses())


@cli.command("clean")
def clean_command() -> None:
    """Remove what killed runs left behind: containers, networks and folders whose owner is gone."""
    from clusters.leftovers import clean

    removed = clean()
    for name in removed:
        click.echo(f"removed {name}")
    if not removed:
        click.echo("nothing was left behind", err=True)


def _warn(text: str) -> None:
    click.echo(f"warning: {text}", err=True)


def _show(summary: Summary, history: History, as_json: bool) -> None:
    if as_json:
        _print_json(summary)
        return
    from reports.text import explain

    colour = {"valid": "green", "invalid": "red"}.get(summary.verdict, "yellow")
    first, *rest = explain(summary, history)
    click.echo()
    click.secho(first, fg=colour, bold=True)
    _echo(rest)
    if summary.store:
        click.echo(f"\nreport: {Path(summary.store) / 'report.html'}")


def _print_json(summary: Summary) -> None:
    import msgspec

    click.echo(msgspec.json.encode(summary).decode())


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def main() -> None:
    """Run the command; turn every error into its message and its exit code, never a traceback."""
    from harness.errors import HarnessError, InternalError

    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        _fail("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except HarnessError as error:
        click.secho(f"error: {error}", fg="red", err=True)
        _fail(str(error), error.exit_code)
    except Exception as error:  # the last line of defence
        with tempfile.NamedTemporaryFile("w", prefix="kingslayer-crash-", suffix=".txt", delete=False) as file:
            traceback.print_exc(file=file)
        bug = InternalError(
            f"a bug of kingslayer: {type(error).__name__}: {error}", f"please report it with {file.name}"
        )
        click.secho(f"error: {bug}", fg="red", err=True)
        _fail(str(bug), bug.exit_code)


def _fail(message: str, code: int) -> None:
    """Exit; where JSON was asked for, stdout gets an object all the same."""
    if "--json" in sys.argv:
        from harness.verdict import Summary

        _print_json(Summary(verdict="error", error=message))
    sys.exit(code)
