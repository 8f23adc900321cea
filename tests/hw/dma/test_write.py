"""S2MM: rows and a dense byte stream in, bursts with exact strobes on the bus."""

import random
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
from weft.hw.dma import S2mmPort
from weft.hw.errors import ConfigError
from weft.sim.golden.dma import Guard, Row, Window, allowed, bursts, joined, s2mm_write

BAD = {Response.SLVERR: FaultCode.WRITE_SLVERR, Response.DECERR: FaultCode.WRITE_DECERR}


def source_lengths(total, seed, seams):
    """`total` bytes as a source's BDs: one, or several that end where they like."""
    if not seams:
        return [total]
    draws, lengths = random.Random(seed), []
    while sum(lengths) < total:
        lengths.append(min(draws.randint(1, 40), total - sum(lengths)))
    return lengths


class Trial:
    """One run of a port over `rows`, fed by source BDs of `lengths` bytes; `spoilt` beats fail."""

    def __init__(
        self,
        rows,
        *,
        data_bits,
        lengths=None,
        spoilt=(),
        give=0.0,
        ask=0.0,
        seed=0,
        slave=None,
        windows=(),
        tail=40,
        **dma,
    ):
        config = dram_config(data_bits, guards=len(rows[0].guards), windows=len(windows), **dma)
        self.windows = windows
        self.dut = dut = S2mmPort(config=config, mover=config.mover("S2MM0"))
        self.rows = rows
        self.width = width = config.dma.data_bytes
        self.slave = AxiSlave(
            width=width,
            cap=config.dma.burst_beats,
            limit=config.dma.write_outstanding,
            seed=seed,
            **(slave or {}),
        )
        total = sum(row.length for row in rows)
        self.given = list(random.Random(seed).randbytes(total))
        self.beats = []  # first byte, bytes, end
        at = 0
        for length in lengths or [total]:
            for start in range(0, length, width):
                count = min(width, length - start)
                self.beats.append((at + start, count, start + count == length))
            at += length
        assert at == total
        self.good = [True] * total
        for k in spoilt:
            start, count, _ = self.beats[k]
            self.good[start : start + count] = [False] * count
        shape = dut.i.payload.shape()
        items = [
            shape.const(
                {
                    "data": int.from_bytes(bytes(self.given[start : start + count]), "little"),
                    "count": count,
                    "end": end,
                    "error": k in spoilt,
                }
            )
            for k, (start, count, end) in enumerate(self.beats)
        ]
        wanted = sum(row.end for row in rows)

        async def request(ctx):
            if windows:
                ctx.set(dut.windows, [asdict(window) for window in windows])
            payloads = [row_payload(dut.core.rows.payload.shape(), row) for row in rows]
            await feed(ctx, dut.core.rows, payloads, stalls(ask, seed))

        async def source(ctx):
            await feed(ctx, dut.i, items, stalls(give, seed + 1))

        async def observe(ctx):
            self.accepted, self.retired, self.faults, cycle = [], [], [], 0
            self.progress = [0]
            while len(self.retired) < wanted or cycle < self.retired[-1] + tail:
                _, _, valid, ready, retired, fault, idle, progress = await ctx.tick().sample(
                    dut.i.valid,
                    dut.i.ready,
                    dut.core.retired,
                    dut.core.fault,
                    dut.idle,
                    dut.core.progress,
                )
                self.progress[-1] += progress.bytes
                if progress.last:
                    self.progress.append(0)
                if valid and ready:
                    self.accepted.append(cycle)
                if fault.code:
                    # The BD it belongs to: the oldest that has not retired before.
                    self.faults.append((len(self.retired), FaultCode(fault.code), fault.address))
                if retired:
                    self.retired.append(cycle)
                cycle += 1
            assert idle
            assert len(self.retired) == wanted

        async def serve(ctx):
            await self.slave.writer(ctx, dut)

        watched = [watch(dut.aw, "aw"), watch(dut.w, "w")]
        run(dut, [request, source, observe], background=[serve, *watched], limit=20_000)
        self.check_memory()
        assert self.progress == [*self.answered(), 0]
        made = [burst for bd in self.bursts() for burst in bd if allowed(windows, burst[0])]
        assert self.slave.writes == made

    def bursts(self):
        """The bursts of each BD: what holds a byte that exists, and no other beat."""
        found = []
        for bd in split_bds(self.rows):
            found.append([])
            for start, count in joined(bd, self.slave.cap * self.width):
                found[-1] += bursts(start, count, self.width, self.slave.cap)
        return found

    def answered(self):
        """Bytes of each BD that memory has taken without an error."""
        for bd in split_bds(self.rows):
            total = 0
            for start, count in joined(bd, self.slave.cap * self.width):
                for first, beats in bursts(start, count, self.width, self.slave.cap):
                    end = first + beats * self.width
                    bad = any(first <= address < end for address in self.slave.errors)
                    if not bad and allowed(self.windows, first):
                        total += min(end, start + count) - max(first, start)
            yield total

    def check_memory(self):
        """Every byte that exists and was not spoilt stands in memory; nothing else was touched."""
        expected, taken = {}, 0
        for row in self.rows:
            run_bytes = {}
            s2mm_write(run_bytes, [row], self.given[taken : taken + row.length])
            for address, value in run_bytes.items():
                if self.good[taken + address - row.address] and allowed(self.windows, address):
                    expected[address] = value
            taken += row.length
        assert self.slave.memory == expected


