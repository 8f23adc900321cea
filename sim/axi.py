"""AXI4 as a simulator's memory sees it: one cycle's signals, and the rules a master must keep."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from weft.hw.errors import WeftError

__all__ = ["PAGE_BYTES", "AxiChecker", "AxiInputs", "AxiOutputs", "AxiProtocolError", "Channel"]

PAGE_BYTES = 4096
"""No burst crosses a multiple of this (AMBA AXI, A3.4.1)."""
INCR = 1


class Channel(IntEnum):
    """The channels of AXI4; the numbers feed :func:`mix`."""

    AR = 0
    R = 1
    AW = 2
    W = 3
    B = 4


class AxiProtocolError(WeftError):
    """The master broke a rule of AXI4: names the cycle, the channel and the rule."""

    def __init__(self, cycle: int, channel: Channel, rule: str) -> None:
        super().__init__(f"AXI protocol broken in cycle {cycle} on {channel.name}: {rule}")
        self.cycle = cycle
        self.channel = channel
        self.rule = rule


@dataclass(kw_only=True, slots=True)
class AxiInputs:
    """What the master drives in one cycle.

    A channel's other fields are read only while its valid is high. ``wdata`` carries byte i of the
    beat in bits 8i ... 8i+7, and bit i of ``wstrb`` enables it.
    """

    arvalid: int = 0
    araddr: int = 0
    arlen: int = 0
    arsize: int = 0
    arburst: int = 0
    rready: int = 0
    awvalid: int = 0
    awaddr: int = 0
    awlen: int = 0
    awsize: int = 0
    awburst: int = 0
    wvalid: int = 0
    wdata: int = 0
    wstrb: int = 0
    wlast: int = 0
    bready: int = 0


@dataclass(kw_only=True, slots=True)
class AxiOutputs:
    """What the memory drives in one cycle. Payloads keep their last value while valid is low."""

    arready: int = 0
    rvalid: int = 0
    rdata: int = 0
    rresp: int = 0
    rlast: int = 0
    awready: int = 0
    wready: int = 0
    bvalid: int = 0
    bresp: int = 0


class AxiChecker:
    """Watches one AXI4 master for broken rules (AMBA AXI and ACE, ARM IHI 0022, A3).

    Once a cycle, for AR, AW and W in turn, each breach an :class:`AxiProtocolError`: valid may not
    fall and no field may change after a cycle with valid and without ready. For AR and AW whenever
    valid: ``size`` is that of a full beat, ``burst`` is INCR, the address is a multiple of a beat,
    and the burst does not cross 4 KiB. At a W handshake: ``wlast`` exactly on a burst's last beat.

    Parameters
    ----------
    beat_bytes
        Width of the data channels in bytes, a power of two.

    Attributes
    ----------
    held : dict
        For AR, AW and W: the fields of a cycle with valid and without ready just before, or None.
    """

    def __init__(self, *, beat_bytes: int) -> None:
        self._beat_bytes = beat_bytes
        self._size = beat_bytes.bit_length() - 1
        self._cycle = 0
        self.held: dict[Channel, tuple[int, ...] | None] = {
            Channel.AR: None,
            Channel.AW: None,
            Channel.W: None,
        }

    def check(self, cycle: int, inputs: AxiInputs, outputs: AxiOutputs, beats_left: int) -> None:
        """Check `cycle`, with `beats_left` of the burst that a W beat would belong to."""
        self._cycle = cycle
        held = self.held
        if inputs.arvalid or held[Channel.AR] is not None:
            address = (inputs.araddr, inputs.arlen, inputs.arsize, inputs.arburst)
            self._check_held(Channel.AR, inputs.arvalid, held[Channel.AR], address)
            self._check_address(Channel.AR, *address)
            held[Channel.AR] = None if outputs.arready else address
        if inputs.awvalid or held[Channel.AW] is not None:
            address = (inputs.awaddr, inputs.awlen, inputs.awsize, inputs.awburst)
            self._check_held(Channel.AW, inputs.awvalid, held[Channel.AW], address)
            self._check_address(Channel.AW, *address)
            held[Channel.AW] = None if outputs.awready else address
        if inputs.wvalid or held[Channel.W] is not None:
            beat = (inputs.wdata, inputs.wstrb, inputs.wlast)
            self._check_held(Channel.W, inputs.wvalid, held[Channel.W], beat)
            if outputs.wready and inputs.wlast != (beats_left == 1):
                self._fail(
                    Channel.W, f"wlast = {inputs.wlast} with {beats_left} beats left in the burst"
                )
            held[Channel.W] = None if outputs.wready else beat

    def _check_held(
        self, channel: Channel, valid: int, held: tuple[int, ...] | None, now: tuple[int, ...]
    ) -> None:
        if held is not None:
            if not valid:
                self._fail(channel, "valid fell before ready")
            if held != now:
                self._fail(channel, f"the payload changed before ready, from {held} to {now}")

    def _check_address(
        self, channel: Channel, address: int, length: int, size: int, burst: int
    ) -> None:
        if size != self._size:
            self._fail(channel, f"size = {size}, a full beat is {self._size}")
        if burst != INCR:
            self._fail(channel, f"burst = {burst}, only INCR ({INCR}) is supported")
        if address % self._beat_bytes:
            self._fail(channel, f"address {address:#x} is no multiple of {self._beat_bytes}")
        if address % PAGE_BYTES + (length + 1) * self._beat_bytes > PAGE_BYTES:
            self._fail(channel, f"{length + 1} beats from {address:#x} cross 4 KiB")

    def _fail(self, channel: Channel, rule: str) -> None:
        raise AxiProtocolError(self._cycle, channel, rule)
