"""MM2S: rows in, bursts on the bus, a dense byte stream out."""

import warnings
from dataclasses import asdict

import pytest
from amaranth.back import verilog
from amaranth.hdl import UnusedElaboratable
from hypothesis import given, settings
from hypothesis import strategies as st

from support.axi_slave import AxiSlave, ByteMemory
from support.bench import feed, run, stalls, watch
from support.dram_rows import bds, dram_config, row_payload, split_bds
from weft.hw.bus.axi import Response
from weft.hw.bus.fault import FaultCode
from weft.hw.config import AcceleratorConfig, MoverConfig
from weft.hw.dma import Mm2sPort
from weft.hw.errors import ConfigError
from weft.sim.golden.dma import Guard, Row, Window, allowed, bursts, joined, mm2s_bytes

ALL = Guard(value=0, limit=(1 << 31) - 1, run=True)
BAD = {Response.SLVERR: FaultCode.READ_SLVERR, Response.DECERR: FaultCode.READ_DECERR}


class Trial:
    """One run of a port over `rows` until every BD has retired."""

    def __init__(
        self, rows, *, data_bits, give=0.0, take=0.0, seed=0, slave=None, windows=(), **dma
    ):
        config = dram_config(data_bits, guards=len(rows[0].guards), windows=len(windows), **dma)
        self.dut = dut = Mm2sPort(config=config, mover=config.mover("MM2S0"))
        self.rows = rows
        self.width = config.dma.data_bytes
        self.slave = AxiSlave(
            width=self.width,
            cap=config.dma.burst_beats,
            limit=config.dma.read_outstanding,
            seed=seed,
            **(slave or {}),
        )
        wanted = sum(row.end for row in rows)

        self.windows = windows

        async def source(ctx):
            if windows:
                ctx.set(dut.windows, [asdict(window) for window in windows])
            items = [row_payload(dut.core.rows.payload.shape(), row) for row in rows]
            await feed(ctx, dut.core.rows, items, stalls(give, seed))

        async def sink(ctx):
            self.beats, self.retired, self.faults, cycle = [], [], [], 0
            self.progress = [0]
            pause = stalls(take, seed + 1)
            while len(self.retired) < wanted or cycle < self.retired[-1] + 20:
                ready = not next(pause)
                ctx.set(dut.o.ready, ready)
                _, _, valid, beat, retired, fault, progress = await ctx.tick().sample(
                    dut.o.valid,
                    dut.o.payload,
                    dut.core.retired,
                    dut.core.fault,
                    dut.core.progress,
                )
                self.progress[-1] += progress.bytes
                if progress.last:
                    self.progress.append(0)
                if valid and ready:
                    self.beats.append((cycle, beat))
                if fault.code:
                    # The BD it belongs to: the oldest that has not retired before.
                    self.faults.append((len(self.retired), FaultCode(fault.code), fault.address))
                    assert valid
                    assert beat.error
                if retired:
                    self.retired.append(cycle)
                cycle += 1

        async def serve(ctx):
            await self.slave.reader(ctx, dut)

        background = [serve, watch(dut.ar, "ar"), watch(dut.o, "o")]
        run(dut, [source, sink], background=background, limit=100_000)
        self.check_stream()
        self.check_bursts()

    def check_stream(self):
        """The beats are full but for a BD's last, which is where the BD retires."""
        self.bytes, self.spoilt, ends = [[]], [[]], []
        for cycle, beat in self.beats:
            assert beat.end or beat.count == self.width
            assert 1 <= beat.count <= self.width
            self.bytes[-1] += [beat.data >> 8 * lane & 0xFF for lane in range(beat.count)]
            self.spoilt[-1] += [bool(beat.error)] * beat.count
            if beat.end:
                ends.append(cycle)
                self.bytes.append([])
                self.spoilt.append([])
        assert self.bytes.pop() == []
        assert self.retired == ends
        assert self.progress == [flags.count(False) for flags in self.spoilt]

    def check_bursts(self):
        """The bus sees the bytes that exist and no other beat."""
        expected = []
        for bd in split_bds(self.rows):
            for start, count in joined(bd, self.slave.cap * self.width):
                expected += bursts(start, count, self.width, self.slave.cap)
        expected = [burst for burst in expected if allowed(self.windows, burst[0])]
        assert self.slave.reads == expected


