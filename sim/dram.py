"""DRAM behind an AXI4 slave port: a registered model that a second engine can repeat bit by bit."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from weft.hw.bus.axi import Response
from weft.hw.errors import ConfigError

from .axi import PAGE_BYTES, AxiChecker, AxiInputs, AxiOutputs, Channel

__all__ = ["DramModel", "DramParameters", "ErrorRange", "check_memory", "mix"]

_MASK = (1 << 64) - 1


def mix(seed: int, channel: int, cycle: int) -> int:
    """A random 64-bit number that depends on nothing but its arguments.

    The output function of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) on
    ``seed + 0x9E3779B97F4A7C15 * (8 * cycle + channel + 1)``; all arithmetic modulo 2**64.
    """
    z = (seed + 0x9E3779B97F4A7C15 * (8 * cycle + channel + 1)) & _MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    return z ^ z >> 31


@dataclass(frozen=True, kw_only=True)
class ErrorRange:
    """Byte addresses ``start`` up to but not including ``stop`` answer with `response`."""

    start: int
    stop: int
    response: Response = Response.SLVERR

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ConfigError("dram.error_range", (self.start, self.stop), "start < stop")
        if self.response not in (Response.SLVERR, Response.DECERR):
            raise ConfigError("dram.error_range.response", self.response, "SLVERR or DECERR")


@dataclass(frozen=True, kw_only=True)
class DramParameters:
    """Timing and faults of a :class:`DramModel`, which defines every one of them exactly.

    Parameters
    ----------
    read_latency
        Cycles between the AR handshake's next cycle and the first beat: 0 gives R in the cycle
        after AR.
    write_latency
        The same from the last W handshake to B.
    read_interval, write_interval
        Cycles from one beat to the next: 1 is a beat every cycle.
    read_outstanding, write_outstanding
        Bursts accepted and not completed; further ones wait.
    stall_ar, stall_r, stall_aw, stall_w, stall_b
        Probability, in 1/256, that a channel idles in a cycle.
    read_errors, write_errors
        Ranges that answer with an error.
    seed
        Of the stalls, 64 bits.
    """

    read_latency: int = 20
    write_latency: int = 10
    read_interval: int = 1
    write_interval: int = 1
    read_outstanding: int = 64
    write_outstanding: int = 64
    stall_ar: int = 0
    stall_r: int = 0
    stall_aw: int = 0
    stall_w: int = 0
    stall_b: int = 0
    read_errors: tuple[ErrorRange, ...] = ()
    write_errors: tuple[ErrorRange, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "latency": (0, 1_000_000),
            "interval": (1, 1_000_000),
            "outstanding": (1, 1_000_000),
        }
        for direction in ("read", "write"):
            for name, (low, high) in limits.items():
                self._check(f"{direction}_{name}", low, high)
        for channel in Channel:
            self._check(f"stall_{channel.name.lower()}", 0, 255)
        self._check("seed", 0, _MASK)

    def _check(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise ConfigError(f"dram.{name}", value, f"must be from {low} to {high}")


def check_memory(*, base: int, size: int) -> None:
    """Raise :class:`ConfigError` unless a memory of `size` bytes can stand at address `base`."""
    if base < 0 or base % PAGE_BYTES:
        raise ConfigError("dram.base", base, f"must be a multiple of {PAGE_BYTES}")
    if size <= 0 or size % PAGE_BYTES:
        raise ConfigError("memory_bytes", size, f"must be a positive multiple of {PAGE_BYTES}")
    if base + size > _MASK:
        raise ConfigError("dram.base", base, f"{size} bytes from there do not fit 64 bits")


class DramModel:
    """An AXI4 memory with latency, bandwidth, back-pressure and faults.

    Bursts answer in the order in which their addresses were taken, whatever their IDs; an answer
    has its burst's ID.

    **Specification.** Cycles are numbered from 0. In cycle t the memory drives ``outputs`` (all
    zero in cycle 0), the master drives `inputs`, and :meth:`step` computes the outputs of cycle
    t + 1 from the state and those inputs alone, in this order:

    1. *Checks* on the inputs of cycle t.
    2. AR handshake (``arvalid`` and ``arready``): a read burst (``arid``, ``araddr``, ``arlen`` + 1
       beats, due in cycle t + 1 + ``read_latency``) joins the read queue; reads open increase by
       one.
    3. R handshake (``rvalid`` and ``rready``): the R register is empty; on ``rlast`` reads open
       decrease by one.
    4. AW handshake: a write burst (``awid``, ``awaddr``, ``awlen`` + 1 beats, response OKAY) joins
       the write queue; writes open increase by one.
    5. W handshake: a beat of the oldest burst in the write queue. Its response becomes the maximum
       of itself and the beat's; an OKAY beat stores its enabled bytes, any other stores nothing.
       The last beat moves the burst to the response queue, due in cycle t + 1 + ``write_latency``.
    6. B handshake: the B register is empty; writes open decrease by one.
    7. Outputs of cycle n = t + 1, where channel x is *stalled* in cycle n when
       ``mix(seed, x, n) mod 256 < stall_x``:

       - ``arready``: reads open < ``read_outstanding`` and AR is not stalled.
       - R: a full register is kept. An empty one takes the next beat of the oldest burst in the
         read queue when that burst is due (due <= n), n >= the cycle in which the previous beat
         was first offered + ``read_interval`` (no limit before the first beat), and R is not
         stalled. ``rid`` is the burst's ID. Data are those of the memory now, after step 5; zero
         when the response is not OKAY. The burst leaves the queue with its last beat.
       - ``awready``: writes open < ``write_outstanding`` and AW is not stalled.
       - ``wready``: the write queue is not empty, n >= the cycle of the last W handshake +
         ``write_interval`` (no limit before the first one), and W is not stalled. Hence data
         are accepted after their address only.
       - B: a full register is kept. An empty one takes the oldest burst of the response queue,
         with its ID on ``bid``, when due and B is not stalled.

    A beat's response: DECERR unless its bytes lie in the memory; else the maximum of the responses
    of the ``read_errors`` (``write_errors``) ranges that it overlaps; else OKAY.

    Checks are those of :class:`~weft.sim.axi.AxiChecker`.

    Parameters
    ----------
    memory
        The bytes, an array of uint8 that the host may read and write between steps.
    base
        Address of ``memory[0]``, a multiple of 4096, as is the memory's size.
    beat_bytes
        Width of the data channels in bytes, a power of two.
    parameters
        Timing and faults.

    Attributes
    ----------
    cycle : int
        t: steps taken.
    outputs : AxiOutputs
        Of cycle t; the same object all the time.
    read_beats, write_beats : int
        Handshakes on R and on W so far.
    """

    def __init__(
        self,
        *,
        memory: npt.NDArray[np.uint8],
        base: int,
        beat_bytes: int,
        parameters: DramParameters,
    ) -> None:
        if beat_bytes not in (4, 8, 16, 32, 64, 128):
            raise ConfigError("dram.beat_bytes", beat_bytes, "4 to 128, a power of two")
        check_memory(base=base, size=memory.size)
        self.memory = memory
        self.base = base
        self.beat_bytes = beat_bytes
        self.parameters = parameters
        self.cycle = 0
        self.outputs = AxiOutputs()
        self.read_beats = 0
        self.write_beats = 0
        self._checker = AxiChecker(beat_bytes=beat_bytes)
        self._full_strobe = (1 << beat_bytes) - 1
        self._reads: deque[list[int]] = deque()  # [due, address, beats left, id]
        self._writes: deque[list[int]] = deque()  # [address, beats left, response, id]
        self._responses: deque[tuple[int, int, int]] = deque()  # (due, response, id)
        self._reads_open = 0
        self._writes_open = 0
        self._read_allowed = 0  # first cycle in which the bandwidth allows a beat
        self._write_allowed = 0

    def step(self, inputs: AxiInputs) -> AxiOutputs:
        """Take the master's signals of this cycle; give the memory's of the next."""
        outputs = self.outputs
        now = self.cycle
        self._checker.check(now, inputs, outputs)
        self._take(inputs, now + 1)
        self.cycle = now + 1
        self._offer(outputs, now + 1)
        return outputs

    def _take(self, inputs: AxiInputs, after: int) -> None:
        """Steps 2 to 6: the handshakes of this cycle; `after` is the next one."""
        outputs, parameters = self.outputs, self.parameters
        if inputs.arvalid and outputs.arready:
            due = after + parameters.read_latency
            self._reads.append([due, inputs.araddr, inputs.arlen + 1, inputs.arid])
            self._reads_open += 1
        if outputs.rvalid and inputs.rready:
            outputs.rvalid = 0
            self.read_beats += 1
            self._reads_open -= outputs.rlast
        if inputs.awvalid and outputs.awready:
            self._writes.append([inputs.awaddr, inputs.awlen + 1, Response.OKAY, inputs.awid])
            self._writes_open += 1
        if inputs.wvalid and outputs.wready:
            burst = self._writes[0]
            burst[2] = max(burst[2], self._write(burst[0], inputs.wdata, inputs.wstrb))
            burst[0] += self.beat_bytes
            burst[1] -= 1
            self.write_beats += 1
            self._write_allowed = after - 1 + parameters.write_interval
            if burst[1] == 0:
                self._writes.popleft()
                due = after + parameters.write_latency
                self._responses.append((due, burst[2], burst[3]))
        if outputs.bvalid and inputs.bready:
            outputs.bvalid = 0
            self._writes_open -= 1

    def _offer(self, outputs: AxiOutputs, cycle: int) -> None:
        """Step 7: the outputs of `cycle`."""
        parameters, flows = self.parameters, self._flows
        outputs.arready = int(
            self._reads_open < parameters.read_outstanding
            and flows(Channel.AR, parameters.stall_ar, cycle)
        )
        if (
            not outputs.rvalid
            and self._reads
            and cycle >= self._reads[0][0]
            and cycle >= self._read_allowed
            and flows(Channel.R, parameters.stall_r, cycle)
        ):
            burst = self._reads[0]
            outputs.rvalid = 1
            outputs.rdata, outputs.rresp = self._read(burst[1])
            outputs.rlast = int(burst[2] == 1)
            outputs.rid = burst[3]
            burst[1] += self.beat_bytes
            burst[2] -= 1
            if burst[2] == 0:
                self._reads.popleft()
            self._read_allowed = cycle + parameters.read_interval
        outputs.awready = int(
            self._writes_open < parameters.write_outstanding
            and flows(Channel.AW, parameters.stall_aw, cycle)
        )
        outputs.wready = int(
            bool(self._writes)
            and cycle >= self._write_allowed
            and flows(Channel.W, parameters.stall_w, cycle)
        )
        if (
            not outputs.bvalid
            and self._responses
            and cycle >= self._responses[0][0]
            and flows(Channel.B, parameters.stall_b, cycle)
        ):
            outputs.bvalid = 1
            _, outputs.bresp, outputs.bid = self._responses.popleft()

    def _flows(self, channel: int, stall: int, cycle: int) -> bool:
        return not stall or mix(self.parameters.seed, channel, cycle) & 255 >= stall

    def _response(self, address: int, errors: tuple[ErrorRange, ...]) -> int:
        offset = address - self.base
        if not 0 <= offset <= self.memory.size - self.beat_bytes:
            return Response.DECERR
        response = Response.OKAY
        for entry in errors:
            if entry.start < address + self.beat_bytes and address < entry.stop:
                response = max(response, entry.response)
        return response

    def _read(self, address: int) -> tuple[int, int]:
        response = self._response(address, self.parameters.read_errors)
        if response != Response.OKAY:
            return 0, response
        offset = address - self.base
        beat = self.memory[offset : offset + self.beat_bytes]
        return int.from_bytes(beat.tobytes(), "little"), response

    def _write(self, address: int, beat: int, strobe: int) -> int:
        response = self._response(address, self.parameters.write_errors)
        if response == Response.OKAY:
            offset = address - self.base
            lanes = np.frombuffer(beat.to_bytes(self.beat_bytes, "little"), np.uint8)
            if strobe == self._full_strobe:
                self.memory[offset : offset + self.beat_bytes] = lanes
            else:
                for lane in range(self.beat_bytes):
                    if strobe >> lane & 1:
                        self.memory[offset + lane] = lanes[lane]
        return response
