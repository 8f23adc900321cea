"""What the commands share: options, progress, JSON."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..config import DEFAULT_CONFIG
from ..engines import ENGINES
from ..sim.waveform import Waveform

__all__ = [
    "ProgressLine",
    "commit",
    "config_option",
    "engine_option",
    "json_option",
    "measured",
    "print_json",
    "progress",
    "waveform_options",
    "wide_console",
    "work_progress",
]

WIDTH = 160
"""Columns of a wide table that goes to a file."""

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else."
)


def config_option(
    default: str = DEFAULT_CONFIG,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--config``, the configuration that a command builds."""
    return click.option(
        "--config",
        default=default,
        show_default=True,
        metavar="NAME|FILE.toml",
        help="Configuration to build.",
    )


def engine_option(auto: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--engine``; `auto` tells which one is taken unless it is said."""
    return click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default="auto",
        show_default=True,
        help=f"auto: {auto}.",
    )


def print_json(value: dict[str, Any]) -> None:
    """`value` as the command's whole standard output."""
    click.echo(json.dumps(value))


def measured(
    bench: str,
    config: str,
    config_hash: str,
    *,
    rows: Sequence[dict[str, Any]],
    summary: dict[str, Any],
) -> dict[str, Any]:
    """What a command that measures prints: the figures, and of what they are."""
    return {
        "bench": bench,
        "config": config,
        "config_hash": config_hash,
        "commit": commit(),
        "rows": rows,
        "summary": summary,
    }


def wide_console() -> Console:
    """Standard output, for a table that an 80-column page would cut."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    return console


def waveform_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options for a waveform; `command` gets them as `waveform`, a Waveform or None."""
    file = click.Path(path_type=Path, dir_okay=False)

    @wraps(command)
    def wrapper(
        *args: Any,
        vcd: Path | None,
        fst: Path | None,
        first: int | None,
        end: int | None,
        last: int | None,
        **kwargs: Any,
    ) -> Any:
        if vcd is not None and fst is not None:
            raise click.UsageError("--vcd and --fst: one waveform at a time")
        path = vcd or fst
        waveform = None
        if path is not None:
            waveform = Waveform(
                path=path,
                format="vcd" if fst is None else "fst",
                first=first or 0,
                end=end,
                last=last,
            )
        elif not (first is None and end is None and last is None):
            raise click.UsageError("--from, --to and --last need --vcd or --fst")
        return command(*args, waveform=waveform, **kwargs)

    options = (
        click.option(
            "--vcd",
            type=file,
            metavar="FILE",
            help="Write a waveform (about four times slower), and FILE.gtkw and FILE.sucl for "
            "viewers.",
        ),
        click.option(
            "--fst", type=file, metavar="FILE", help="The same, compact; verilator engine only."
        ),
        click.option(
            "--from",
            "first",
            type=click.IntRange(min=0),
            metavar="CYCLE",
            help="First cycle in the waveform.",
        ),
        click.option(
            "--to",
            "end",
            type=click.IntRange(min=1),
            metavar="CYCLE",
            help="First cycle that is no longer in it.",
        ),
        click.option(
            "--last",
            type=click.IntRange(min=1),
            metavar="N",
            help="Only the last N cycles of the run, or before it failed.",
        ),
    )
    for option in reversed(options):
        wrapper = option(wrapper)
    return wrapper


class ProgressLine:
    """A line on the terminal: what is going on, and the cycles so far."""

    def __init__(self, text: str, bar: Progress) -> None:
        self._text = text
        self._bar = bar
        self._task = bar.add_task(text, total=None)
        self._announced = False

    def cycles(self, cycles: int) -> None:
        """The simulation has come so far."""
        self._bar.update(self._task, description=self._text, completed=cycles)

    def building(self, step: str) -> None:
        """A model is being compiled. Said once where no terminal would show the steps."""
        if self._bar.disable:
            if not self._announced:
                self._announced = True
                click.echo(f"weft: compiling a model, a minute or two, once: {step}", err=True)
        else:
            self._bar.update(self._task, description=f"compiling {step}")


@contextmanager
def progress(text: str) -> Iterator[ProgressLine]:
    """A line on the terminal, if there is one."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} cycles"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns,
        console=console,
        transient=True,
        refresh_per_second=4,
        disable=not sys.stderr.isatty(),
    ) as bar:
        yield ProgressLine(text, bar)


@contextmanager
def work_progress(text: str, pieces: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar of the pieces of work that are done, if there is a terminal; else a line.

    The line says how many `pieces` are left, where not all of them are in a cache. To be called
    with the number of those done, that of all, and the name of the last.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task(f"{text}: elaborating", total=None)
        announced = False

        def report(done: int, total: int, name: str) -> None:
            nonlocal announced
            if bar.disable and done < total and not announced:
                announced = True
                click.echo(f"weft: {text}: {total - done} of {total} {pieces}, once", err=True)
            bar.update(task, description=f"{text}: {name}", completed=done, total=total)

        yield report


def commit() -> str | None:
    """The commit of the source tree, or None where weft is installed without one."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
