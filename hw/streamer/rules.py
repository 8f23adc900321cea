"""Which movers can have a scratchpad port."""

from ..config import MoverConfig
from ..errors import ConfigError
from ..mover.port import ACTIVITY_BITS

__all__ = ["check_port"]


def check_port(mover: MoverConfig, kind: str) -> None:
    """Raise `ConfigError` unless `mover` is of `kind` and its accesses can be counted."""
    where = f"movers.{mover.name}"
    if mover.kind != kind:
        raise ConfigError(f"{where}.kind", mover.kind, f"this port is for a {kind} mover")
    most = (1 << ACTIVITY_BITS) - 1
    if mover.channels > most:
        raise ConfigError(
            f"{where}.spatial_bounds", mover.spatial_bounds, f"more than {most} channels"
        )