@settings(max_examples=8, deadline=None)
@given(
    rows=bds(),
    data_bits=st.sampled_from([32, 64, 128, 512]),
    shape=st.sampled_from([(16, 16, 64), (4, 2, 4), (1, 3, 1)]),
    seams=st.booleans(),
    give=st.sampled_from([0.0, 0.3, 0.9]),
    ask=st.sampled_from([0.0, 0.5, 0.9]),
    stall=st.sampled_from([0.0, 0.3, 0.9]),
    latency=st.sampled_from([(0, 0), (0, 5), (0, 100)]),
    seed=st.integers(0, 999),
    pipelined=st.booleans(),
)
def test_memory_holds_the_bytes_of_the_stream(
    rows, data_bits, shape, seams, give, ask, stall, latency, seed, pipelined
):
    cap, outstanding, buffer = shape
    trial = Trial(
        rows,
        data_bits=data_bits,
        lengths=source_lengths(sum(row.length for row in rows), seed, seams),
        burst_beats=cap,
        write_outstanding=outstanding,
        write_buffer=buffer,
        pipelined=pipelined,
        give=give,
        ask=ask,
        seed=seed,
        slave={"latency": latency, "stall": stall},
    )
    assert trial.faults == []


def line(address, length, **fields):
    return Row(address=address, length=length, **({"end": True} | fields))


def test_golden_write_takes_every_byte_of_the_runs():
    memory: dict[int, int] = {}
    window = (Guard(value=-2, limit=3, run=True),)
    taken = s2mm_write(memory, [line(100, 8, guards=window)], range(8))
    assert taken == 8
    assert memory == {102: 2, 103: 3, 104: 4}


@pytest.mark.parametrize("beats", [1, 2, 16])
@pytest.mark.parametrize("pipelined", [False, True])
def test_aligned_burst_takes_a_cycle_a_beat(beats, pipelined):
    trial = Trial([line(0x2000, beats * 8)], data_bits=64, pipelined=pipelined)
    last = trial.accepted[-1]
    assert trial.accepted == list(range(last - beats + 1, last + 1))
    assert trial.slave.raised == [last + 4]
    assert trial.slave.spans == list(range(last + 5, last + 5 + beats))
    # The last W beat, B one cycle later, retired two cycles after that.
    assert trial.retired == [last + 5 + beats - 1 + 1 + 2]


