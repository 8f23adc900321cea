"""``weft run``: a workload on the RTL, checked against numpy."""

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..config import load_config
from ..engines import ENGINES, choose_engine, dram_parameters, open_simulation
from ..sim.trace import write_timeline
from ..sim.waveform import Waveform
from ..sw.device import Device
from ..sw.program import PushedTask
from ..workload import GemmWorkload, run_gemm
from .common import config_option, json_option, print_json, progress, waveform_options

__all__ = ["run", "verdict"]

WRONG = 1


@click.group(no_args_is_help=False)
def run() -> None:
    """Run a workload on the RTL and check it."""


@run.command()
@config_option
@click.option("--m", type=click.IntRange(min=1), required=True, help="Rows of A and of the result.")
@click.option("--n", type=click.IntRange(min=1), required=True, help="Columns of B and the result.")
@click.option("--k", type=click.IntRange(min=1), required=True, help="Columns of A, rows of B.")
@click.option("--accumulate", is_flag=True, help="Add a random int32 matrix C.")
@click.option("--engine", type=click.Choice(ENGINES), default="auto", show_default=True)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=(1 << 64) - 1),
    default=0,
    show_default=True,
    help="Of the operands and of the DRAM's back-pressure.",
)
@waveform_options
@click.option(
    "--trace",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a timeline in Chrome's trace format, for ui.perfetto.dev.",
)
@click.option(
    "--latency",
    type=click.IntRange(min=0, max=1_000_000),
    metavar="N",
    help="Cycles that the DRAM takes to answer.",
)
@click.option(
    "--backpressure",
    type=click.FloatRange(min=0, max=1, max_open=True),
    metavar="P",
    help="Probability that a DRAM channel idles in a cycle.",
)
@click.option(
    "--layout",
    type=click.Choice(["row-major", "blocked"]),
    default="row-major",
    show_default=True,
    help="Of the operands in DRAM.",
)
@click.option("--transpose-a", is_flag=True, help="A lies transposed in DRAM.")
@click.option("--transpose-b", is_flag=True, help="B lies transposed in DRAM.")
@click.option("--out", type=click.Choice(["int32", "int8"]), default="int32", show_default=True)
@json_option
def gemm(
    config: str,
    m: int,
    n: int,
    k: int,
    accumulate: bool,
    engine: str,
    seed: int,
    waveform: Waveform | None,
    trace: Path | None,
    latency: int | None,
    backpressure: float | None,
    layout: str,
    transpose_a: bool,
    transpose_b: bool,
    out: str,
    as_json: bool,
) -> int:
    """A matrix product: DRAM, DMA, scratchpad, array and all the way back.

    Exits with 1 where the result differs from numpy's.
    """
    for option, asked in (
        ("--layout blocked", layout != "row-major"),
        ("--transpose-a", transpose_a),
        ("--transpose-b", transpose_b),
        ("--out int8", out != "int32"),
    ):
        if asked:
            raise click.UsageError(f"{option} is not built yet")
    system = load_config(config)
    workload = GemmWorkload(m=m, n=n, k=k, accumulate=accumulate, seed=seed)
    dram = dram_parameters(latency=latency, backpressure=backpressure, seed=seed)
    if trace is not None:
        # A file that cannot be written is found out before the work, not after it.
        trace.touch()
    observed = trace is not None
    choice = choose_engine(
        system,
        engine,
        predicted_cycles=workload.predicted_cycles(system),
        waveform=waveform,
        observed=observed,
    )
    with (
        progress(f"gemm {m}x{n}x{k} on {system.name}") as bar,
        open_simulation(
            system,
            choice.engine,
            memory_bytes=workload.memory_bytes,
            dram=dram,
            waveform=waveform,
            observed=observed,
            progress=bar.cycles,
            report=bar.building,
        ) as simulation,
    ):
        device = Device(simulation, system)
        tasks: list[PushedTask] = []
        if trace is not None:
            device.program.log = tasks
        try:
            result = run_gemm(device, workload, engine=simulation.engine)
            result["engine_reason"] = choice.reason
        finally:
            # A run that failed is the one that somebody wants to see.
            if trace is not None:
                cycles = simulation.cycles
                write_timeline(trace, system, simulation.observed(), cycles=cycles, tasks=tasks)
    if as_json:
        print_json(result)
    else:
        _show(result)
    if result["ok"]:
        return 0
    print(
        f"weft: error: {result['mismatches']} of {m * n} elements differ from numpy's, first at "
        f"{result['first_mismatch']}, by at most {result['max_abs_error']}",
        file=sys.stderr,
    )
    return WRONG


def verdict(counters: dict[str, int]) -> str:
    """What a mover did most of its time: streaming, starved, blocked, conflict or idle."""
    active, starved, blocked = (counters[name] for name in ("active", "starved", "blocked"))
    if not (active or starved or blocked):
        return "idle"
    if active >= max(starved, blocked):
        return "streaming"
    # Lost arbitration shows as waiting for memory: it is named where it explains most of it.
    if 2 * counters["conflict"] > starved + blocked:
        return "conflict"
    return "starved" if starved >= blocked else "blocked"


def _show(result: dict[str, Any]) -> None:
    console = Console()
    work = result["workload"]
    shape = f"{work['m']}x{work['n']}x{work['k']}"
    figures = Table(
        title=f"gemm {shape} int8 on {result['config']}",
        title_justify="left",
        show_header=False,
    )
    figures.add_column()
    figures.add_column(justify="right")
    figures.add_column(style="dim")
    total = result["cycles_total"]
    start = "doorbell" if result["via"] == "program" else "first push"
    for name, value, remark in (
        ("engine", result["engine"], result["engine_reason"]),
        ("cycles, ideal", f"{result['cycles_ideal']:,}", "array steps"),
        ("cycles, active", f"{result['cycles_active']:,}", "array, bubbles included"),
        ("cycles, span", f"{result['cycles_span']:,}", "first streamer address to last write"),
        ("cycles, total", f"{total:,}", f"{start} to completion"),
        ("utilization, temporal", f"{result['utilization_temporal']:.1%}", "ideal / active"),
        ("utilization, MAC", f"{result['utilization_mac']:.1%}", "of every MAC in every cycle"),
        ("array bubbles", f"{result['array']['bubbles']:,}", ""),
        (
            "DMA",
            f"{result['dma']['calls']:,} calls",
            f"{result['dma']['bytes_read']:,} bytes read, "
            f"{result['dma']['bytes_written']:,} written",
        ),
        ("simulation", f"{result['sim_seconds']:.1f} s", f"{_rate(total, result)} cycles/s"),
    ):
        figures.add_row(name, value, remark)
    console.print(figures)
    movers = Table(title="where each mover waited (cycles)", title_justify="left")
    movers.add_column("mover")
    columns = ("active", "starved", "blocked", "conflict", "accesses")
    for name in columns:
        movers.add_column(name, justify="right")
    movers.add_column("verdict")
    for name, counters in result["movers"].items():
        movers.add_row(name, *(f"{counters[c]:,}" for c in columns), verdict(counters))
    console.print(movers)
    lost = {bank: cycles for bank, cycles in enumerate(result["banks"]) if cycles}
    if result["banks"]:
        text = ", ".join(f"{bank}: {cycles:,}" for bank, cycles in lost.items())
        console.print(f"banks with conflicts (cycles): {text or 'none'}")
    if result["ok"]:
        console.print("result: bit-exact against numpy", style="green")


def _rate(cycles: int, result: dict[str, Any]) -> str:
    seconds = result["sim_seconds"]
    return f"{cycles / seconds:,.0f}" if seconds else "-"
