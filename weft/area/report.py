"""The area of a system, part by part.

Yosys sees a system in blocks: the parts named in `_PARTS`, with whatever is below them that is no
part. Blocks with the same netlist are synthesized once and counted as often as they stand. So
nothing is optimized or shared across the borders of blocks, where flat synthesis would; the price
of that is what `flat` tells.
"""

from __future__ import annotations

import hashlib
import json
import re
import resource
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from amaranth.back import rtlil

from weft.hw.config import AcceleratorConfig
from weft.hw.registry import EXTENSIONS
from weft.hw.top import Top

from ..gateware import GATEWARE
from ..generate import TOP_NAME
from ..kept import Kept
from ..sim.verilator.cache import BuildCache
from . import canonical, netlist
from .netlist import Block, cut
from .synthesis import Request, Synthesis, area_cache
from .targets import TARGETS, Area
from .yosys import yosys_version

__all__ = ["METHOD", "measure", "part", "rows"]

METHOD = (
    "each distinct block (by netlist, names aside) synthesized once on its own with the blocks "
    "below it as black boxes, times its instances, summed"
)
PLAN = "plan.json"
_TOOLS = hashlib.sha256(
    b"".join(Path(tool).read_bytes() for tool in (canonical.__file__, netlist.__file__, __file__))
).hexdigest()
"""Hash of what cuts a netlist into parts, as it was when this was imported."""

# Path below the accelerator -> name of the part. The first pattern that fits counts.
_PARTS = (
    (r"control", "control.page"),
    (r"bridge", "control.bridge"),
    (r"pages", "control.decoder"),
    (r"(?:locks|lock_host|lock_sets)", "control.locks"),
    (r"recorder", "dma.recorder"),
    (r"sequencer", "control.sequencer"),
    (r"share_(reads|writes)", r"dma.share_\1"),
    (r"switch", "dma.switch"),
    (r"share_(\w+)_\d+", r"\1.share"),
    (r"dense_(\w+)", r"\1.dense"),
    (rf"extension_(\w+)_(?:{'|'.join(EXTENSIONS)})", r"\1.extension"),
    (r"scratchpad", r"scratchpad.wiring"),
    (r"scratchpad\.(bank|link)_\d+", r"scratchpad.\1"),
    (r"array", "array.control"),
    (r"array\.collector", "array.collector"),
    (r"array\.mesh\.element_\d+_\d+", "array.element"),
    (r"(\w+)", r"\1.core"),
    (r"(\w+)\.chain", r"\1.extension"),
    (r"(\w+)\.port", r"\1.port"),
    (r"(\w+)\.port\.spatial", r"\1.spatial"),
    (r"(\w+)\.port\.channel_\d+", r"\1.channel"),
)


def part(path: tuple[str, ...]) -> str | None:
    """The name of the part that the instance at `path` is, or None for one inside a part."""
    if not path:
        return "control.top"
    for pattern, name in _PARTS:
        match = re.fullmatch(rf"accelerator\.{pattern}", ".".join(path))
        if match:
            return match.expand(name)
    return None


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
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    synthesis = Synthesis(target=TARGETS[target], no_dsp=no_dsp, cache=store)

    @cache
    def emitted() -> str:
        return rtlil.convert(Top(config), name=TOP_NAME, emit_src=False)

    @cache
    def blocks() -> list[Block]:
        return cut(emitted(), TOP_NAME, lambda path: part(path) is not None)

    plan = _plan(config, store, lambda: _counted(blocks()))
    requests = {key: Request(key=key, name=name) for name, keys in plan.items() for key in keys}
    areas = synthesis.areas(
        requests.values(), lambda: {block.key: block for block in blocks()}, progress
    )
    table = rows(plan, areas)
    summary = _summary(config, table)
    if flat:

        @cache
        def whole() -> Block:
            return cut(emitted(), TOP_NAME, lambda path: False)[0]

        key = _plan(config, store, lambda: {"flat": {whole().key: 1}}, "flat")["flat"]
        request = Request(key=next(iter(key)), name="the system in one piece")
        area = synthesis.areas([request], lambda: {whole().key: whole()}, progress)[request.key]
        summary |= {
            "flat_luts": area.luts,
            "flat_ffs": area.ffs,
            "flat_difference_luts": _share(summary["luts"] - area.luts, area.luts),
            "flat_difference_ffs": _share(summary["ffs"] - area.ffs, area.ffs),
        }
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary |= {
        "target": target,
        "no_dsp": no_dsp,
        "yosys": yosys_version(),
        "script": TARGETS[target].commands("TOP", no_dsp=no_dsp),
        "method": METHOD,
        "counting": TARGETS[target].rule,
        "distinct_blocks": len(requests),
        "synthesized": synthesis.synthesized,
        "cpu_seconds": round(cpu, 1),
    }
    return {"rows": table, "summary": summary}


def _counted(blocks: Iterable[Block]) -> dict[str, dict[str, int]]:
    """How often each distinct block stands in each part."""
    plan: dict[str, Counter[str]] = {}
    for block in blocks:
        name = part(block.path)
        if name is not None:
            plan.setdefault(name, Counter())[block.key] += 1
    return {name: dict(keys) for name, keys in plan.items()}


def _plan(
    config: AcceleratorConfig,
    store: BuildCache,
    make: Callable[[], dict[str, dict[str, int]]],
    kind: str = "parts",
) -> dict[str, dict[str, int]]:
    """What `make` gives, kept for as long as neither configuration nor gateware change."""
    told = json.dumps([kind, config.as_dict(), GATEWARE, _TOOLS], sort_keys=True)
    plan: dict[str, dict[str, int]] = Kept(store, PLAN).get(told, make)
    return plan


def rows(plan: Mapping[str, Mapping[str, int]], areas: Mapping[str, Area]) -> list[dict[str, Any]]:
    """A row for each part: all its instances together.

    Parameters
    ----------
    plan
        For each part, the number of instances by the key of their block.
    areas
        Of one instance, by key.
    """
    totals = {
        name: sum((areas[key] * count for key, count in keys.items()), Area())
        for name, keys in plan.items()
    }
    whole = sum(totals.values(), Area())
    groups = list(dict.fromkeys(name.partition(".")[0] for name in totals))
    totals = dict(sorted(totals.items(), key=lambda row: groups.index(row[0].partition(".")[0])))
    return [
        {
            "module": name,
            "group": name.partition(".")[0],
            "instances": sum(plan[name].values()),
            "distinct": len(plan[name]),
            "luts": area.luts,
            "ffs": area.ffs,
            "cells": area.cells,
            "bram": area.bram,
            "dsps": area.dsps,
            "memory_bits": area.memory_bits,
            "share_luts": _share(area.luts, whole.luts),
            "share_ffs": _share(area.ffs, whole.ffs),
        }
        for name, area in totals.items()
        if area.cells or area.memory_bits
    ]


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
            summary[f"{name}_share_{column}"] = _share(summary[f"{name}_{column}"], summary[column])
    return summary


def _share(of: float, whole: float) -> float:
    return round(of / whole, 4) if whole else 0.0