@pytest.mark.parametrize("offset", [0, 3])
def test_long_run_takes_a_cycle_a_beat(offset):
    trial = Trial([line(0x2000 + offset, 1000)], data_bits=64, burst_beats=4)
    floor = -(-(offset + 1000) // 8)
    assert trial.slave.spans == list(range(trial.slave.spans[0], trial.slave.spans[0] + floor))
    assert trial.accepted[-1] - trial.accepted[0] <= floor


@pytest.mark.parametrize("size", [3, 8, 11, 40])
def test_rows_that_touch_take_no_beat_twice(size):
    rows = [line(0x2005 + size * k, size, end=k == 47) for k in range(48)]
    trial = Trial(rows, data_bits=64)
    beats = -(-(5 + 48 * size) // 8)
    assert len(trial.slave.spans) == beats
    assert trial.slave.spans[-1] - trial.slave.spans[0] < max(beats, 48) + 16
    assert all(n == 16 for _, n in trial.slave.writes[1:-1])


@pytest.mark.parametrize("size", [8, 11, 24])
@pytest.mark.parametrize("pipelined", [False, True])
def test_short_runs_reach_the_floor_across_run_boundaries(size, pipelined):
    rows = [line(0x2000 + 100 * k, size, end=k == 23) for k in range(24)]
    trial = Trial(rows, data_bits=64, pipelined=pipelined)
    beats = sum(n for _, n in trial.slave.writes)
    assert beats == sum(n for row in rows for _, n in bursts(row.address, size, 8, 16))
    # Before the last burst is raised its beats must be in: at most 3 cycles more than the floor.
    assert trial.slave.spans[-1] - trial.slave.spans[0] + 1 <= beats + 3


@pytest.mark.parametrize("pipelined", [False, True])
def test_single_beat_bds_retire_one_a_cycle(pipelined):
    rows = [line(0x2000 + 8 * k, 8) for k in range(40)]
    trial = Trial(rows, data_bits=64, lengths=[8] * 40, pipelined=pipelined)
    assert trial.retired == list(range(trial.retired[0], trial.retired[0] + 40))


def test_dropped_bytes_cost_a_cycle_a_full_beat():
    nothing = (Guard(value=0, limit=0, run=False),)
    trial = Trial([line(0x2000, 800, guards=nothing)], data_bits=64)
    assert trial.slave.writes == []
    assert trial.accepted == list(range(trial.accepted[0], trial.accepted[0] + 100))
    assert trial.retired == [trial.accepted[-1] + 2]


@pytest.mark.parametrize("pipelined", [False, True])
def test_latency_is_hidden_by_the_bursts_in_flight(pipelined):
    rows = [line(0x2000 + 256 * k, 64, end=k == 31) for k in range(32)]
    trial = Trial(rows, data_bits=64, slave={"latency": (60, 60)}, pipelined=pipelined)
    assert trial.slave.spans[-1] - trial.slave.spans[0] + 1 == 32 * 8
    assert trial.slave.most >= 8


@pytest.mark.parametrize("resp", list(BAD))
@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_bad_answer_reports_the_burst(resp, place, stall):
    rows = [line(0x1000, 9), line(0x3FF3, 30), line(0x6000, 24), line(0x5001, 3)]
    # Beats of the second BD: 3FF0, 3FF8 | 4000, 4008, 4010.
    bad = 0x3FF0 + 8 * place
    slave = {"errors": {bad: resp}, "stall": stall}
    trial = Trial(rows, data_bits=64, seed=place, slave=slave)
    assert trial.faults == [(1, BAD[resp], 0x3FF0 if bad < 0x4000 else 0x4000)]


@settings(max_examples=10, deadline=None)
@given(
    rows=bds(longest=60),
    data_bits=st.sampled_from([32, 128]),
    seams=st.booleans(),
    chance=st.sampled_from([0.1, 0.5]),
    stall=st.sampled_from([0.0, 0.6]),
    latency=st.sampled_from([(0, 0), (0, 30)]),
    seed=st.integers(0, 999),
    pipelined=st.booleans(),
)
def test_every_fault_is_reported_to_its_bd(
    rows, data_bits, seams, chance, stall, latency, seed, pipelined
):
    width = data_bits // 8
    choice = ByteMemory()
    errors = {}
    lengths = source_lengths(sum(row.length for row in rows), seed, seams)
    beats = sum(-(-length // width) for length in lengths)
    spoilt = {k for k in range(beats) if choice[k * 7 + seed] < 64 * chance}
    for row in rows:
        for start, count in bursts(row.address, row.length, width, 4):
            for beat in range(start, start + count * width, width):
                if choice[beat + seed] < 256 * chance:
                    errors[beat] = list(BAD)[choice[beat * 3 + seed] & 1]
    trial = Trial(
        rows,
        data_bits=data_bits,
        lengths=lengths,
        spoilt=spoilt,
        burst_beats=4,
        seed=seed,
        pipelined=pipelined,
        slave={"errors": errors, "stall": stall, "latency": latency},
    )
    expected, taken = [], 0
    for k, (bd, found) in enumerate(zip(split_bds(rows), trial.bursts(), strict=True)):
        bad = []
        runs = joined(bd, 4 * width)
        for start, count in found:
            worst = max(errors.get(start + width * j, Response.OKAY) for j in range(count))
            bad += [(k, BAD[worst], start)] if worst else []
        upstream = []
        for row in bd:
            if not all(trial.good[taken : taken + row.length]):
                # The run that the row's bytes went into, or the runs.
                upstream.append([a for a, n in runs if overlaps(row, a, n)])
            taken += row.length
        expected.append((bad, upstream[:1]))
    for k, (bad, upstream) in enumerate(expected):
        mine = [fault for fault in trial.faults if fault[0] == k]
        if upstream and mine[len(bad) :]:
            _, code, address = mine.pop()
            assert code == FaultCode.UPSTREAM
            assert not upstream[0] or address in upstream[0]
        else:
            # A bus fault in the cycle of the retirement stands for the upstream one.
            assert not upstream or bad
        assert mine == bad


def overlaps(row, address, length):
    return any(address <= row.address + i < address + length for i in row.present)


def test_seams_in_the_stream_cost_at_most_a_cycle_each():
    # Source BDs of 11 bytes: a full beat and 3 bytes.
    trial = Trial([line(0x2000, 11 * 32)], data_bits=64, lengths=[11] * 32)
    assert trial.accepted[-1] - trial.accepted[0] <= 3 * 32


def test_upstream_failure_is_not_written_and_reported_once():
    rows = [line(0x1000, 16), line(0x2003, 40), line(0x3000, 8)]
    trial = Trial(rows, data_bits=64, lengths=[16, 40, 8], spoilt={3, 6})
    assert trial.faults == [(1, FaultCode.UPSTREAM, 0x2003)]
    assert sorted(set(range(0x2003, 0x2003 + 40)) - set(trial.slave.memory)) == [
        *range(0x2003 + 8, 0x2003 + 16),
        *range(0x2003 + 32, 0x2003 + 40),
    ]


def test_retirement_waits_for_the_answer_and_for_the_dropped_tail():
    window = (Guard(value=0, limit=8, run=True),)
    nothing = (Guard(value=0, limit=0, run=False),)
    rows = [line(0x1000, 400, guards=window), line(0x2000, 8, guards=nothing)]
    rows.append(line(0x3000, 8, guards=window))
    trial = Trial(rows, data_bits=64, lengths=[400, 8, 8], slave={"latency": (9, 9)})
    # The first BD is answered long before its dropped bytes are consumed.
    assert trial.retired[:2] == [trial.accepted[49] + 2, trial.accepted[50] + 2]
    assert trial.retired[2] == trial.slave.spans[-1] + 1 + 9 + 2


WINDOWS = (Window(first=7, last=7), Window(first=0, last=99, enable=False), Window(first=1, last=1))


@settings(max_examples=8, deadline=None)
@given(
    rows=bds(longest=200),
    data_bits=st.sampled_from([32, 128]),
    give=st.sampled_from([0.0, 0.6]),
    stall=st.sampled_from([0.0, 0.6]),
    latency=st.sampled_from([(0, 0), (0, 40)]),
    seed=st.integers(0, 999),
    pipelined=st.booleans(),
)
def test_nothing_outside_the_windows_is_written(
    rows, data_bits, give, stall, latency, seed, pipelined
):
    trial = Trial(
        rows,
        data_bits=data_bits,
        windows=WINDOWS,
        burst_beats=4,
        give=give,
        seed=seed,
        pipelined=pipelined,
        slave={"stall": stall, "latency": latency},
    )
    assert trial.faults == [
        (k, FaultCode.WINDOW, start)
        for k, found in enumerate(trial.bursts())
        for start, _ in found
        if not allowed(WINDOWS, start)
    ]


def test_drain_raises_no_further_burst_and_empties_the_bus():
    config = dram_config(64, guards=0, burst_beats=4)
    dut = S2mmPort(config=config, mover=config.mover("S2MM0"))
    slave = AxiSlave(width=8, cap=4, limit=16, latency=(20, 20), stall=0.7)
    item = row_payload(dut.core.rows.payload.shape(), line(0x1000, 1 << 12))
    beat = dut.i.payload.shape().const({"data": 1, "count": 8})

    async def serve(ctx):
        await slave.writer(ctx, dut)

    async def source(ctx):
        await feed(ctx, dut.i, [beat] * 512)

    async def drive(ctx):
        assert ctx.get(dut.idle)
        await feed(ctx, dut.core.rows, [item])
        await ctx.tick().repeat(60)
        assert not ctx.get(dut.idle)
        ctx.set(dut.drain, 1)
        await ctx.tick()
        await ctx.delay(2e-7)  # after the slave's turn in this cycle
        pending = ctx.get(dut.aw.valid)
        before = len(slave.writes)
        await ctx.tick().until(dut.idle)
        assert not ctx.get(dut.aw.valid | dut.w.valid)
        await ctx.tick().repeat(50)
        assert ctx.get(dut.idle)
        assert len(slave.writes) == before + pending
        ctx.set(dut.drain, 0)
        await ctx.tick().until(dut.core.retired)

    run(dut, [drive, source], background=[serve, watch(dut.aw), watch(dut.w)])
    assert sum(n for _, n in slave.writes) == 512


def test_activity_counts_beats_and_stalls():
    config = dram_config(64, guards=0)
    dut = S2mmPort(config=config, mover=config.mover("S2MM0"))
    slave = AxiSlave(width=8, cap=16, limit=16, stall=0.5, seed=3)
    item = row_payload(dut.core.rows.payload.shape(), line(0x1001, 1000))
    beat = dut.i.payload.shape().const({"data": 1, "count": 8})
    counts = dict.fromkeys(("beats", "accesses", "written", "conflict"), 0)

    async def serve(ctx):
        await slave.writer(ctx, dut)

    async def source(ctx):
        await feed(ctx, dut.i, [beat] * 125)

    async def drive(ctx):
        await feed(ctx, dut.core.rows, [item])
        while True:
            _, _, seen, retired = await ctx.tick().sample(dut.core.activity, dut.core.retired)
            counts["beats"] += seen.valid & seen.ready
            counts["accesses"] += seen.accesses
            counts["written"] += seen.written
            counts["conflict"] += seen.conflict
            if retired:
                break

    run(dut, [drive, source], background=[serve])
    assert counts["beats"] == 125
    assert counts["accesses"] == counts["written"] == 126
    assert counts["conflict"] > 0


def test_other_movers_are_refused():
    config = dram_config(64)
    with pytest.raises(ConfigError, match=r"MM2S0\.kind = 'mm2s': this port is for s2mm"):
        S2mmPort(config=config, mover=config.mover("MM2S0"))
    mover = MoverConfig(name="M", kind="s2mm", bind="X")
    plain = AcceleratorConfig(
        name="p", movers=(MoverConfig(name="R", kind="read", bind="export", spatial_bounds=(1,)),)
    )
    with pytest.raises(ConfigError, match=r"movers\.M = 's2mm': needs a \[dma\]"):
        S2mmPort(config=plain, mover=mover)


def test_it_becomes_verilog():
    config = dram_config(512)
    dut = S2mmPort(config=config, mover=config.mover("S2MM0"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Ports whose constructor alone another test has called.
        warnings.simplefilter("ignore", UnusedElaboratable)
        assert "module s2mm" in verilog.convert(dut, name="s2mm")
