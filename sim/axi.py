"""AXI4 as a simulator's memory sees it: one cycle's signals, and the rules for both sides."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

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
    """Master or memory broke a rule of AXI4: names the cycle, the channel and the rule."""

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
    arid: int = 0
    araddr: int = 0
    arlen: int = 0
    arsize: int = 0
    arburst: int = 0
    rready: int = 0
    awvalid: int = 0
    awid: int = 0
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
    rid: int = 0
    rdata: int = 0
    rresp: int = 0
    rlast: int = 0
    awready: int = 0
    wready: int = 0
    bvalid: int = 0
    bid: int = 0
    bresp: int = 0


class AxiChecker:
    """Watches one AXI4 port for broken rules (AMBA AXI and ACE, ARM IHI 0022, A3 and A5).

    Each breach is an :class:`AxiProtocolError`, looked for once a cycle in this order.

    The memory, on R and then on B: valid may not fall and no field may change after a cycle with
    valid and without ready. A handshake's ID is that of a burst whose address was taken in an
    earlier cycle and which is not answered yet (B: and all of whose beats were taken), and the
    bursts of one ID are answered in their order: ``rlast`` stands exactly on the last beat of the
    oldest. Beats of different IDs may come mixed.

    The master, on AR, AW and then W: valid may not fall and no field may change after a cycle with
    valid and without ready. For AR and AW whenever valid: ``size`` is that of a full beat,
    ``burst`` is INCR, the address is a multiple of a beat, and the burst does not cross 4 KiB. At a
    W handshake: ``wlast`` exactly on a burst's last beat; a burst's address is taken in a cycle
    before its first beat.

    Parameters
    ----------
    beat_bytes
        Width of the data channels in bytes, a power of two.

    Attributes
    ----------
    held : dict
        For each channel: the fields of a cycle with valid and without ready just before, or None.
    writing : deque of [id, beats left]
        Bursts whose address was taken and whose data were not, oldest first.
    """

    def __init__(self, *, beat_bytes: int) -> None:
        self._beat_bytes = beat_bytes
        self._size = beat_bytes.bit_length() - 1
        self._cycle = 0
        self.held: dict[Channel, tuple[int, ...] | None] = dict.fromkeys(Channel)
        self.writing: deque[list[int]] = deque()
        # By ID: beats left of each burst to read, oldest first; bursts written and not answered.
        self._reading: dict[int, deque[int]] = {}
        self._written: dict[int, int] = {}

    def check(self, cycle: int, inputs: AxiInputs, outputs: AxiOutputs) -> None:
        """Check `cycle`, the one after that of the call before."""
        self._cycle = cycle
        held = self.held
        # What is taken in this cycle cannot be answered in it: the answers come first.
        if outputs.rvalid or held[Channel.R] is not None:
            self._check_read(inputs, outputs)
        if outputs.bvalid or held[Channel.B] is not None:
            self._check_answer(inputs, outputs)
        if inputs.arvalid or held[Channel.AR] is not None:
            address = (inputs.arid, inputs.araddr, inputs.arlen, inputs.arsize, inputs.arburst)
            self._check_held(Channel.AR, inputs.arvalid, outputs.arready, address)
            self._check_address(Channel.AR, *address)
            if outputs.arready:
                self._reading.setdefault(inputs.arid, deque()).append(inputs.arlen + 1)
        taken: list[list[int]] = []
        if inputs.awvalid or held[Channel.AW] is not None:
            address = (inputs.awid, inputs.awaddr, inputs.awlen, inputs.awsize, inputs.awburst)
            self._check_held(Channel.AW, inputs.awvalid, outputs.awready, address)
            self._check_address(Channel.AW, *address)
            if outputs.awready:
                taken.append([inputs.awid, inputs.awlen + 1])
        if inputs.wvalid or held[Channel.W] is not None:
            self._check_data(inputs, outputs)
        self.writing.extend(taken)

    def _check_read(self, inputs: AxiInputs, outputs: AxiOutputs) -> None:
        beat = (outputs.rid, outputs.rdata, outputs.rresp, outputs.rlast)
        self._check_held(Channel.R, outputs.rvalid, inputs.rready, beat)
        if not inputs.rready:
            return
        bursts = self._reading.get(outputs.rid)
        if not bursts:
            self._fail(Channel.R, f"rid = {outputs.rid}, of which no burst is to be answered")
        if outputs.rlast != (bursts[0] == 1):
            self._fail(
                Channel.R,
                f"rlast = {outputs.rlast} with {bursts[0]} beats left of the oldest burst of ID"
                f" {outputs.rid}",
            )
        if outputs.rlast:
            bursts.popleft()
        else:
            bursts[0] -= 1

    def _check_answer(self, inputs: AxiInputs, outputs: AxiOutputs) -> None:
        self._check_held(Channel.B, outputs.bvalid, inputs.bready, (outputs.bid, outputs.bresp))
        if not inputs.bready:
            return
        if not self._written.get(outputs.bid):
            self._fail(Channel.B, f"bid = {outputs.bid}, of which no burst is to be answered")
        self._written[outputs.bid] -= 1

    def _check_data(self, inputs: AxiInputs, outputs: AxiOutputs) -> None:
        beat = (inputs.wdata, inputs.wstrb, inputs.wlast)
        self._check_held(Channel.W, inputs.wvalid, outputs.wready, beat)
        if not outputs.wready:
            return
        left = self.writing[0][1] if self.writing else 0
        if inputs.wlast != (left == 1):
            self._fail(Channel.W, f"wlast = {inputs.wlast} with {left} beats left in the burst")
        if not left:
            self._fail(Channel.W, "a beat before the address of its burst")
        if inputs.wlast:
            number, _ = self.writing.popleft()
            self._written[number] = self._written.get(number, 0) + 1
        else:
            self.writing[0][1] -= 1

    def _check_held(self, channel: Channel, valid: int, ready: int, now: tuple[int, ...]) -> None:
        held = self.held[channel]
        if held is not None:
            if not valid:
                self._fail(channel, "valid fell before ready")
            if held != now:
                self._fail(channel, f"the payload changed before ready, from {held} to {now}")
        self.held[channel] = None if ready else now

    def _check_address(
        self, channel: Channel, number: int, address: int, length: int, size: int, burst: int
    ) -> None:
        if size != self._size:
            self._fail(channel, f"size = {size}, a full beat is {self._size}")
        if burst != INCR:
            self._fail(channel, f"burst = {burst}, only INCR ({INCR}) is supported")
        if address % self._beat_bytes:
            self._fail(channel, f"address {address:#x} is no multiple of {self._beat_bytes}")
        if address % PAGE_BYTES + (length + 1) * self._beat_bytes > PAGE_BYTES:
            self._fail(channel, f"{length + 1} beats from {address:#x} cross 4 KiB")

    def _fail(self, channel: Channel, rule: str) -> NoReturn:
        raise AxiProtocolError(self._cycle, channel, rule)
