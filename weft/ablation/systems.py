"""The systems on which the steps run."""

from __future__ import annotations

from dataclasses import replace

from ..hw.config import SWITCH, AcceleratorConfig, MoverConfig
from ..hw.errors import ConfigError

__all__ = ["READER", "WRITER", "ablation_system"]

READER, WRITER = "R", "W"
"""The movers that rearrange an operand in the scratchpad: R walks as mover A can, W writes what R
gives from one end to the other."""


def ablation_system(config: AcceleratorConfig, *, prefetch: bool) -> AcceleratorConfig:
    """`config` with two movers more, from scratchpad to scratchpad, and with `prefetch` or without.

    The two have ports and a stream of their own, so that a pass of theirs moves a beat a cycle;
    they rest while the array works. Without `prefetch` no scratchpad mover has it.

    Raises
    ------
    ConfigError
        The configuration has no array, has movers on a switch already, or uses a name.
    """
    walker = config.bound_to("array.a")
    if walker is None:
        raise ConfigError("config", config.name, "has no array, of which to leave out features")
    if config.switch_sources:
        raise ConfigError("config", config.name, "has a stream switch, which rearranging takes")
    turn = tuple(name for name in walker.extensions if name == "transposer")
    movers = (
        *config.movers,
        replace(walker, name=READER, bind=SWITCH, extensions=turn, replay_depth=1),
        MoverConfig(
            name=WRITER,
            kind="write",
            bind=SWITCH,
            spatial_bounds=walker.spatial_bounds,
            address_depth=walker.address_depth,
            data_depth=walker.data_depth,
        ),
    )
    return replace(
        config,
        name=f"{config.name}-ablation{'' if prefetch else '-baseline'}",
        movers=tuple(
            replace(mover, prefetch=mover.prefetch and prefetch) if mover.is_scratchpad else mover
            for mover in movers
        ),
    )
