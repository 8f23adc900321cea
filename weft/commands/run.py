"""``weft run``: a workload on the RTL, checked against numpy."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from ..conv_workload import ConvWorkload
from ..gemm_workload import GemmWorkload
from ..workload import RESULTS
from .execute import workload_command

__all__ = ["run"]

Command = Callable[..., Any]

COUNT = click.IntRange(min=1)


class Numbers(click.ParamType):
    """So many whole numbers with commas between them, or fewer that stand for all of them.

    Parameters
    ----------
    least
        What each is at least.
    meanings
        For each count of them that may be given, which of them stands at each place.
    """

    name = "numbers"

    def __init__(self, least: int, meanings: Sequence[Sequence[int]]) -> None:
        self._least = least
        self._meanings = {max(places) + 1: places for places in meanings}

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            given = [int(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is not whole numbers with commas between them.", param, ctx)
        if len(given) not in self._meanings:
            counts = " or ".join(map(str, self._meanings))
            self.fail(f"{value} are {len(given)} numbers: must be {counts}.", param, ctx)
        low = [number for number in given if number < self._least]
        if low:
            self.fail(f"{low[0]} is not in the range x>={self._least}.", param, ctx)
        return tuple(given[place] for place in self._meanings[len(given)])


STEPS = Numbers(1, [(0, 0), (0, 1)])
PADS = Numbers(0, [(0, 0, 0, 0), (0, 0, 1, 1), (0, 1, 2, 3)])


def out_option(each: str) -> Callable[[Command], Command]:
    """The option for the type of a result, in which `each` has its own parameters."""
    return click.option(
        "--out",
        type=click.Choice(RESULTS),
        default=RESULTS[0],
        show_default=True,
        help=f"Type of the result; int8 by random parameters for each {each}, and zero points.",
    )


@click.group(no_args_is_help=False)
def run() -> None:
    """Run a workload on the RTL and check it."""


@run.command()
@click.option("--m", type=COUNT, required=True, help="Rows of A and of the result.")
@click.option("--n", type=COUNT, required=True, help="Columns of B and the result.")
@click.option("--k", type=COUNT, required=True, help="Columns of A, rows of B.")
@click.option("--accumulate", is_flag=True, help="Add a random int32 matrix C.")
@click.option("--bias", is_flag=True, help="Add a random int32 row to every row.")
@click.option(
    "--layout",
    type=click.Choice(["row-major", "blocked"]),
    default="row-major",
    show_default=True,
    help="Of the operands in DRAM.",
)
@click.option("--transpose-a", is_flag=True, help="A lies transposed in DRAM.")
@click.option("--transpose-b", is_flag=True, help="B lies transposed in DRAM.")
@out_option("column")
@workload_command
def gemm(layout: str, **options: Any) -> GemmWorkload:
    """A matrix product: DRAM, DMA, scratchpad, array and all the way back.

    Exits with 1 where the result differs from numpy's.
    """
    if layout != "row-major":
        raise click.UsageError(f"--layout {layout} is not built yet")
    return GemmWorkload(**options)


@run.command()
@click.option("--h", type=COUNT, required=True, help="Rows of the image.")
@click.option("--w", type=COUNT, required=True, help="Columns of the image.")
@click.option("--c", type=COUNT, required=True, help="Channels of the image.")
@click.option("--k", type=COUNT, required=True, help="Channels of the result.")
@click.option("--r", type=COUNT, required=True, help="Rows of the kernel.")
@click.option("--s", type=COUNT, required=True, help="Columns of the kernel.")
@click.option("--stride", type=STEPS, default="1", metavar="N|N,N", help="Of rows, columns.")
@click.option(
    "--pad",
    type=PADS,
    default="0",
    metavar="N|N,N|N,N,N,N",
    help="Zeros around the image: of rows, columns; or at the top, bottom, left, right.",
)
@click.option("--dilation", type=STEPS, default="1", metavar="N|N,N", help="Of rows, columns.")
@click.option("--bias", is_flag=True, help="Add a random int32 to each channel of the result.")
@out_option("filter")
@workload_command
def conv(pad: tuple[int, int, int, int], **options: Any) -> ConvWorkload:
    """A convolution of one image, NHWC: its im2col is the loops and guards of mover A.

    Exits with 1 where the result differs from numpy's.
    """
    return ConvWorkload(pad=(pad[:2], pad[2:]), **options)
