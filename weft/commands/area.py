"""``weft area``: what the parts of a system cost."""

from itertools import groupby
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..config import load_config
from .common import (
    config_option,
    json_option,
    measured,
    print_json,
    wide_console,
    work_progress,
)

__all__ = ["area"]

TARGET_NAMES = ("generic", "ecp5", "xcup")
SWEEPS = ("crossbar",)


@click.command()
@config_option()
@click.option(
    "--target",
    type=click.Choice(TARGET_NAMES),
    default="xcup",
    show_default=True,
    help="generic: 6-input LUTs; ecp5: Lattice ECP5; xcup: AMD UltraScale+.",
)
@click.option("--no-dsp", is_flag=True, help="Build multipliers of logic, as the paper does.")
@click.option(
    "--flat",
    is_flag=True,
    help="Also synthesize the system in one piece, to compare (long, and much memory).",
)
@click.option(
    "--sweep",
    type=click.Choice(SWEEPS),
    help="A row a variant of the system instead: crossbar, what its ports, reach and stages cost "
    "in area and in the cycles of a product.",
)
@json_option
def area(
    config: str, target: str, no_dsp: bool, flat: bool, sweep: str | None, as_json: bool
) -> None:
    """Estimate the area of a system with Yosys, a row a part.

    Each distinct part is synthesized once on its own and counted as often as it stands. Results are
    kept in the cache folder (WEFT_CACHE names another one).
    """
    if flat and sweep:
        raise click.UsageError("--flat compares one system, --sweep is of many")
    from .. import area as areas  # builds whole systems: not for --help

    system = load_config(config)
    with work_progress(f"area of {system.name}", "blocks to synthesize, seconds each") as report:
        if sweep:
            variants = areas.crossbar_variants(system)
            figures = areas.sweep(variants, target, no_dsp=no_dsp, progress=report)
        else:
            figures = areas.measure(system, target, no_dsp=no_dsp, flat=flat, progress=report)
    bench = f"area-{sweep}" if sweep else "area"
    result = measured(bench, system.name, system.hash, **figures)
    if as_json:
        print_json(result)
    elif sweep:
        _show_sweep(result)
    else:
        _show(result)


def _table(what: str, result: dict[str, Any]) -> Table:
    """An empty one with a title that says how its figures came about."""
    summary = result["summary"]
    dsp = ", multipliers in logic" if summary["no_dsp"] else ""
    return Table(
        title=f"{what} of {result['config']}, {summary['target']}{dsp}, "
        f"yosys {summary['yosys']}, commit {result['commit']}",
        title_justify="left",
    )


def _show_sweep(result: dict[str, Any]) -> None:
    table = _table("crossbar", result)
    table.add_column("variant")
    columns = {
        "ports": "ports",
        "requesters": "at a bank",
        "crossbar_luts": "crossbar LUTs",
        "crossbar_ffs": "FFs",
        "movers_luts": "movers LUTs",
        "movers_ffs": "FFs",
        "luts": "both LUTs",
        "ffs": "FFs",
    }
    product = result["rows"][0]["product"]
    if product:
        columns |= {"cycles_active": "active", "cycles_total": "total cycles"}
    for title in columns.values():
        table.add_column(title, justify="right")
    for row in result["rows"]:
        figures = (row[name] for name in columns)
        cells = ("refused" if figure is None else f"{figure:,}" for figure in figures)
        table.add_row(row["variant"], *cells)
    console = wide_console()
    console.print(table)
    if product:
        console.print(f"Cycles: of {product} with C, array active and in all.")
    for row in result["rows"]:
        if row["refused"]:
            console.print(f"{row['variant']}: {row['refused']}")
    _explain(console, result["summary"])


def _explain(console: Console, summary: dict[str, Any]) -> None:
    console.print(f"Method: {summary['method']}.", f"Counted: {summary['counting']}.", sep="\n")


def _show(result: dict[str, Any]) -> None:
    summary = result["summary"]
    table = _table("area", result)
    optional = [name for name in ("bram", "dsps", "memory_bits") if summary[name]]
    table.add_column("part")
    for name in ("instances", "LUTs", "share", "FFs", "share", *optional, "cells"):
        table.add_column(name, justify="right")
    for group, members in groupby(result["rows"], key=lambda row: row["group"]):
        rows = list(members)
        total = {
            column: sum(row[column] for row in rows)
            for column in ("luts", "share_luts", "ffs", "share_ffs", *optional, "cells")
        }
        table.add_row(f"[bold]{group}", "", *_cells(total, optional), style="bold")
        for row in rows:
            name = row["module"].partition(".")[2]
            table.add_row(f"  {name}", f"{row['instances']}", *_cells(row, optional), style="dim")
    table.add_section()
    for name in ("streamers", "dma", "crossbar", "array", "control"):
        table.add_row(
            name,
            "",
            f"{summary[f'{name}_luts']:,}",
            f"{summary[f'{name}_share_luts']:.1%}",
            f"{summary[f'{name}_ffs']:,}",
            f"{summary[f'{name}_share_ffs']:.1%}",
        )
    table.add_row("total", "", *_cells({**summary, "share_luts": 1, "share_ffs": 1}, optional))
    console = Console()
    console.print(table)
    _explain(console, summary)
    if "flat_luts" in summary:
        console.print(
            f"In one piece: {summary['flat_luts']:,} LUTs, {summary['flat_ffs']:,} FFs; the sum of "
            f"the parts differs by {summary['flat_difference_luts']:+.1%} and "
            f"{summary['flat_difference_ffs']:+.1%}."
        )


def _cells(row: dict[str, Any], optional: list[str]) -> list[str]:
    return [
        f"{row['luts']:,}",
        f"{row['share_luts']:.1%}",
        f"{row['ffs']:,}",
        f"{row['share_ffs']:.1%}",
        *(f"{row[name]:,}" for name in optional),
        f"{row['cells']:,}",
    ]
