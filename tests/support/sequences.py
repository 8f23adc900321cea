"""Devices over the functional model, for tests of runtime sequences."""

from typing import Any

from support.pages import named_config
from weft.sim.golden.system import SystemModel
from weft.sw import BufferDescriptor, Device

__all__ = ["TINY", "WALK_X", "WALK_Y", "dram_walk", "opened"]

TINY = named_config("tiny")

WALK_X = BufferDescriptor(base=0, bounds=(4,), strides=(16,), spatial_strides=(4, 8))
"""64 bytes of the small system's scratchpad, from its start."""
WALK_Y = WALK_X


def opened(config: Any = TINY, **options: Any) -> Device:
    return Device(SystemModel(config, **options), config)


def dram_walk(address: int, length: int = 64) -> BufferDescriptor:
    """One run."""
    return BufferDescriptor(base=address, bounds=(1,), strides=(0,), run_length=length)
