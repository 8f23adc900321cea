"""The stream switch with sinks that take whole beats."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from support.bench import feed, run, stalls
from support.switching import program
from weft.hw.dma.switch import StreamSwitch
from weft.sim.golden.switch import SinkTask, SourceTask, switched

WIDTH = 32
LANES = WIDTH // 8


class Bench(wiring.Component):
    """A switch whose sinks say with `last` that the beat which they take next ends their BD."""

    def __init__(self, *, sources, sinks):
        self.switch = StreamSwitch(sources=sources, sinks=sinks, width=WIDTH)
        super().__init__({"last": In(1).array(sinks)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.switch = switch = self.switch
        for i, sink in enumerate(switch.o):
            m.d.comb += switch.finished[i].eq(sink.valid & sink.ready & self.last[i])
        return m


class Trial:
    """Tasks for the sources and sinks of one switch, whose units are beats."""

    def __init__(self, sources, sinks, *, stall=(0.0, 0.0, 0.0), seed=0):
        self.sources, self.sinks = sources, sinks
        self.stall, self.seed = stall, seed
        self.dut = Bench(sources=len(sources), sinks=len(sinks))
        self.taken = [[[] for _ in tasks] for tasks in sinks]
        self.taken_at = [[] for _ in sinks]
        self.passed_at = [[] for _ in sources]

    def beats(self, index):
        """The beats of a source: the last of each task has `end`."""
        shape = self.dut.switch.i[index].payload.shape()
        for task in self.sources[index]:
            for k, unit in enumerate(task.units):
                last = k == len(task.units) - 1
                yield shape.const(
                    {"data": unit, "count": 1 + unit % LANES if last else LANES, "end": last}
                )

    def drive_source(self, index):
        async def testbench(ctx):
            stall = stalls(self.stall[0], (self.seed, "source", index))
            await feed(ctx, self.dut.switch.i[index], self.beats(index), stall)

        return testbench

    def drive_routes(self, stream, routes, name):
        async def testbench(ctx):
            await feed(ctx, stream, routes, stalls(self.stall[1], (self.seed, name)))

        return testbench

    def drive_sink(self, index):
        async def testbench(ctx):
            stall = stalls(self.stall[2], (self.seed, "sink", index))
            sink, last = self.dut.switch.o[index], self.dut.last[index]
            for number, task in enumerate(self.sinks[index]):
                taken = self.taken[index][number] = []
                while len(taken) < task.size:
                    ready = not next(stall)
                    ctx.set(sink.ready, ready)
                    ctx.set(last, len(taken) == task.size - 1)
                    _, _, valid, beat = await ctx.tick().sample(sink.valid, sink.payload)
                    if valid and ready:
                        taken.append(beat.data)
            ctx.set(sink.ready, 0)

        return testbench

    async def record(self, ctx):
        """When each beat passed, and that what is offered to a sink holds until its BD ends."""
        switch = self.dut.switch
        sampled = [
            s for port in switch.o for s in (port.valid, port.ready, port.payload.as_value())
        ]
        sampled += [s for port in switch.i for s in (port.valid, port.ready)]
        held = [None] * len(self.sinks)
        for times in (*self.taken_at, *self.passed_at):
            times.clear()
        time = 0
        while True:
            _, _, finished, *values = await ctx.tick().sample(switch.finished, *sampled)
            for i in range(len(self.sinks)):
                valid, ready, payload = values[3 * i : 3 * i + 3]
                assert held[i] is None or (valid and payload == held[i])
                held[i] = payload if valid and not ready and not finished >> i & 1 else None
                if valid and ready:
                    self.taken_at[i].append(time)
            for j in range(len(self.sources)):
                valid, ready = values[3 * len(self.sinks) + 2 * j :][:2]
                if valid and ready:
                    self.passed_at[j].append(time)
            time += 1

    def run(self, limit=20_000):
        switch = self.dut.switch
        benches = []
        for j, tasks in enumerate(self.sources):
            routes = [task.route for task in tasks]
            benches.append(self.drive_source(j))
            benches.append(self.drive_routes(switch.source_routes[j], routes, ("mask", j)))
        for i, tasks in enumerate(self.sinks):
            routes = [task.source for task in tasks]
            benches.append(self.drive_sink(i))
            benches.append(self.drive_routes(switch.sink_routes[i], routes, ("index", i)))
        run(self.dut, benches, background=[self.record], limit=limit)
        assert self.taken == switched(self.sources, self.sinks)
        return self


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=pytest.mark.soak if seed >= 3 else ()) for seed in range(50)],
)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4, 4), (3, 8)])
def test_random_programs(shape, seed):
    toss = random.Random(repr((shape, seed)))
    sources, sinks = program(
        toss,
        sources=shape[0],
        sinks=shape[1],
        transfers=12,
        longest=9,
        unit=lambda: toss.getrandbits(WIDTH),
    )
    stall = tuple(toss.choice([0.0, 0.3, 0.6, 0.9]) for _ in range(3))
    Trial(sources, sinks, stall=stall, seed=seed).run()


def task(*sinks, units):
    return SourceTask(sinks=sinks, units=list(units))


def test_a_beat_a_cycle_across_tasks_and_to_several_sinks():
    """Every beat passes in the cycle in which it is offered, from the first task to the last."""
    sources = [
        [task(0, 1, 2, units=range(5)), task(1, units=range(4)), task(0, 2, units=range(6))],
        [task(3, units=range(100, 115))],
    ]
    sinks = [
        [SinkTask(source=0, size=11)],
        [SinkTask(source=0, size=2), SinkTask(source=0, size=7)],
        [SinkTask(source=0, size=5), SinkTask(source=0, size=6)],
        [SinkTask(source=1, size=n) for n in (1, 1, 13)],
    ]
    trial = Trial(sources, sinks).run()
    assert trial.passed_at == [list(range(15))] * 2
    assert trial.taken_at[1] == list(range(9))


def test_a_slow_sink_of_a_multicast_is_at_most_one_beat_behind():
    sources = [[task(0, 1, units=range(40))]]
    sinks = [[SinkTask(source=0, size=40)]] * 2
    trial = Trial(sources, sinks, stall=(0.0, 0.0, 0.6), seed=3).run()
    for k in range(39):
        times = [trial.taken_at[i][k] for i in range(2)]
        assert max(times) == trial.passed_at[0][k]
        assert min(times) > trial.passed_at[0][k - 1] if k else True


class Stage:
    """A switch set by hand, cycle by cycle."""

    def __init__(self, *, sources=2, sinks=2):
        self.dut = StreamSwitch(sources=sources, sinks=sinks, width=WIDTH)

    def play(self, scene):
        async def testbench(ctx):
            self.ctx = ctx
            await scene(self)

        run(self.dut, [testbench], limit=100)

    def source(self, j, *, route=None, beat=None, end=0):
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.source_routes[j].valid, route is not None)
        ctx.set(dut.source_routes[j].payload, route or 0)
        ctx.set(dut.i[j].valid, beat is not None)
        ctx.set(dut.i[j].payload, {"data": beat or 0, "count": LANES, "end": end, "error": 0})

    def sink(self, i, *, route=None, ready=0, holding=0, finished=0):
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.sink_routes[i].valid, route is not None)
        ctx.set(dut.sink_routes[i].payload, route or 0)
        ctx.set(dut.o[i].ready, ready)
        ctx.set(dut.holding[i], holding)
        ctx.set(dut.finished[i], finished)

    @property
    def waiting(self):
        return self.ctx.get(self.dut.source_waiting), self.ctx.get(self.dut.sink_waiting)

    @property
    def offered(self):
        return [
            self.ctx.get(port.payload.data) if self.ctx.get(port.valid) else None
            for port in self.dut.o
        ]

    @property
    def accepted(self):
        return [self.ctx.get(port.ready) for port in self.dut.i]


def test_waiting_is_what_the_switch_makes_wait():
    async def scene(stage):
        assert stage.waiting == (0, 0)  # nobody wants anything
        stage.source(0, route=0b11, beat=7)
        assert stage.waiting == (0b01, 0)
        stage.sink(0, route=0, ready=1)
        assert stage.waiting == (0b01, 0b01)  # sink 1 is missing, for both of them
        assert stage.offered == [None, None]
        stage.sink(1, route=1, ready=1)
        assert stage.waiting == (0b01, 0b11)  # sink 1 is elsewhere
        stage.sink(1, route=0)
        assert stage.waiting == (0, 0)  # a stalled sink is not the switch's doing
        assert stage.offered == [7, 7]
        assert stage.accepted == [0, 0]
        stage.source(0, route=0b11)
        assert stage.waiting == (0, 0)  # nor is a source without data
        stage.source(0)
        assert stage.waiting == (0, 0b11)  # no BD of the source
        stage.source(1, beat=8)
        assert stage.waiting == (0b10, 0b11)  # a beat without a route

    Stage().play(scene)


@pytest.mark.parametrize("route", [0, 0b100, 0b101])
def test_a_source_that_names_no_sink_or_one_that_is_not_there_waits(route):
    async def scene(stage):
        stage.source(0, route=route, beat=7, end=1)
        stage.sink(0, route=0, ready=1)
        for _ in range(3):
            assert stage.waiting == (0b01, 0b01)
            assert stage.offered == [None, None]
            assert stage.accepted == [0, 0]
            await stage.ctx.tick()

    Stage().play(scene)


def test_a_sink_that_names_no_source_waits():
    async def scene(stage):
        stage.source(0, route=1, beat=7)
        stage.sink(0, route=2, ready=1)
        assert stage.waiting == (0b01, 0b01)
        assert stage.offered == [None, None]

    Stage().play(scene)


def test_what_a_sink_holds_keeps_it_to_its_source():
    async def scene(stage):
        stage.source(0, route=0b01, beat=7, end=1)
        stage.source(1, route=0b01, beat=8, end=1)
        stage.sink(0, route=0, ready=1, finished=1)
        assert stage.offered == [7, None]
        await stage.ctx.tick()  # the BD of sink 0 ends inside the beat

        stage.source(0)
        stage.sink(0, route=1, ready=1, holding=1)
        for _ in range(3):
            assert stage.offered == [None, None]
            assert stage.ctx.get(stage.dut.bound) == 0
            assert stage.waiting == (0b10, 0b01)
            await stage.ctx.tick()
        stage.sink(0, route=0, ready=1, holding=1)
        assert stage.ctx.get(stage.dut.bound) == 1  # the same source: it may go on with the rest
        assert stage.waiting == (0b10, 0b01)
        stage.sink(0, route=1, ready=1)  # flushed
        assert stage.ctx.get(stage.dut.bound) == 1
        assert stage.offered == [8, None]

    Stage().play(scene)


def test_a_sink_that_leaves_a_multicast_takes_nobody_with_it():
    async def scene(stage):
        stage.source(0, route=0b11, beat=7, end=1)
        stage.sink(0, route=0)
        stage.sink(1, route=0)
        assert stage.offered == [7, 7]
        await stage.ctx.tick()
        stage.sink(0, route=1)  # its BD ended with what it held
        assert stage.offered == [None, 7]  # what sink 1 was offered still stands
        assert stage.waiting == (0b01, 0b11)
        stage.sink(1, route=0, ready=1)
        assert stage.accepted == [0, 0]
        await stage.ctx.tick()
        stage.sink(1)
        stage.sink(0, route=0, ready=1)
        assert stage.offered == [7, None]  # and here it is again
        assert stage.accepted == [1, 0]

    Stage().play(scene)


def test_flush_forgets_who_has_the_beat():
    async def scene(stage):
        stage.source(0, route=0b11, beat=7, end=1)
        stage.sink(0, route=0, ready=1)
        stage.sink(1, route=0)
        await stage.ctx.tick()
        assert stage.offered == [None, 7]
        stage.ctx.set(stage.dut.flush, 0b01)
        stage.source(0)
        await stage.ctx.tick()
        stage.ctx.set(stage.dut.flush, 0)
        stage.source(0, route=0b11, beat=9)
        assert stage.offered == [9, 9]

    Stage().play(scene)


@pytest.mark.parametrize(
    ("sources", "sinks", "message"),
    [
        (0, 1, "1 to 256 sources, not 0"),
        (257, 1, "1 to 256 sources, not 257"),
        (1, 0, "1 to 8 sinks, not 0"),
        (1, 9, "1 to 8 sinks, not 9"),
    ],
)
def test_too_many_ports_are_refused(sources, sinks, message):
    with pytest.raises(ValueError, match=message):
        StreamSwitch(sources=sources, sinks=sinks, width=WIDTH)
