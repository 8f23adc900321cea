"""The flat top: the accelerator behind the port names that the field's tools infer."""

from collections.abc import Iterator
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .accelerator import Accelerator
from .config import AcceleratorConfig

__all__ = ["Top"]

_INCR = 1
_CHANNELS = {
    # channel: (whether the master gives it, flat fields)
    "aw": (True, ("id", "addr", "len")),
    "w": (True, ("data", "strb", "last")),
    "b": (False, ("id", "resp")),
    "ar": (True, ("id", "addr", "len")),
    "r": (False, ("id", "data", "resp", "last")),
}


class Top(wiring.Component):
    """The accelerator with flat AXI ports, ready for a block design.

    A shim without state: every port is a field of a stream of :class:`Accelerator`. Clock ``clk``
    and synchronous, active-high ``rst`` are added by the Verilog back end.

    Parameters
    ----------
    config
        The system.
    observed
        Whether there is a ``trace`` port; for simulation.
    unit
        An accelerator of the user's own, see :class:`Accelerator`.

    Members
    -------
    s_axil_* : AXI4-Lite slave, 32 bit
        Control registers (:class:`~weft.hw.bus.registers.RegisterMap`).
    m_axi_* : AXI4 master, `config.dma.data_bits`; only with a DMA
        INCR bursts of full-width beats. An ID is the number of who asked: of the DRAM movers of
        the direction, in the order of the configuration; as wide as the most numerous direction
        takes, at least 1 bit.
    m_axis_NAME_* / s_axis_NAME_* : AXI4-Stream
        One for each mover bound to ``export`` (readers give, writers take) that `unit` does not
        have; ``tlast`` is the end of the BD; ``tmark`` and ``terror`` are the beat's flags (a
        writer has ``terror`` alone).
    irq : 1
        Level interrupt.
    trace : :func:`~weft.hw.observer.trace_layout`, packed; only if `observed`
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        *,
        observed: bool = False,
        unit: wiring.Component | None = None,
    ) -> None:
        self._config = config
        self._accelerator = Accelerator(config, observed=observed, unit=unit)
        #: (flat name, the accelerator's value, whether the top drives it)
        self._pins: list[tuple[str, Any, bool]] = []
        self._constants: dict[str, tuple[int, int]] = {}
        self._pins += _bus_pins("s_axil", self._accelerator.control, is_master=False)
        if config.dma is not None:
            self._pins += _bus_pins("m_axi", self._accelerator.bus, is_master=True)
            size = (config.dma.data_bytes - 1).bit_length()
            for channel in ("aw", "ar"):
                self._constants |= {
                    f"m_axi_{channel}size": (3, size),
                    f"m_axi_{channel}burst": (2, _INCR),
                }
            if not self._accelerator.bus_id_bits:
                self._constants |= {"m_axi_awid": (1, 0), "m_axi_arid": (1, 0)}
        for mover in config.movers:
            if mover.name in self._accelerator.exports:
                self._pins += _stream_pins(
                    mover.name.lower(), self._accelerator.exports[mover.name], mover.is_source
                )
        self._pins.append(("irq", self._accelerator.irq, True))
        if observed:
            self._pins.append(("trace", self._accelerator.trace.as_value(), True))
        members = {
            name: (Out if driven else In)(value.shape()) for name, value, driven in self._pins
        }
        members |= {name: Out(width) for name, (width, _) in self._constants.items()}
        if config.dma is not None and not self._accelerator.bus_id_bits:
            # One ID in flight: what comes back is known.
            members |= {"m_axi_bid": In(1), "m_axi_rid": In(1)}
        super().__init__(members)

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    @property
    def observed(self) -> bool:
        return self._accelerator.observed

    @property
    def accelerator(self) -> Accelerator:
        """The system behind the shim."""
        return self._accelerator

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.accelerator = self._accelerator
        for name, value, driven in self._pins:
            pin: Signal = getattr(self, name)
            m.d.comb += pin.eq(value) if driven else value.eq(pin)
        for name, (_, value) in self._constants.items():
            m.d.comb += getattr(self, name).eq(value)
        return m


def _bus_pins(prefix: str, bus: Any, *, is_master: bool) -> Iterator[tuple[str, Any, bool]]:
    """Flat pins of an AXI4 or AXI4-Lite `bus`."""
    for channel, (master_gives, fields) in _CHANNELS.items():
        stream = getattr(bus, channel)
        gives = master_gives == is_master
        for field in fields:
            if field in stream.payload.shape().members:
                yield f"{prefix}_{channel}{field}", stream.payload[field], gives
        yield f"{prefix}_{channel}valid", stream.valid, gives
        yield f"{prefix}_{channel}ready", stream.ready, not gives


def _stream_pins(name: str, stream: Any, gives: bool) -> Iterator[tuple[str, Any, bool]]:
    """Flat pins of an exported compute stream."""
    prefix = f"{'m' if gives else 's'}_axis_{name}"
    yield f"{prefix}_tdata", stream.payload.data, gives
    if gives:
        yield f"{prefix}_tlast", stream.payload.end, gives
        yield f"{prefix}_tmark", stream.payload.mark, gives
    yield f"{prefix}_terror", stream.payload.error, gives
    yield f"{prefix}_tvalid", stream.valid, gives
    yield f"{prefix}_tready", stream.ready, not gives
