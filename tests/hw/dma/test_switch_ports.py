"""The ports of sinks behind a stream switch: where a BD ends, and what is left of its last beat."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import flipped

from support.bench import feed, run, stalls, watch
from support.streamers import Streamers, feed_rows
from support.switching import cut, program
from weft.hw.bus.wires import adopt
from weft.hw.config import AcceleratorConfig, DmaConfig, MemoryConfig, MoverConfig
from weft.hw.dma.switch import StreamSwitch
from weft.hw.dma.unpacker import ByteUnpacker
from weft.sim.golden.streamer import Task
from weft.sim.golden.switch import SinkTask, SourceTask, switched

WIDTH = 64
LANES = WIDTH // 8
ADDRESS_BITS = 8


class Bench(wiring.Component):
    """A switch with the unpackers of DRAM ports as its sinks."""

    def __init__(self, *, sources, sinks):
        super().__init__({})
        self.switch = StreamSwitch(sources=sources, sinks=sinks, width=WIDTH)
        self.unpackers = [
            ByteUnpacker(data_bits=WIDTH, address_bits=ADDRESS_BITS, completions=2)
            for _ in range(sinks)
        ]
        adopt(self.switch, "o", [flipped(unpacker.i) for unpacker in self.unpackers])

    def elaborate(self, platform):
        m = Module()
        m.submodules.switch = switch = self.switch
        for i, unpacker in enumerate(self.unpackers):
            m.submodules[f"unpacker_{i}"] = unpacker
            m.d.comb += [
                switch.finished[i].eq(unpacker.finished),
                switch.holding[i].eq(unpacker.holding),
                unpacker.bound.eq(switch.bound[i]),
            ]
        return m


class Trial:
    """Tasks for the sources and sinks, whose units are bytes."""

    def __init__(self, sources, sinks, *, stall=(0.0, 0.0, 0.0), seed=0):
        self.sources, self.sinks = sources, sinks
        self.stall, self.seed = stall, seed
        self.dut = Bench(sources=len(sources), sinks=len(sinks))
        self.written = [bytearray() for _ in sinks]
        self.ended = [0 for _ in sinks]

    def beats(self, index):
        shape = self.dut.switch.i[index].payload.shape()
        for task in self.sources[index]:
            for at in range(0, len(task.units), LANES):
                part = bytes(task.units[at : at + LANES])
                yield shape.const(
                    {
                        "data": int.from_bytes(part, "little"),
                        "count": len(part),
                        "end": at + LANES >= len(task.units),
                    }
                )

    def pieces(self, index):
        """Each BD as runs that start in any lane."""
        toss = random.Random(repr((self.seed, index)))
        for task in self.sinks[index]:
            left = task.size
            for size in cut(toss, task.size, 2):
                lane = toss.randrange(LANES)
                while size:
                    count = min(size, LANES - lane)
                    size, left = size - count, left - count
                    yield {"exists": 1, "lane": lane, "count": count, "end": left == 0}
                    lane = 0

    def drive(self, stream, items, probability, name):
        async def testbench(ctx):
            await feed(ctx, stream, items(), stalls(probability, (self.seed, name)))

        return testbench

    def drain(self, index):
        """What the unpacker writes, until all its BDs are done."""
        stall = stalls(self.stall[2], (self.seed, "drain", index))
        unpacker = self.dut.unpackers[index]

        async def testbench(ctx):
            self.written[index].clear()
            self.ended[index] = 0
            wanted = sum(task.size for task in self.sinks[index])
            while len(self.written[index]) < wanted or self.ended[index] < len(self.sinks[index]):
                ready = not next(stall)
                ctx.set(unpacker.o.ready, ready)
                ctx.set(unpacker.o_done.ready, ready)
                _, _, valid, beat, ended = await ctx.tick().sample(
                    unpacker.o.valid, unpacker.o.payload, unpacker.o_done.valid
                )
                self.ended[index] += ended and ready
                if valid and ready:
                    data = beat.data.to_bytes(LANES, "little")
                    self.written[index] += bytes(
                        byte for lane, byte in enumerate(data) if beat.strb >> lane & 1
                    )

        return testbench

    def benches(self):
        switch, stall = self.dut.switch, self.stall
        for j, tasks in enumerate(self.sources):
            masks = [task.route for task in tasks]
            yield self.drive(switch.i[j], lambda j=j: self.beats(j), stall[0], ("i", j))
            yield self.drive(
                switch.source_routes[j], lambda masks=masks: masks, stall[1], ("mask", j)
            )
        for i, tasks in enumerate(self.sinks):
            indices = [task.source for task in tasks]
            pieces = self.dut.unpackers[i].i_pieces
            yield self.drive(pieces, lambda i=i: self.pieces(i), stall[1], ("pieces", i))
            yield self.drive(
                switch.sink_routes[i], lambda indices=indices: indices, stall[1], ("index", i)
            )

    def run(self):
        drains = [self.drain(i) for i in range(len(self.sinks))]
        watched = [watch(port) for port in self.dut.switch.i]
        run(self.dut, [*self.benches(), *drains], background=watched, limit=20_000)
        for tasks, written in zip(switched(self.sources, self.sinks), self.written, strict=True):
            assert bytes(written) == b"".join(bytes(units) for units in tasks)
        return self


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=pytest.mark.soak if seed >= 8 else ()) for seed in range(200)],
)
def test_bytes_reach_the_sink_whose_bd_names_their_source(seed):
    toss = random.Random(seed)
    sources, sinks = program(
        toss,
        sources=3,
        sinks=3,
        transfers=8,
        longest=50,
        unit=lambda: toss.randrange(256),
    )
    stall = tuple(toss.choice([0.0, 0.3, 0.6, 0.9]) for _ in range(3))
    Trial(sources, sinks, stall=stall, seed=seed).run()


def test_the_rest_of_a_beat_goes_to_the_next_bd_of_the_same_source():
    units = list(range(29))
    source = [SourceTask(sinks=(0,), units=units[:21]), SourceTask(sinks=(0,), units=units[21:])]
    trial = Trial([source], [[SinkTask(source=0, size=n) for n in (5, 1, 3, 20)]]).run()
    assert list(trial.written[0]) == units


@pytest.mark.parametrize("count", [8, 3, 1])
def test_the_rest_of_a_beat_never_reaches_a_bd_of_another_source(count):
    """Five of eight bytes are taken; what then comes for another source has to wait."""
    dut = Bench(sources=2, sinks=1)
    switch, unpacker = dut.switch, dut.unpackers[0]

    async def scene(ctx):
        for j in range(2):
            ctx.set(switch.source_routes[j].valid, 1)
            ctx.set(switch.source_routes[j].payload, 1)
            ctx.set(switch.i[j].valid, 1)
            ctx.set(switch.i[j].payload, {"data": 0, "count": LANES, "end": 1, "error": 0})
        ctx.set(switch.sink_routes[0].valid, 1)
        ctx.set(switch.sink_routes[0].payload, 0)
        ctx.set(unpacker.o.ready, 1)
        ctx.set(unpacker.i_pieces.valid, 1)
        ctx.set(unpacker.i_pieces.payload, {"exists": 1, "lane": 0, "count": 5, "end": 1})
        await ctx.tick()
        assert ctx.get(unpacker.finished)
        ctx.set(unpacker.i_pieces.payload, {"exists": 1, "lane": 0, "count": count, "end": 1})
        await ctx.tick()
        ctx.set(switch.i[0].valid, 0)
        ctx.set(switch.source_routes[0].valid, 0)
        ctx.set(switch.sink_routes[0].payload, 1)
        for _ in range(3):
            assert ctx.get(unpacker.holding)
            assert ctx.get(unpacker.finished) == 0
            assert ctx.get(unpacker.i_pieces.ready) == 0
            assert ctx.get(switch.o[0].valid) == 0
            assert ctx.get(switch.sink_waiting) == 1
            assert ctx.get(switch.source_waiting) == 0b10
            await ctx.tick()
        ctx.set(switch.sink_routes[0].payload, 0)
        # The same source: the rest is its. It is three bytes.
        assert ctx.get(unpacker.finished) == (count <= 3)

    run(dut, [scene], limit=50)


def test_a_scratchpad_port_takes_a_beat_only_with_its_row_and_tells_the_last():
    config = AcceleratorConfig(
        name="test",
        memory=MemoryConfig(banks=8, bank_bits=16, rows=8, groups=(8, 4, 1), crossbar_stages=1),
        movers=(
            MoverConfig(
                name="W",
                kind="write",
                bind="M",
                spatial_bounds=(4,),
                loops=1,
                address_depth=4,
                data_depth=4,
            ),
            MoverConfig(name="M", kind="mm2s", bind="W"),
        ),
        dma=DmaConfig(data_bits=64, burst_beats=4, read_buffer=4, write_buffer=4),
    )
    dut = Streamers(config)
    port = dut.ports["W"]
    sizes = [3, 1, 5, 2]
    tasks = [Task(base=0, bounds=(n,), strides=(8,), spatial_strides=(2,)) for n in sizes]
    ends = []

    async def rows(ctx):
        ends.clear()
        ctx.set(port.i.valid, 1)
        for _ in range(8):
            await ctx.tick()
            assert ctx.get(port.i.ready) == 0
        await feed_rows(ctx, port, tasks, stalls(0.5, 1))
        while len(ends) < sum(sizes):
            await ctx.tick()
        for _ in range(8):
            await ctx.tick()
            assert ctx.get(port.i.ready) == 0

    async def record(ctx):
        while True:
            _, _, ready, finished = await ctx.tick().sample(port.i.ready, port.finished)
            assert ready or not finished
            if ready:
                ends.append(finished)

    run(dut, [rows], background=[record], limit=500)
    assert ends == [k == n - 1 for n in sizes for k in range(n)]
