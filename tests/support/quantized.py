"""A small system with E, S and zero points."""

from dataclasses import replace

from weft.config import load_config
from weft.hw.config import MoverConfig

__all__ = ["QUANTIZED"]

TINY = load_config("tiny")
assert TINY.array is not None

E = MoverConfig(
    name="E",
    kind="write",
    bind="array.e",
    spatial_bounds=(4,),
    loops=3,
    address_depth=4,
    data_depth=4,
    reach=4,
    guards=1,
)
S = MoverConfig(
    name="S",
    kind="read",
    bind="array.s",
    spatial_bounds=(4,),
    loops=3,
    address_depth=2,
    data_depth=2,
    reach=4,
)

QUANTIZED = replace(
    TINY,
    name="quantized",
    array=replace(TINY.array, quantizer=True, zero_points=True),
    movers=(*TINY.movers[:4], E, S, *TINY.movers[4:]),
)
"""The tiny one, and they."""
