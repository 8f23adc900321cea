"""What the commands share: options, progress, JSON."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ..config import DEFAULT_CONFIG

__all__ = ["commit", "config_option", "json_option", "print_json", "progress"]

config_option = click.option(
    "--config",
    default=DEFAULT_CONFIG,
    show_default=True,
    metavar="NAME|FILE.toml",
    help="Configuration to build.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else."
)


def print_json(value: dict[str, Any]) -> None:
    """`value` as the command's whole standard output."""
    click.echo(json.dumps(value))


@contextmanager
def progress(text: str) -> Iterator[Callable[[int], None]]:
    """A line on the terminal, if there is one, with the cycles reported so far."""
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
        task = bar.add_task(text, total=None)
        yield lambda cycles: bar.update(task, completed=cycles)


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
