"""``weft fmax``: how fast the parts of a system run on an FPGA."""

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..config import load_config
from .common import config_option, json_option, measured, print_json, work_progress

__all__ = ["fmax"]

DEFAULT = "ecp5"
"""Of the named configurations, the one that fits."""

INCOMPLETE = 1


@click.command()
@config_option(DEFAULT)
@click.option(
    "--part",
    "parts",
    multiple=True,
    metavar="PATH",
    help="Instances to measure instead, as accelerator.A.core; may be given several times.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 99),
    default=1,
    show_default=True,
    help="Place each part so many times; the median counts.",
)
@json_option
def fmax(config: str, parts: tuple[str, ...], seeds: int, as_json: bool) -> int:
    """Place and route a system and its parts on an ECP5-85F, and name their slowest paths.

    The parts are the array's element, a mover and the crossbar; those take minutes, the system as a
    whole most of an hour. Results are kept in the cache folder (WEFT_CACHE names another one).
    Exit status 1: a part has no frequency, because it does not fit.
    """
    from ..fmax import measure  # builds whole systems: not for --help

    system = load_config(config)
    with work_progress(
        f"fmax of {system.name}", "parts to place and route, minutes each"
    ) as report:
        figures = measure(system, parts=parts, seeds=seeds, progress=report)
    result = measured("fmax", system.name, system.hash, **figures)
    if as_json:
        print_json(result)
    else:
        _show(result)
    return INCOMPLETE if any(row["fmax_mhz"] is None for row in result["rows"]) else 0


def _show(result: dict[str, Any]) -> None:
    summary = result["summary"]
    table = Table(
        title=f"fmax of {result['config']}, {summary['device']}, nextpnr {summary['nextpnr']}, "
        f"commit {result['commit']}",
        title_justify="left",
    )
    table.add_column("part")
    for name in ("MHz", "LUT4s", "FFs", "DP16KD", "MULT18"):
        table.add_column(name, justify="right")
    for row in result["rows"]:
        counts = [row[name] for name in ("luts", "ffs", "bram", "dsps")]
        table.add_row(
            row["module"],
            "-" if row["fmax_mhz"] is None else f"{row['fmax_mhz']:.1f}",
            *("-" if count is None else f"{count:,}" for count in counts),
        )
    console = Console()
    console.print(table)
    for row in result["rows"]:
        console.print(f"{row['module']}: {row['critical_path']}", markup=False, highlight=False)
    console.print(f"Method: {summary['method']}.")
