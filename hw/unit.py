"""An accelerator of the user's own between exported streams."""

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .bus.streams import compute_beat
from .config import AcceleratorConfig
from .errors import ConfigError

__all__ = ["unit_streams"]


def unit_streams(config: AcceleratorConfig, unit: wiring.Component) -> tuple[str, ...]:
    """Names of the movers whose streams are members of `unit`.

    Raises
    ------
    ConfigError
        A member is named like no mover bound to ``export``, or is not the stream of that mover as
        its other end sees it: an input of :func:`~weft.hw.bus.streams.compute_beat` where the mover
        reads, an output where it writes.
    """
    exported = {mover.name: mover for mover in config.movers if mover.bind == "export"}
    for name, member in unit.signature.members.items():
        if name not in exported:
            known = ", ".join(exported) or "no mover"
            raise ConfigError(f"unit.{name}", member, f"bound to export is: {known}")
        mover = exported[name]
        signature = stream.Signature(compute_beat(mover.channels * config.memory.bank_bits))
        wanted = In(signature) if mover.is_source else Out(signature)
        if member != wanted:
            raise ConfigError(f"unit.{name}", member, f"must be {wanted!r}")
    return tuple(unit.signature.members)
