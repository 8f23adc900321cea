"""The area of a system, part by part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weft.hw.config import AcceleratorConfig

from .parts import Parts, share
from .synthesis import Synthesis, area_cache
from .targets import TARGETS

__all__ = ["measure"]


def measure(
    config: AcceleratorConfig,
    target: str,
    *,
    no_dsp: bool = False,
    flat: bool = False,
    progress: Callable[[int, int, str], None] = lambda done, of, name: None,
) -> dict[str, Any]:
    """The area of `config`: ``rows``, a part each, and their ``summary``.

    Parameters
    ----------
    config
        The system.
    target
        A name of :data:`~weft.area.targets.TARGETS`.
    no_dsp
        Whether multipliers are to be built of logic.
    flat
        Whether to synthesize the system once more in one piece, to compare.
    progress
        See :meth:`~weft.area.synthesis.Synthesis.areas`.
    """
    store = area_cache()
    synthesis = Synthesis(target=TARGETS[target], no_dsp=no_dsp, cache=store)
    parts = Parts(config, synthesis=synthesis, store=store)
    table = parts.rows(progress)
    summary = _summary(config, table)
    if flat:
        area = parts.flat(progress)
        summary |= {
            "flat_luts": area.luts,
            "flat_ffs": area.ffs,
            "flat_difference_luts": share(summary["luts"] - area.luts, area.luts),
            "flat_difference_ffs": share(summary["ffs"] - area.ffs, area.ffs),
        }
    summary |= synthesis.summary
    summary["distinct_blocks"] = len({key for keys in parts.plan.values() for key in keys})
    return {"rows": table, "summary": summary}


def _summary(config: AcceleratorConfig, table: list[dict[str, Any]]) -> dict[str, Any]:
    """Totals: of everything, of the movers by their purpose, of crossbar and array."""
    names = {mover.name for mover in config.movers}
    streamers = {m.name for m in config.movers if not m.moves_bytes}

    def total(column: str, groups: set[str] | None = None) -> Any:
        return sum(row[column] for row in table if groups is None or row["group"] in groups)

    summary = {
        column: total(column) for column in ("luts", "ffs", "cells", "bram", "dsps", "memory_bits")
    }
    for name, groups in (
        ("streamers", streamers),
        ("dma", names - streamers | {"dma"}),
        ("crossbar", {"scratchpad"}),
        ("array", {"array"}),
        ("control", {"control"}),
    ):
        for column in ("luts", "ffs"):
            summary[f"{name}_{column}"] = total(column, groups)
            summary[f"{name}_share_{column}"] = share(summary[f"{name}_{column}"], summary[column])
    return summary
