"""How well the DMA uses its bus: patterns, the systems that move them, and what is measured."""

from .launch import measure_launches
from .patterns import PATHS, Case, floor_cases, program_cases, tile_cases
from .runner import Runner

__all__ = [
    "PATHS",
    "Case",
    "Runner",
    "floor_cases",
    "measure_launches",
    "program_cases",
    "tile_cases",
]
