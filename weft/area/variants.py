"""Variants of a configuration that differ in one parameter of its crossbar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from weft.hw.config import AcceleratorConfig, MoverConfig
from weft.hw.memory.ports import memory_ports

__all__ = ["STAGES", "Variant", "crossbar_variants"]

STAGES = (1, 2, 3)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A configuration beside the one it was made of.

    Parameters
    ----------
    parameter
        What was changed: ``ports``, ``reach`` or ``stages``; empty for the original.
    movers
        Whose parameter it is; empty for the crossbar's own.
    value
        What it was changed to.
    config
        The result.
    """

    parameter: str
    movers: tuple[str, ...]
    value: int
    config: AcceleratorConfig

    @property
    def title(self) -> str:
        """For people."""
        if not self.parameter:
            return "as configured"
        value = "all" if self.parameter == "reach" and not self.value else f"{self.value}"
        return f"{', '.join(self.movers)} {self.parameter} {value}".lstrip()


def crossbar_variants(config: AcceleratorConfig) -> Iterator[Variant]:
    """`config` itself, then with one parameter of its crossbar changed, each in turn.

    - ``ports`` of the movers with the most channels: one a channel, half as many, a quarter;
    - ``reach`` of each mover: all banks, or those of the smallest addressing mode with more than
      one bank a group;
    - ``stages`` of the crossbar: 1, 2, 3.

    Movers that share their ports are changed together. What `config` has already is left out.
    """
    yield Variant(parameter="", movers=(), value=0, config=config)
    users = list(_users(config))
    widest = max((movers[0].channels for movers in users), default=0)
    for movers in users:
        channels = movers[0].channels
        if channels == widest:
            for ports in (channels, channels // 2, channels // 4):
                if ports and ports != movers[0].memory_ports and channels % ports == 0:
                    yield _changed(config, movers, "ports", ports)
    for movers in users:
        # Some channel must reach each bank.
        groups = [group for group in config.memory.groups if 1 < group <= movers[0].channels]
        for reach in (0, min(groups, default=0)):
            if reach != movers[0].reach:
                yield _changed(config, movers, "reach", reach)
    for stages in STAGES:
        if stages != config.memory.crossbar_stages:
            memory = replace(config.memory, crossbar_stages=stages)
            yield Variant(
                parameter="stages", movers=(), value=stages, config=replace(config, memory=memory)
            )


def _users(config: AcceleratorConfig) -> Iterator[tuple[MoverConfig, ...]]:
    """The movers at the scratchpad, those that share their ports side by side."""
    ports = memory_ports(config)
    for names in dict.fromkeys(tuple(dict(port.channels)) for port in ports):
        yield tuple(config.mover(name) for name in names)


def _changed(
    config: AcceleratorConfig, changed: tuple[MoverConfig, ...], parameter: str, value: int
) -> Variant:
    names = tuple(mover.name for mover in changed)
    change: dict[str, Any] = {parameter: value}
    movers = tuple(
        replace(mover, **change) if mover in changed else mover for mover in config.movers
    )
    return Variant(
        parameter=parameter, movers=names, value=value, config=replace(config, movers=movers)
    )
