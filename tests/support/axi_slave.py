"""An AXI4 slave for the DMA's tests: random latency and stalls, error ranges, protocol checks."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from weft.hw.bus.axi import Response

__all__ = ["AxiSlave", "ByteMemory"]

PAGE_BYTES = 4096


class ByteMemory(dict[int, int]):
    """Every byte of the address space, with a content of its own where nothing was written."""

    def __missing__(self, address: int) -> int:
        return (address * 0x9E3779B1 >> 11 ^ address) & 0xFF


@dataclass(kw_only=True)
class AxiSlave:
    """Answers one port's bursts in order and asserts the rules of the standard on the way.

    ``latency`` is the range of cycles from a burst's acceptance to its answer; ``stall`` the
    chance that a channel pauses in a cycle; ``errors`` maps the aligned address of a beat to the
    response that it gives. Observed: ``reads`` and ``writes`` as (address, beats), ``answers``
    (cycle of each R beat), ``raised`` (cycle in which each address was first seen), ``spans``
    (cycle of each W beat).
    """

    width: int
    cap: int
    limit: int
    latency: tuple[int, int] = (0, 0)
    stall: float = 0.0
    errors: dict[int, Response] = field(default_factory=dict)
    seed: int = 0

    def restart(self) -> None:
        self.memory = ByteMemory()
        self.cycle = 0
        self.reads: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []
        self.answers: list[int] = []
        self.raised: list[int] = []
        self.spans: list[int] = []
        self.most = 0
        self.draws = random.Random(self.seed)

    def _wait(self) -> int:
        return self.cycle + self.draws.randint(*self.latency)

    def _burst(self, payload: Any) -> tuple[int, int]:
        address, beats = payload.addr, payload.len + 1
        assert address % self.width == 0, f"{address:#x} is not aligned to {self.width} bytes"
        assert beats <= self.cap, f"{beats} beats exceed the cap of {self.cap}"
        last = address + beats * self.width - 1
        assert address // PAGE_BYTES == last // PAGE_BYTES, f"burst at {address:#x} crosses 4 KiB"
        return address, beats

    def _pausing(self) -> bool:
        return self.draws.random() < self.stall

    async def reader(self, ctx: Any, dut: Any) -> None:
        """Serve `dut.ar` and `dut.r`."""
        self.restart()
        # Beats still to be given: (not before cycle, address, is last).
        queue: list[tuple[int, int, bool]] = []
        shape = dut.r.payload.shape()
        offering = seen = False
        while True:
            accepting = not self._pausing()
            ctx.set(dut.ar.ready, accepting)
            if not offering and queue and queue[0][0] <= self.cycle and not self._pausing():
                _, address, last = queue[0]
                resp = self.errors.get(address, Response.OKAY)
                held = bytes(self.memory[address + i] for i in range(self.width))
                value = int.from_bytes(held, "little")
                if resp != Response.OKAY:
                    value ^= (1 << 8 * self.width) - 1
                ctx.set(dut.r.payload, shape.const({"data": value, "resp": resp, "last": last}))
                ctx.set(dut.r.valid, 1)
                offering = True
            _, _, asked, payload, taken = await ctx.tick().sample(
                dut.ar.valid, dut.ar.payload, dut.r.ready
            )
            assert taken, "R must always be accepted"
            if asked and not seen:
                self.raised.append(self.cycle)
            seen = bool(asked and not accepting)
            if offering:
                self.answers.append(self.cycle)
                queue.pop(0)
                ctx.set(dut.r.valid, 0)
                offering = False
            if asked and accepting:
                address, beats = self._burst(payload)
                self.reads.append((address, beats))
                due = self._wait() + 1
                for k in range(beats):
                    queue.append((due, address + k * self.width, k == beats - 1))
                self.most = max(self.most, sum(last for _, _, last in queue))
                assert self.most <= self.limit, f"{self.most} bursts in flight of {self.limit}"
            self.cycle += 1

    async def writer(self, ctx: Any, dut: Any) -> None:
        """Serve `dut.aw`, `dut.w` and `dut.b`."""
        self.restart()
        addresses: list[tuple[int, int]] = []
        beats: list[Any] = []
        answers: list[tuple[int, Response]] = []
        shape = dut.b.payload.shape()
        offering = seen = False
        while True:
            open_aw, open_w = not self._pausing(), not self._pausing()
            ctx.set(dut.aw.ready, open_aw)
            ctx.set(dut.w.ready, open_w)
            if not offering and answers and answers[0][0] <= self.cycle and not self._pausing():
                ctx.set(dut.b.payload, shape.const({"resp": answers[0][1]}))
                ctx.set(dut.b.valid, 1)
                offering = True
            _, _, asked, payload, given, beat, taken = await ctx.tick().sample(
                dut.aw.valid, dut.aw.payload, dut.w.valid, dut.w.payload, dut.b.ready
            )
            if asked and not seen:
                self.raised.append(self.cycle)
            seen = bool(asked and not open_aw)
            if offering and taken:
                answers.pop(0)
                ctx.set(dut.b.valid, 0)
                offering = False
            if asked and open_aw:
                addresses.append(self._burst(payload))
                self.writes.append(addresses[-1])
            if given and open_w:
                self.spans.append(self.cycle)
                beats.append((beat.data, beat.strb, beat.last))
                assert addresses or asked, "W before its AW is raised"
            while addresses and len(beats) >= addresses[0][1]:
                address, count = addresses.pop(0)
                lasts = [bool(last) for _, _, last in beats[:count]]
                assert lasts == [False] * (count - 1) + [True], f"WLAST of {count} beats: {lasts}"
                answers.append((self._wait() + 1, self._write(address, beats[:count])))
                del beats[:count]
            assert not any(last for _, _, last in beats[:-1]), "WLAST is early"
            flying = len(addresses) + len(answers)
            self.most = max(self.most, flying)
            assert flying <= self.limit, f"{flying} bursts in flight of {self.limit}"
            self.cycle += 1

    def _write(self, address: int, beats: Iterable[Any]) -> Response:
        worst = Response.OKAY
        for k, (value, strobe, _) in enumerate(beats):
            start = address + k * self.width
            worst = max(worst, self.errors.get(start, Response.OKAY))
            for lane in range(self.width):
                if strobe >> lane & 1:
                    self.memory[start + lane] = value >> 8 * lane & 0xFF
        return Response(worst)
