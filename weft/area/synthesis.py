"""Blocks to areas: each distinct block once, two at a time, and never again what is cached."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from typing import Any

from ..kept import Kept
from ..sim.verilator.cache import BuildCache, cache_folder
from .netlist import Block
from .targets import Area, Target
from .yosys import Mapped, Yosys, yosys_version

__all__ = ["Request", "Synthesis", "area_cache"]

METHOD = (
    "each distinct block (by netlist, names aside) synthesized once on its own with the blocks "
    "below it as black boxes, times its instances, summed"
)
JOBS = 2
RESULT = "mapped.json"


def area_cache() -> BuildCache:
    """Where areas are kept: the folder ``area`` of weft's cache folder."""
    return BuildCache(cache_folder() / "area")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A distinct block whose area is asked for.

    Parameters
    ----------
    key
        Of the :class:`~weft.area.netlist.Block`.
    name
        For people: where one of them stands.
    """

    key: str
    name: str


class Synthesis:
    """Finds the areas of blocks, in the cache or with Yosys.

    A result is kept under the hash of the block, the script of the target and the version of Yosys.
    Several processes may share the cache: a block that one of them is at is not begun by another.

    Parameters
    ----------
    target, no_dsp
        What to map to, and whether multipliers must be logic.
    cache
        Where results are kept.
    """

    def __init__(self, *, target: Target, no_dsp: bool, cache: BuildCache) -> None:
        self.target = target
        self.no_dsp = no_dsp
        self._made: list[str] = []
        self._kept = Kept(cache, RESULT)
        self._version = yosys_version()
        self._before = _processor_seconds()

    @property
    def synthesized(self) -> int:
        """How many blocks Yosys has been run on."""
        return len(self._made)

    @property
    def summary(self) -> dict[str, Any]:
        """How areas are found, for people, and what it has taken so far."""
        return {
            "target": self.target.name,
            "no_dsp": self.no_dsp,
            "yosys": self._version,
            "script": self.target.commands("TOP", no_dsp=self.no_dsp),
            "method": METHOD,
            "counting": self.target.rule,
            "synthesized": self.synthesized,
            "cpu_seconds": round(_processor_seconds() - self._before, 1),
        }

    def areas(
        self,
        requests: Iterable[Request],
        blocks: Callable[[], Mapping[str, Block]],
        progress: Callable[[int, int, str], None],
    ) -> dict[str, Area]:
        """The area of each block asked for, by its key.

        Parameters
        ----------
        requests
            Each distinct block once.
        blocks
            Called for the blocks by key, if there is one that is not in the cache.
        progress
            Called with the number of blocks that are done, that of all, and a block's name.

        Raises
        ------
        WeftError
            Yosys fails on a block, or the cache cannot be written.
        """
        requests = list(requests)
        found = {request.key: self._find(request.key) for request in requests}
        missing = [request for request in requests if found[request.key] is None]
        done = len(requests) - len(missing)
        progress(done, len(requests), "")
        if missing:
            texts = blocks()
            with ThreadPoolExecutor(JOBS) as pool, Yosys() as yosys:
                yosys.warm_up()
                # The large ones first, so that none is left for the end.
                missing.sort(key=lambda request: len(texts[request.key].text), reverse=True)
                futures = {
                    pool.submit(self._make, yosys, texts[request.key], request.name): request
                    for request in missing
                }
                for future in as_completed(futures):
                    request = futures[future]
                    found[request.key] = future.result()
                    done += 1
                    progress(done, len(requests), request.name)
        return {
            key: self.target.area(mapped.cells, mapped.memory_bits)
            for key, mapped in found.items()
            if mapped is not None
        }

    def _told(self, key: str) -> str:
        script = self.target.commands("top", no_dsp=self.no_dsp)
        return f"{key}\n{script}\n{self._version}"

    def _find(self, key: str) -> Mapped | None:
        values = self._kept.find(self._told(key))
        return None if values is None else Mapped(**values)

    def _make(self, yosys: Yosys, block: Block, name: str) -> Mapped:
        def synthesize() -> dict[str, Any]:
            script = self.target.commands(block.top, no_dsp=self.no_dsp)
            mapped = yosys.synthesize(block.text, script, name)
            self._made.append(block.key)
            return asdict(mapped)

        return Mapped(**self._kept.get(self._told(block.key), synthesize))


def _processor_seconds() -> float:
    """What the processes of this one have taken that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