@settings(max_examples=8, deadline=None)
@given(
    rows=bds(),
    data_bits=st.sampled_from([32, 64, 128, 512]),
    shape=st.sampled_from([(16, 16, 64), (4, 2, 4), (1, 3, 1)]),
    give=st.sampled_from([0.0, 0.5, 0.9]),
    take=st.sampled_from([0.0, 0.3, 0.9]),
    stall=st.sampled_from([0.0, 0.3, 0.9]),
    latency=st.sampled_from([(0, 0), (0, 5), (0, 100)]),
    seed=st.integers(0, 999),
    pipelined=st.booleans(),
)
def test_stream_is_the_bytes_of_the_rows(
    rows, data_bits, shape, give, take, stall, latency, seed, pipelined
):
    cap, outstanding, buffer = shape
    trial = Trial(
        rows,
        data_bits=data_bits,
        burst_beats=cap,
        read_outstanding=outstanding,
        read_buffer=buffer,
        pipelined=pipelined,
        give=give,
        take=take,
        seed=seed,
        slave={"latency": latency, "stall": stall},
    )
    assert trial.bytes == [mm2s_bytes(ByteMemory(), bd) for bd in split_bds(rows)]
    assert trial.faults == []


def line(address, length, **fields):
    return Row(address=address, length=length, **({"end": True} | fields))


@pytest.mark.parametrize("beats", [1, 2, 16, 40])
def test_aligned_run_takes_a_cycle_a_beat(beats):
    trial = Trial([line(0x2000, beats * 8)], data_bits=64)
    # Row in cycle 0, AR in 1, accepted at once and answered from 2 on.
    assert trial.slave.raised[0] == 1
    assert trial.slave.answers == list(range(2, 2 + beats))
    assert [cycle for cycle, _ in trial.beats] == [cycle + 4 for cycle in trial.slave.answers]


@pytest.mark.parametrize("guards", [0, 2])
def test_pipelined_port_raises_its_first_burst_some_cycles_later(guards):
    rows = [line(0x2000, 320, guards=(ALL,) * guards)]
    plain, pipelined = (Trial(rows, data_bits=64, pipelined=p) for p in (False, True))
    assert plain.slave.raised[0] == 1 + (guards > 0)
    assert pipelined.slave.raised[0] == plain.slave.raised[0] + (5 if guards else 3)
    for trial in (plain, pipelined):
        first = trial.slave.raised[0] + 1
        assert trial.slave.answers == list(range(first, first + 40))
        assert [cycle for cycle, _ in trial.beats] == [n + 4 for n in trial.slave.answers]


