"""A DRAM port with a register between any two stages is aborted: nothing stays, nothing is lost."""

from dataclasses import asdict, replace
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from support.axi_slave import AxiSlave, ByteMemory
from support.bench import run, stalls, watch
from support.dram_rows import dram_config, row_payload
from weft.hw.dma import Mm2sPort, S2mmPort
from weft.sim.golden.dma import Guard, Row, Window, allowed, mm2s_bytes, s2mm_write

WIDTH, CAP, LIMIT = 8, 4, 2
OPEN, CLOSED = 0x1F80, 0x7000
WINDOWS = (Window(first=1, last=2),)
ABORTS = 12


def some_rows(pick, bds, *places):
    """The rows of `bds` BDs from `places` up, clipped and joined as it comes; no byte twice."""
    rows, free = [], {place: place for place in places}
    for _ in range(bds):
        pad = pick.randrange(256)
        for _ in range(pick.randint(1, 4)):
            place, length = pick.choice(places), pick.randint(1, 40)
            address = free[place] + pick.choice((0, 0, pick.randrange(20)))
            free[place] = address + length
            guard = Guard(value=0, limit=pick.choice((1000, 1000, 9, 0)), run=True)
            rows.append(Row(address=address, length=length, guards=(guard,), pad=pad))
        rows[-1] = replace(rows[-1], end=True)
    return rows


class Neighbours:
    """What is around a port, and goes on whatever becomes of it."""

    def __init__(self, dut, seed):
        self.dut, self.pick = dut, Random(seed)
        limits = {"width": WIDTH, "cap": CAP, "limit": LIMIT}
        self.slave = AxiSlave(**limits, latency=(0, 9), stall=0.3, seed=seed)
        self.reads = isinstance(dut, Mm2sPort)
        self.stream = dut.o if self.reads else dut.i

    def begin(self, rows):
        """With `rows` and nothing else, and with a stream for them."""
        shape = self.dut.core.rows.payload.shape()
        self.rows = [row_payload(shape, row) for row in rows]
        length = 0 if self.reads else sum(row.length for row in rows)
        self.bytes, self.moved = list(self.pick.randbytes(length)), 0
        self.retired = self.faults = self.progress = self.spoilt = 0
        self.slave.memory = ByteMemory()
        self.stall = stalls(self.pick.choice((0.0, 0.3, 0.9)), self.pick.random())

    async def serve(self, ctx):
        await (self.slave.reader if self.reads else self.slave.writer)(ctx, self.dut)

    async def play(self, ctx):
        """Rows, the other end of the stream, and what the port tells."""
        core, stream, held = self.dut.core, self.stream, False
        while True:
            asks = bool(self.rows)
            ctx.set(core.rows.valid, asks)
            if asks:
                ctx.set(core.rows.payload, self.rows[0])
            moves = held or not next(self.stall)
            if self.reads:
                ctx.set(stream.ready, moves)
            else:
                beat = bytes(self.bytes[self.moved :][:WIDTH])
                moves = moves and beat != b""
                fields = {"data": int.from_bytes(beat, "little"), "count": len(beat)}
                fields["end"] = self.moved + WIDTH >= len(self.bytes)
                ctx.set(stream.payload, stream.payload.shape().const(fields))
                ctx.set(stream.valid, moves)
            told = (core.rows.ready, core.retired, core.fault.code, core.progress.bytes)
            _, _, accepted, retired, fault, progress, valid, ready, beat = await ctx.tick().sample(
                *told, stream.valid, stream.ready, stream.payload
            )
            if asks and accepted:
                self.rows[:1] = []
            if valid and ready:
                self.moved += beat.count
                self.spoilt += beat.error and beat.count
                if self.reads:
                    self.bytes += beat.data.to_bytes(WIDTH, "little")[: beat.count]
            held = moves and not (self.reads or ready)
            self.retired += retired
            self.faults += bool(fault)
            self.progress += progress

    def check(self, rows, *, whole):
        """The first bytes of `rows` have moved, as many as was told; or all that `rows` ask for."""
        if self.reads:
            memory = ByteMemory()
            shut = [row for row in rows if not allowed(WINDOWS, row.address)]
            for row in shut:
                memory |= {row.address + i: row.pad for i in row.present}
            expected, found = mm2s_bytes(memory, rows), self.bytes
        else:
            written = {}
            s2mm_write(written, rows, self.bytes)
            expected = [item for item in written.items() if allowed(WINDOWS, item[0])]
            found = [item for item in expected if item[0] in self.slave.memory]
            assert dict(found) == self.slave.memory
        assert found == expected[: len(found)]
        assert self.progress == len(found) - self.spoilt
        if whole:
            assert len(found) == len(expected)
            assert (self.retired, self.faults) == (sum(row.end for row in rows), 0)


@pytest.mark.parametrize(("kind", "mover"), [(Mm2sPort, "MM2S0"), (S2mmPort, "S2MM0")])
def test_bds_are_left_at_some_time_and_others_follow(kind, mover):
    most = {"read_outstanding": LIMIT, "write_outstanding": LIMIT, "burst_beats": CAP}
    config = dram_config(8 * WIDTH, guards=1, windows=1, pipelined=True, **most)
    dut, abort = kind(config=config, mover=config.mover(mover)), Signal()
    around = Neighbours(dut, seed=1)

    async def drive(ctx):
        around.pick.seed(1)
        ctx.set(dut.windows, [asdict(window) for window in WINDOWS])
        for _ in range(ABORTS):
            rows = some_rows(around.pick, 16, OPEN, CLOSED)  # more than there is room for
            around.begin(rows)
            await ctx.tick().repeat(around.pick.randint(1, 80))
            ctx.set(dut.drain, 1)
            await ctx.tick().until(dut.idle)
            await ctx.tick().repeat(4)  # what was answered last has been told
            around.check(rows, whole=False)
            around.begin([])
            ctx.set(abort, 1)
            await ctx.tick()
            ctx.set(abort, 0)
            await ctx.tick()
            ctx.set(dut.drain, 0)
            rows = some_rows(around.pick, 3, OPEN)
            around.begin(rows)
            while around.retired < sum(row.end for row in rows):
                await ctx.tick()
            await ctx.tick().repeat(20)
            around.check(rows, whole=True)

    channel = dut.ar if around.reads else dut.aw
    background = [around.serve, around.play, watch(channel)]
    run(ResetInserter(abort)(dut), [drive], background=background, limit=20_000)
