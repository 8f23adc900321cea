"""The parts that a system is built of, and what each costs.

Yosys sees a system in blocks: the parts named in `_PARTS`, with whatever is below them that is no
part. Blocks with the same netlist are synthesized once and counted as often as they stand. So
nothing is optimized or shared across the borders of blocks, where flat synthesis would; the price
of that is what ``weft area --flat`` tells.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
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
from .synthesis import Request, Synthesis
from .targets import Area

__all__ = ["Parts", "part", "rows", "share"]

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
    (r"(\w+)\.port", r"\1.port"),
    (r"(\w+)\.port\.beats", r"\1.beats"),
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


class Parts:
    """The parts of one system.

    Parameters
    ----------
    config
        The system.
    synthesis
        Finds what its blocks cost.
    store
        Where the list of its blocks is kept.
    alike
        Whether one block stands for all of its part that differ from it in constants alone: an
        estimate from a fraction of the work.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        *,
        synthesis: Synthesis,
        store: BuildCache,
        alike: bool = False,
    ) -> None:
        self._config = config
        self._synthesis = synthesis
        self._store = store
        self._alike = alike

    @cached_property
    def plan(self) -> dict[str, dict[str, int]]:
        """For each part, the number of its instances by the key of their block."""
        if self._alike:
            return self._planned("alike", lambda: _counted(self._blocks, lambda b: b.shape))
        return self._planned("parts", lambda: _counted(self._blocks, lambda b: b.key))

    def rows(
        self,
        progress: Callable[[int, int, str], None],
        wanted: Callable[[str], bool] = lambda name: True,
    ) -> list[dict[str, Any]]:
        """A row for each part whose name is `wanted`, see :func:`rows`.

        `progress` is that of :meth:`~weft.area.synthesis.Synthesis.areas`.
        """
        plan = {name: keys for name, keys in self.plan.items() if wanted(name)}
        requests = {key: Request(key=key, name=name) for name, keys in plan.items() for key in keys}
        areas = self._synthesis.areas(
            requests.values(), lambda: {block.key: block for block in self._blocks}, progress
        )
        return rows(plan, areas)

    def flat(self, progress: Callable[[int, int, str], None]) -> Area:
        """The system in one piece."""

        @cache
        def whole() -> Block:
            return cut(self._netlist, TOP_NAME, lambda path: False)[0]

        (key,) = self._planned("flat", lambda: {"flat": {whole().key: 1}})["flat"]
        request = Request(key=key, name="the system in one piece")
        return self._synthesis.areas([request], lambda: {whole().key: whole()}, progress)[key]

    @cached_property
    def _netlist(self) -> str:
        return rtlil.convert(Top(self._config), name=TOP_NAME, emit_src=False)

    @cached_property
    def _blocks(self) -> list[Block]:
        return cut(self._netlist, TOP_NAME, lambda path: part(path) is not None)

    def _planned(
        self, kind: str, make: Callable[[], dict[str, dict[str, int]]]
    ) -> dict[str, dict[str, int]]:
        """What `make` gives, kept for as long as neither configuration nor gateware change."""
        told = json.dumps([kind, self._config.as_dict(), GATEWARE, _TOOLS], sort_keys=True)
        plan: dict[str, dict[str, int]] = Kept(self._store, PLAN).get(told, make)
        return plan


def _counted(
    blocks: Iterable[Block], distinction: Callable[[Block], str]
) -> dict[str, dict[str, int]]:
    """How often each distinct block stands in each part, by the key of the first such."""
    plan: dict[str, Counter[str]] = {}
    first: dict[tuple[str, str], str] = {}
    for block in blocks:
        name = part(block.path)
        if name is not None:
            key = first.setdefault((name, distinction(block)), block.key)
            plan.setdefault(name, Counter())[key] += 1
    return {name: dict(keys) for name, keys in plan.items()}


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
            "share_luts": share(area.luts, whole.luts),
            "share_ffs": share(area.ffs, whole.ffs),
        }
        for name, area in totals.items()
        if area.cells or area.memory_bits
    ]


def share(of: float, whole: float) -> float:
    """A fraction to four digits; 0 of nothing."""
    return round(of / whole, 4) if whole else 0.0