@pytest.mark.parametrize(("offset", "length"), [(3, 128), (7, 130), (1, 7), (5, 301)])
def test_unaligned_run_reaches_the_floor(offset, length):
    trial = Trial([line(0x2000 + offset, length)], data_bits=64)
    floor = -(-(offset + length) // 8)
    assert trial.slave.answers == list(range(2, 2 + floor))
    # The last beat leaves with the last answer, or right behind the beat that it shares it with.
    assert trial.beats[-1][0] <= trial.slave.answers[-1] + 5


@pytest.mark.parametrize("cap", [4, 16])
@pytest.mark.parametrize("size", [3, 8, 11, 40])
def test_rows_that_touch_take_no_beat_twice(size, cap):
    rows = [line(0x2005 + size * k, size, end=k == 47) for k in range(48)]
    trial = Trial(rows, data_bits=64, burst_beats=cap)
    beats = -(-(5 + 48 * size) // 8)
    assert len(trial.slave.answers) == beats
    # A cycle a beat, or a cycle a row where there are more of those, and whole bursts.
    assert trial.slave.answers[-1] - trial.slave.answers[0] < max(beats, 48) + cap
    assert all(n == cap for _, n in trial.slave.reads[1:-1])


@pytest.mark.parametrize("size", [8, 11, 24])
@pytest.mark.parametrize("pipelined", [False, True])
def test_short_runs_follow_without_a_bubble(size, pipelined):
    rows = [line(0x2000 + 100 * k, size, end=k == 23) for k in range(24)]
    trial = Trial(rows, data_bits=64, pipelined=pipelined)
    beats = sum(n for _, n in trial.slave.reads)
    assert len(trial.slave.answers) == beats
    assert trial.beats[-1][0] - trial.slave.answers[0] <= max(beats, 24 * size // 8) + 5


def test_bds_follow_without_a_bubble():
    # The last bus beat of each BD completes a full beat and leaves one byte for another.
    trial = Trial([line(0x2006 + 64 * k, 17) for k in range(20)], data_bits=64)
    assert trial.slave.answers == list(range(2, 2 + 20 * 3))
    cycles = [cycle for cycle, _ in trial.beats]
    assert cycles == list(range(7, 7 + 20 * 3))


def test_padding_costs_no_bus_beat_and_a_cycle_a_full_beat():
    nothing = (Guard(value=0, limit=0, run=False),)
    trial = Trial([line(0x2000, 800, guards=nothing, pad=0xA5)], data_bits=64)
    assert trial.slave.reads == []
    assert trial.bytes == [[0xA5] * 800]
    cycles = [cycle for cycle, _ in trial.beats]
    assert cycles == list(range(cycles[0], cycles[0] + 100))


@pytest.mark.parametrize("pipelined", [False, True])
def test_latency_is_hidden_by_the_bursts_in_flight(pipelined):
    rows = [line(0x2000 + 256 * k, 64, end=k == 31) for k in range(32)]
    trial = Trial(
        rows,
        data_bits=64,
        burst_beats=8,
        read_buffer=128,
        slave={"latency": (60, 60)},
        pipelined=pipelined,
    )
    span = trial.slave.answers[-1] - trial.slave.answers[0] + 1
    assert span == 32 * 8
    assert trial.slave.most >= 8


@pytest.mark.parametrize("resp", list(BAD))
@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("take", [0.0, 0.6])
def test_bad_beat_pads_its_bytes_and_is_reported_once(resp, place, take):
    first = line(0x3FF3, 30, pad=0x11)
    rows = [line(0x1000, 9), first, line(0x6000, 24), line(0x5001, 3)]
    # Beats of the second BD: 3FF0, 3FF8 | 4000, 4008, 4010.
    bad = 0x3FF0 + 8 * place
    trial = Trial(
        rows, data_bits=64, take=take, seed=place, slave={"errors": {bad: resp}, "stall": take}
    )
    burst = 0x3FF0 if bad < 0x4000 else 0x4000
    assert trial.faults == [(1, BAD[resp], burst)]
    memory = ByteMemory()
    golden = mm2s_bytes(memory, [first])
    places = [first.address + i for i in range(30)]
    assert trial.bytes[1] == [
        0x11 if bad <= place < bad + 8 else byte for place, byte in zip(places, golden, strict=True)
    ]
    hit = [bad <= place < bad + 8 for place in places]
    assert trial.spoilt[1] == [any(hit[i - i % 8 : i - i % 8 + 8]) for i in range(30)]
    for k in (0, 2, 3):
        assert trial.bytes[k] == mm2s_bytes(memory, [rows[k]])
        assert not any(trial.spoilt[k])


@settings(max_examples=8, deadline=None)
@given(
    rows=bds(longest=60),
    data_bits=st.sampled_from([32, 128]),
    take=st.sampled_from([0.0, 0.6]),
    chance=st.sampled_from([0.1, 0.5, 1.0]),
    seed=st.integers(0, 999),
    pipelined=st.booleans(),
)
def test_each_bd_with_a_bad_beat_reports_its_first(rows, data_bits, take, chance, seed, pipelined):
    width = data_bits // 8
    choice = ByteMemory()
    errors, expected = {}, []
    for k, bd in enumerate(split_bds(rows)):
        found = []
        for address, length in joined(bd, 4 * width):
            for start, beats in bursts(address, length, width, 4):
                for beat in range(start, start + beats * width, width):
                    if choice[beat + seed] < 256 * chance:
                        errors[beat] = list(BAD)[choice[beat * 3 + seed] & 1]
                        found.append((k, BAD[errors[beat]], start))
        expected += found[:1]
    trial = Trial(
        rows,
        data_bits=data_bits,
        burst_beats=4,
        take=take,
        seed=seed,
        pipelined=pipelined,
        slave={"errors": errors},
    )
    assert trial.faults == expected


WINDOWS = (Window(first=7, last=7), Window(first=0, last=99, enable=False), Window(first=1, last=1))


@settings(max_examples=8, deadline=None)
@given(
    rows=bds(longest=200),
    data_bits=st.sampled_from([32, 128]),
    take=st.sampled_from([0.0, 0.6]),
    stall=st.sampled_from([0.0, 0.6]),
    latency=st.sampled_from([(0, 0), (0, 40)]),
    seed=st.integers(0, 999),
    pipelined=st.booleans(),
)
def test_nothing_outside_the_windows_is_read(
    rows, data_bits, take, stall, latency, seed, pipelined
):
    trial = Trial(
        rows,
        data_bits=data_bits,
        windows=WINDOWS,
        burst_beats=4,
        take=take,
        seed=seed,
        pipelined=pipelined,
        slave={"stall": stall, "latency": latency},
    )
    expected, faults = [], []
    for k, bd in enumerate(split_bds(rows)):
        memory, denied = ByteMemory(), []
        for address, length in joined(bd, 4 * trial.width):
            for start, _ in bursts(address, length, trial.width, 4):
                if not allowed(WINDOWS, start):
                    denied.append((k, FaultCode.WINDOW, start))
        for row in bd:
            for i in row.present:
                if not allowed(WINDOWS, row.address + i):
                    memory[row.address + i] = row.pad
        expected.append(mm2s_bytes(memory, bd))
        faults += denied[:1]
    assert trial.bytes == expected
    assert trial.faults == faults


def test_drain_raises_no_further_burst_and_empties_the_bus():
    config = dram_config(64, guards=0, burst_beats=4)
    dut = Mm2sPort(config=config, mover=config.mover("MM2S0"))
    slave = AxiSlave(width=8, cap=4, limit=16, latency=(20, 20), stall=0.7)
    item = row_payload(dut.core.rows.payload.shape(), line(0x1000, 1 << 12))

    async def serve(ctx):
        await slave.reader(ctx, dut)

    async def drive(ctx):
        assert ctx.get(dut.idle)
        await feed(ctx, dut.core.rows, [item])
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(40)
        assert not ctx.get(dut.idle)
        ctx.set(dut.drain, 1)
        await ctx.tick()
        await ctx.delay(2e-7)  # after the slave's turn in this cycle
        pending = ctx.get(dut.ar.valid)
        before = len(slave.reads)
        await ctx.tick().until(dut.idle)
        assert not ctx.get(dut.ar.valid)
        await ctx.tick().repeat(50)
        assert ctx.get(dut.idle)
        assert len(slave.reads) == before + pending
        ctx.set(dut.drain, 0)
        await ctx.tick().until(dut.core.retired)

    run(dut, [drive], background=[serve, watch(dut.ar)])
    assert sum(n for _, n in slave.reads) == 512


def test_activity_counts_beats_and_stalls():
    config = dram_config(64, guards=0)
    dut = Mm2sPort(config=config, mover=config.mover("MM2S0"))
    slave = AxiSlave(width=8, cap=16, limit=16, stall=0.5, seed=3)
    item = row_payload(dut.core.rows.payload.shape(), line(0x1001, 999))
    counts = dict.fromkeys(("beats", "accesses", "conflict"), 0)

    async def serve(ctx):
        await slave.reader(ctx, dut)

    async def drive(ctx):
        ctx.set(dut.o.ready, 1)
        await feed(ctx, dut.core.rows, [item])
        while True:
            _, _, seen, retired = await ctx.tick().sample(dut.core.activity, dut.core.retired)
            counts["beats"] += seen.valid & seen.ready
            counts["accesses"] += seen.accesses
            counts["conflict"] += seen.conflict
            assert not seen.written
            if retired:
                break

    run(dut, [drive], background=[serve])
    assert counts["beats"] == 125
    assert counts["accesses"] == 125
    assert counts["conflict"] > 0


def test_other_movers_are_refused():
    config = dram_config(64)
    with pytest.raises(ConfigError, match=r"S2MM0\.kind = 's2mm': this port is for mm2s"):
        Mm2sPort(config=config, mover=config.mover("S2MM0"))
    mover = MoverConfig(name="M", kind="mm2s", bind="Y")
    plain = AcceleratorConfig(
        name="p", movers=(MoverConfig(name="R", kind="read", bind="export", spatial_bounds=(1,)),)
    )
    with pytest.raises(ConfigError, match=r"movers\.M = 'mm2s': needs a \[dma\]"):
        Mm2sPort(config=plain, mover=mover)


def test_it_becomes_verilog():
    config = dram_config(512)
    dut = Mm2sPort(config=config, mover=config.mover("MM2S0"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Ports whose constructor alone another test has called.
        warnings.simplefilter("ignore", UnusedElaboratable)
        assert "module mm2s" in verilog.convert(dut, name="mm2s")
