"""Which movers can have a scratchpad port."""

from ..config import MoverConfig
from ..errors import ConfigError

__all__ = ["check_port"]


def check_port(mover: MoverConfig, kind: str) -> None:
    """Raise `ConfigError` unless `mover` is of `kind`."""
    if mover.kind != kind:
        raise ConfigError(
            f"movers.{mover.name}.kind", mover.kind, f"this port is for a {kind} mover"
        )
