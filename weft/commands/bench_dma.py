"""``weft bench dma``: how much of its bus the DMA uses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.table import Table

from ..dma_bench import (
    PATHS,
    Case,
    Runner,
    floor_cases,
    measure_launches,
    program_cases,
    tile_cases,
)
from ..dma_bench.systems import dma_system
from .common import engine_option, json_option, measured, print_json, progress, wide_console

__all__ = ["dma"]

SIZES = (8, 16, 32, 64, 128, 256, 1024, 4096)
BUSES = ("64", "512")
LATENCIES = (3, 13, 100)
QUICK_SIZES, QUICK_BUSES, QUICK_LATENCIES = (8, 64), ("64",), (13,)
QUICK_BEATS = 64
CONFIG = "dma"


@click.command()
@click.option(
    "--bus",
    "buses",
    multiple=True,
    type=click.Choice(["64", "128", "256", "512"]),
    help="Width of the AXI4 data channels; may stand several times.  [default: 64 and 512]",
)
@click.option(
    "--latency",
    "latencies",
    multiple=True,
    type=click.IntRange(1, 1000),
    help="Cycles from AR to R and from the last W to B.  [default: 3, 13 and 100]",
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    type=click.Choice([str(size) for size in SIZES]),
    help="Bytes of a row; may stand several times.  [default: all]",
)
@click.option(
    "--path",
    "paths",
    multiple=True,
    type=click.Choice(PATHS),
    help="From where to where; may stand several times.  [default: all]",
)
@click.option(
    "--outstanding",
    type=click.IntRange(1, 256),
    default=128,
    show_default=True,
    help="Bursts in flight in each direction.",
)
@engine_option("verilator where there is a C++ compiler")
@click.option(
    "--quick",
    is_flag=True,
    help="A few short measurements, of rows only: of 8 and 64 bytes on a "
    "64-bit bus at latency 13 unless said otherwise.",
)
@json_option
def dma(
    buses: tuple[str, ...],
    latencies: tuple[int, ...],
    sizes: tuple[str, ...],
    paths: tuple[str, ...],
    outstanding: int,
    engine: str,
    quick: bool,
    as_json: bool,
) -> int:
    """How much of its bus the DMA uses, beside the exact floor.

    `utilization` is bytes a cycle over the bus's width, for one direction, from the slope between
    two lengths of the same pattern: what it costs to start and to end is not in it. `floor` is what
    a bus that is never idle would show: ceil((offset + size) / width) beats a row, and no more than
    `outstanding` bursts a latency. Every byte is checked. Rows called `launch` have `first_ar`, the
    cycles from a push to the first read address, and `launch-lock` with a BD that acquires a free
    lock. Rows called `send` are one call of the driver's
    `send`, from its first register access on, in each of its modes.
    """
    chosen = _choose_engine(engine)
    widths = [int(bus) for bus in buses or (QUICK_BUSES if quick else BUSES)]
    row_bytes = [int(size) for size in sizes] or list(QUICK_SIZES if quick else SIZES)
    latencies = latencies or (QUICK_LATENCIES if quick else LATENCIES)
    rows: list[dict[str, Any]] = []
    for width in widths:
        for latency in latencies:
            cases = list(_cases(width // 8, row_bytes, paths or PATHS, quick))
            rows += _measure(cases, width, latency, outstanding, chosen, modes=not quick)
            rows += measure_launches(bus_bits=width, latency=latency, outstanding=outstanding)
    exact = all([row.pop("ok") for row in rows])
    hashes = "".join(dma_system(width, outstanding).hash for width in widths)
    result = measured(
        "dma",
        CONFIG,
        hashlib.sha256(hashes.encode()).hexdigest()[:16],
        rows=rows,
        summary=_summary(rows),
    )
    if as_json:
        print_json(result)
    else:
        _show(rows)
    if not exact:
        click.echo("weft: error: the bytes that arrived differ from those sent", err=True)
    return 0 if exact else 1


def _choose_engine(engine: str) -> str:
    if engine != "auto":
        return engine
    from ..sim.verilator.build import find_toolchain
    from ..sim.verilator.toolchain import ToolchainError

    try:
        find_toolchain()
    except ToolchainError as error:
        click.echo(f"weft: on the python engine, which is slow: {error}", err=True)
        return "python"
    return "verilator"


def _cases(width: int, sizes: Sequence[int], paths: Sequence[str], quick: bool) -> Iterator[Case]:
    if quick:
        yield from floor_cases(width, sizes, paths, QUICK_BEATS)
    else:
        yield from floor_cases(width, sizes, paths)
        yield from tile_cases(width, paths)
        if "dram-dram" in paths:
            yield from program_cases(width)


def _measure(
    cases: Sequence[Case], width: int, latency: int, outstanding: int, engine: str, *, modes: bool
) -> Iterator[dict[str, Any]]:
    with (
        progress(f"dma {width} bit, latency {latency}") as bar,
        Runner(
            bus_bits=width,
            latency=latency,
            outstanding=outstanding,
            engine=engine,
            report=bar.building,
            progress=bar.cycles,
        ) as runner,
    ):
        for case in cases:
            yield runner.measure(case)
        if modes:
            yield from runner.compare_modes()


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How far the rows are from their floors, and the slowest launch."""
    moved = [row for row in rows if row["mode"] == "sg" and row["pattern"] != "send"]
    launches = [row["first_ar"] for row in rows if row["pattern"] == "launch"]
    locked = [row["first_ar"] for row in rows if row["pattern"] == "launch-lock"]
    short = [row for row in moved if row["utilization"] < row["floor"] - 5e-4]
    return {
        "rows": len(moved),
        "rows_below_floor": len(short),
        "worst_of_floor": min(
            (round(row["utilization"] / row["floor"], 4) for row in moved), default=None
        ),
        "first_ar": max(launches, default=None),
        "first_ar_lock": max(locked, default=None),
    }


def _show(rows: Sequence[dict[str, Any]]) -> None:
    columns = {"bus": "bus_bits", "L": "latency", "path": "path", "pattern": "pattern"}
    figures = {
        "bytes": "row_bytes",
        "src+": "src_offset",
        "dst+": "dst_offset",
        "rows": "rows",
        "cycles": "cycles",
        "beats": "beats",
        "least": "beats_floor",
        "utilization": "utilization",
        "floor": "floor",
        "first AR": "first_ar",
        "mode": "mode",
        "calls": "calls",
        "BDs": "bds",
        "copies": "host_copies",
    }
    table = Table(title="DMA: bytes a cycle over the bus's width", title_justify="left")
    for title in columns:
        table.add_column(title, no_wrap=True)
    for title in figures:
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        cells = [row.get(name, "") for name in (columns | figures).values()]
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells))
    console = wide_console()
    console.print(table)
