"""Register pages in tests: single accesses, and the named systems."""

from pathlib import Path
from typing import Any

from weft.hw.config import AcceleratorConfig

__all__ = ["named_config", "read", "write"]

CONFIGS = Path(__file__).parents[2] / "configs"


def named_config(name: str) -> AcceleratorConfig:
    return AcceleratorConfig.from_toml(CONFIGS / f"{name}.toml")


async def _access(ctx: Any, bus: Any, offset: int, write: bool, data: int) -> bool:
    ctx.set(bus.request, 1)
    ctx.set(bus.write, write)
    ctx.set(bus.offset, offset)
    ctx.set(bus.write_data, data)
    _, _, error = await ctx.tick().sample(bus.error)
    ctx.set(bus.request, 0)
    return bool(error)


async def write(ctx: Any, bus: Any, offset: int, data: int) -> bool:
    """Write a register; whether it was an error. Takes two cycles, as over the bridge."""
    error = await _access(ctx, bus, offset, True, data)
    await ctx.tick()
    return error


async def read(ctx: Any, bus: Any, offset: int) -> tuple[int, bool]:
    """Read a register: its word, and whether it was an error. Takes two cycles."""
    error = await _access(ctx, bus, offset, False, 0)
    answer = ctx.get(bus.read_data), error
    await ctx.tick()
    return answer
