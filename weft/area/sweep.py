"""What the crossbar costs and gives: its area and a product's cycles, variant by variant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from weft.hw.config import AcceleratorConfig
from weft.hw.errors import WeftError
from weft.hw.memory.ports import memory_ports

from ..engines import open_simulation
from ..gemm_workload import GemmWorkload
from ..sw.device import Device
from ..sw.errors import DescriptorError, MappingError
from ..workload import run_workload
from .parts import Parts
from .synthesis import Synthesis, area_cache
from .targets import TARGETS
from .variants import Variant

__all__ = ["product_cycles", "sweep"]

METHOD = (
    "each distinct block (by netlist, names and constants aside) of a part synthesized once on its "
    "own with the blocks below it as black boxes, times its instances, summed"
)
TILES = 8
"""Of the array, in every direction of the product."""


def sweep(
    variants: Iterable[Variant],
    target: str,
    *,
    no_dsp: bool = False,
    tiles: int = TILES,
    progress: Callable[[int, int, str], None] = lambda done, of, name: None,
) -> dict[str, Any]:
    """``rows``, a variant each, and their ``summary``.

    Of each the area of the crossbar and of all movers at it, with the ports that they share; and
    the cycles of ``a @ b + c`` where it has an array and a DMA: exact, for the engines agree on
    them. Where the driver cannot do the
    product ``refused`` says why.

    Parameters
    ----------
    variants
        Of one system, see :func:`~weft.area.variants.crossbar_variants`.
    target, no_dsp
        See :func:`~weft.area.report.measure`.
    tiles
        Of the array, in every direction of the product.
    progress
        Called as in :meth:`~weft.area.synthesis.Synthesis.areas`, for one variant after another.

    Raises
    ------
    WeftError
        A synthesis fails, or a product is wrong.
    """
    store = area_cache()
    synthesis = Synthesis(target=TARGETS[target], no_dsp=no_dsp, cache=store)
    rows = []
    for variant in variants:

        def report(done: int, of: int, name: str, title: str = variant.title) -> None:
            progress(done, of, f"{title}: {name}".removesuffix(": "))

        parts = Parts(variant.config, synthesis=synthesis, store=store, alike=True)
        row = _described(variant) | _area(variant.config, parts, report)
        rows.append(row | product_cycles(variant.config, tiles=tiles))
    return {"rows": rows, "summary": synthesis.summary | {"method": METHOD, "tiles": tiles}}


def _described(variant: Variant) -> dict[str, Any]:
    """Which variant it is, and how large a crossbar that makes."""
    requesters = [port.requester for port in memory_ports(variant.config)]
    banks = range(variant.config.memory.banks)
    reaching = [sum(requester.reaches(bank) for requester in requesters) for bank in banks]
    return {
        "variant": variant.title,
        "parameter": variant.parameter,
        "movers": list(variant.movers),
        "value": variant.value,
        "ports": len(requesters),
        "requesters": max(reaching),
        "crossings": sum(reaching),
    }


def _area(
    config: AcceleratorConfig, parts: Parts, progress: Callable[[int, int, str], None]
) -> dict[str, int]:
    """Of the crossbar, of the movers at it, and of both."""
    groups = {
        "crossbar": {"scratchpad"},
        "movers": {mover.name for mover in config.movers if mover.is_scratchpad},
    }
    both = set().union(*groups.values())
    table = parts.rows(progress, lambda name: name.partition(".")[0] in both)
    area = {
        f"{name}_{column}": sum(row[column] for row in table if row["group"] in members)
        for name, members in groups.items()
        for column in ("luts", "ffs")
    }
    return area | {
        column: area[f"crossbar_{column}"] + area[f"movers_{column}"] for column in ("luts", "ffs")
    }


def product_cycles(config: AcceleratorConfig, *, tiles: int) -> dict[str, Any]:
    """What a product takes in which every stream but the quantizer's takes part.

    ``product`` is its shape, ``cycles_active`` and ``cycles_total`` are those of ``weft run``, and
    ``refused`` says why the driver cannot do it. All are None where they mean nothing.

    Raises :class:`WeftError` where the product is wrong.
    """
    array = config.array
    result: dict[str, Any] = {
        "product": None,
        "cycles_active": None,
        "cycles_total": None,
        "refused": None,
    }
    if array is None or config.dma is None:
        return result
    workload = GemmWorkload(
        m=tiles * array.mu, n=tiles * array.nu, k=tiles * array.ku, accumulate=True
    )
    result["product"] = workload.title
    with open_simulation(
        config,
        memory_bytes=workload.memory_bytes,
        predicted_cycles=workload.predicted_cycles(config),
    ) as simulation:
        try:
            found = run_workload(Device(simulation, config), workload, engine=simulation.engine)
        except (DescriptorError, MappingError) as error:
            return result | {"refused": str(error)}
    if not found["ok"]:
        raise WeftError(f"{workload.title} on a variant of {config.name} differs from numpy's")
    return result | {name: found[name] for name in ("cycles_active", "cycles_total")}
