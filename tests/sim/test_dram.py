"""The DRAM model against its specification: exact cycles, exact bytes, every rule enforced."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.hw.bus.axi import Response
from weft.hw.errors import ConfigError
from weft.sim.axi import AxiInputs, AxiOutputs, AxiProtocolError, Channel
from weft.sim.dram import DramModel, DramParameters, ErrorRange, mix

BASE = 0x8000_0000
SIZE = 1 << 14
BEAT = 8
FULL = 0xFF


def make(**parameters: Any) -> DramModel:
    memory = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
    return DramModel(
        memory=memory, base=BASE, beat_bytes=BEAT, parameters=DramParameters(**parameters)
    )


@dataclass
class Master:
    """Issues bursts as fast as it may (or stalls at random) and records what comes, and when."""

    reads: list[tuple[int, int]] = field(default_factory=list)  # address, beats
    writes: list[tuple[int, list[tuple[int, int]]]] = field(default_factory=list)
    stall: float = 0.0
    seed: int = 0
    accepted: dict[str, list[int]] = field(default_factory=lambda: {"ar": [], "aw": [], "w": []})
    beats: list[tuple[int, int, int, int]] = field(default_factory=list)  # cycle data resp last
    answers: list[tuple[int, int]] = field(default_factory=list)  # cycle, resp
    beat_ids: list[int] = field(default_factory=list)
    answer_ids: list[int] = field(default_factory=list)

    def run(self, dram: DramModel, limit: int = 50_000) -> None:
        toss = random.Random(self.seed)
        data = [
            (beat, strobe, index == len(beats) - 1)
            for _, beats in self.writes
            for index, (beat, strobe) in enumerate(beats)
        ]
        expected = sum(beats for _, beats in self.reads)
        i = AxiInputs(arsize=3, arburst=1, awsize=3, awburst=1)
        seen: dict[str, tuple[int, ...] | None] = {"r": None, "b": None}
        while len(self.beats) < expected or len(self.answers) < len(self.writes):
            o, cycle = dram.outputs, dram.cycle
            assert cycle < limit
            ar, aw, w = (len(self.accepted[name]) for name in ("ar", "aw", "w"))
            i.arvalid |= ar < len(self.reads) and toss.random() >= self.stall
            if i.arvalid:
                i.arid, i.araddr, i.arlen = identity(ar), self.reads[ar][0], self.reads[ar][1] - 1
            i.awvalid |= aw < len(self.writes) and toss.random() >= self.stall
            if i.awvalid:
                i.awid = identity(aw)
                i.awaddr, i.awlen = self.writes[aw][0], len(self.writes[aw][1]) - 1
            i.wvalid |= w < len(data) and toss.random() >= self.stall
            if i.wvalid:
                i.wdata, i.wstrb, i.wlast = data[w]
            i.rready, i.bready = (int(toss.random() >= self.stall) for _ in range(2))
            # What the memory offers must hold, too.
            offers = {
                "r": (o.rvalid, i.rready, (o.rid, o.rdata, o.rresp, o.rlast)),
                "b": (o.bvalid, i.bready, (o.bid, o.bresp)),
            }
            for name, (valid, ready, payload) in offers.items():
                if seen[name] is not None:
                    assert valid
                    assert payload == seen[name]
                seen[name] = payload if valid and not ready else None
            if o.rvalid and i.rready:
                self.beats.append((cycle, o.rdata, o.rresp, o.rlast))
                self.beat_ids.append(o.rid)
            if o.bvalid and i.bready:
                self.answers.append((cycle, o.bresp))
                self.answer_ids.append(o.bid)
            taken = {
                "ar": i.arvalid and o.arready,
                "aw": i.awvalid and o.awready,
                "w": i.wvalid and o.wready,
            }
            dram.step(i)
            for name, happened in taken.items():
                if happened:
                    self.accepted[name].append(cycle)
                    setattr(i, f"{name}valid", 0)


def identity(number: int) -> int:
    """The ID of a master's burst: some follow each other, some are far apart."""
    return number * number % 7


def bursts(seed: int, count: int) -> list[tuple[int, int]]:
    """Random legal bursts within the memory."""
    pick = random.Random(seed)
    result = []
    for _ in range(count):
        address = BASE + BEAT * pick.randrange(SIZE // BEAT)
        room = (4096 - address % 4096) // BEAT
        result.append((address, pick.randint(1, min(room, 20))))
    return result


def words(data: Iterable[int]) -> bytes:
    return b"".join(int(word).to_bytes(BEAT, "little") for word in data)


def test_mix_is_the_published_sequence() -> None:
    # SplitMix64 seeded with 0 and with 1234567: the n-th output mixes seed + n * golden gamma.
    assert mix(0, 0, 0) == 0xE220A8397B1DCDAF
    assert mix(0, 1, 0) == 0x6E789E6AA1B965F4
    assert mix(1234567, 0, 0) == 6457827717110365317
    assert mix(1234567, 1, 0) == 3203168211198807973
    assert mix(0, 0, 1) == mix(8 * 0x9E3779B97F4A7C15, 0, 0)


def test_mix_is_even() -> None:
    for channel in Channel:
        hits = sum(mix(5, channel, cycle) & 255 < 64 for cycle in range(4000))
        assert abs(hits - 1000) < 120


@pytest.mark.parametrize("latency", [0, 1, 7, 100])
@pytest.mark.parametrize("interval", [1, 3])
def test_read_timing(latency: int, interval: int) -> None:
    dram = make(read_latency=latency, read_interval=interval)
    master = Master(reads=[(BASE, 4), (BASE + 256, 4)])
    master.run(dram)
    # Ready shows in cycle 1, and takes one burst a cycle from then on.
    assert master.accepted["ar"] == [1, 2]
    first = 1 + 1 + latency
    assert [cycle for cycle, *_ in master.beats] == [first + interval * i for i in range(8)]
    assert [last for *_, last in master.beats] == [0, 0, 0, 1] * 2
    assert dram.read_beats == 8


@pytest.mark.parametrize("latency", [0, 1, 7, 100])
@pytest.mark.parametrize("interval", [1, 3])
def test_write_timing(latency: int, interval: int) -> None:
    dram = make(write_latency=latency, write_interval=interval)
    master = Master(writes=[(BASE, [(i, FULL) for i in range(4)]), (BASE + 64, [(9, FULL)] * 4)])
    master.run(dram)
    assert master.accepted["aw"] == [1, 2]
    assert master.accepted["w"] == [2 + interval * i for i in range(8)]
    assert [cycle for cycle, _ in master.answers] == [
        master.accepted["w"][last] + 1 + latency for last in (3, 7)
    ]
    assert words(range(4)) == dram.memory[:32].tobytes()
    assert dram.write_beats == 8


def test_a_stalled_beat_does_not_delay_the_next_one_twice() -> None:
    dram = make(read_latency=0, read_interval=4)
    master = Master(reads=[(BASE, 8)])
    inputs = AxiInputs(arvalid=1, araddr=BASE, arlen=7, arsize=3, arburst=1)
    dram.step(inputs)
    dram.step(inputs)
    inputs.arvalid = 0
    for _ in range(10):
        dram.step(inputs)
    master.run(dram, limit=12 + 8 * 4)


def test_outstanding_limits() -> None:
    limited = Master(reads=[(BASE + 64 * i, 1) for i in range(6)])
    limited.run(make(read_latency=10, read_outstanding=2))
    free = Master(reads=[(BASE + 64 * i, 1) for i in range(6)])
    free.run(make(read_latency=10))
    assert free.accepted["ar"] == [1, 2, 3, 4, 5, 6]
    # Ready is a register: it rises in the cycle after a burst has completed.
    first, second = limited.beats[0][0], limited.beats[1][0]
    assert limited.accepted["ar"][:4] == [1, 2, first + 1, second + 1]
    writing = Master(writes=[(BASE, [(1, FULL)])] * 3)
    writing.run(make(write_latency=10, write_outstanding=1))
    assert writing.accepted["aw"][1:] == [cycle + 1 for cycle, _ in writing.answers[:2]]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    stall=st.sampled_from([0.0, 0.3, 0.9]),
    stalls=st.tuples(*[st.integers(0, 230)] * 5),
    latency=st.integers(0, 100),
    interval=st.integers(1, 4),
    outstanding=st.integers(1, 9),
)
def test_bytes_are_right_under_any_timing(
    seed: int,
    stall: float,
    stalls: tuple[int, ...],
    latency: int,
    interval: int,
    outstanding: int,
) -> None:
    """Writes equal numpy's assignment under strobes; then reads give what stands there."""
    parameters: dict[str, Any] = {
        f"stall_{channel}": value
        for channel, value in zip(("ar", "r", "aw", "w", "b"), stalls, strict=True)
    }
    for direction in ("read", "write"):
        parameters[f"{direction}_latency"] = latency
        parameters[f"{direction}_interval"] = interval
        parameters[f"{direction}_outstanding"] = outstanding
    dram = make(seed=seed, **parameters)
    golden = dram.memory.copy()
    pick = random.Random(seed)
    writes = []
    for address, beats in bursts(seed, 6):
        data = [(pick.getrandbits(64), pick.choice([FULL, pick.getrandbits(8)]))] * beats
        writes.append((address, data))
        for index, (word, strobe) in enumerate(data):
            for lane in range(BEAT):
                if strobe & 1 << lane:
                    golden[address - BASE + index * BEAT + lane] = word >> 8 * lane & 0xFF
    writer = Master(writes=writes, stall=stall, seed=seed)
    writer.run(dram)
    assert np.array_equal(dram.memory, golden)
    reads = bursts(seed + 1, 6)
    reader = Master(reads=reads, stall=stall, seed=seed)
    reader.run(dram)
    expected = b"".join(
        golden[address - BASE : address - BASE + BEAT * beats].tobytes() for address, beats in reads
    )
    assert words(data for _, data, *_ in reader.beats) == expected
    assert {resp for _, _, resp, _ in reader.beats} | {resp for _, resp in writer.answers} == {0}
    assert writer.answer_ids == [identity(k) for k in range(len(writes))]
    assert reader.beat_ids == [
        identity(k) for k, (_, beats) in enumerate(reads) for _ in range(beats)
    ]
    assert all(valid == 0 for valid in (dram.outputs.rvalid, dram.outputs.bvalid))


def test_a_read_sees_a_write_as_soon_as_its_beat_is_taken() -> None:
    dram = make(write_latency=100, read_latency=0)
    Master(writes=[(BASE + 8, [(0x1122334455667788, FULL)])]).run(dram)
    reader = Master(reads=[(BASE + 8, 1)])
    reader.run(dram)
    assert reader.beats[0][1] == 0x1122334455667788


@pytest.mark.parametrize("channel", ["ar", "r", "aw", "w", "b"])
def test_stalls_follow_the_numbers(channel: str) -> None:
    """Where a channel could flow all the time, it idles in exactly the cycles the hash says."""
    dram = make(**{f"stall_{channel}": 100}, seed=3, read_latency=0, write_latency=0)
    shown = []
    i = AxiInputs(arsize=3, awsize=3, arburst=1, awburst=1, rready=1, bready=1)
    i.araddr = i.awaddr = BASE
    i.arvalid = i.awvalid = i.wvalid = i.wlast = 1
    for _ in range(300):
        o = dram.step(i)
        name = f"{channel}valid" if channel in "rb" else f"{channel}ready"
        shown.append((dram.cycle, getattr(o, name)))
    number = Channel[channel.upper()]
    expected = [(n, int(mix(3, number, n) & 255 >= 100)) for n, _ in shown]
    warm = 6
    assert shown[warm:] == expected[warm:]


def test_errors_by_range_and_direction() -> None:
    ranges = (
        ErrorRange(start=BASE + 64, stop=BASE + 65),
        ErrorRange(start=BASE + 79, stop=BASE + 80, response=Response.DECERR),
    )
    dram = make(read_errors=ranges)
    reader = Master(reads=[(BASE + 56, 4)])
    reader.run(dram)
    assert [resp for _, _, resp, _ in reader.beats] == [0, 2, 3, 0]
    assert [data == 0 for _, data, *_ in reader.beats] == [False, True, True, False]
    writer = Master(writes=[(BASE + 56, [(5, FULL)] * 4)])
    writer.run(dram)
    assert writer.answers[0][1] == 0

    dram = make(write_errors=ranges)
    before = dram.memory.copy()
    writer = Master(
        writes=[(BASE + 56, [(5, FULL)] * 2), (BASE + 64, [(5, FULL)] * 3), (BASE, [(6, FULL)])]
    )
    writer.run(dram)
    assert [resp for _, resp in writer.answers] == [2, 3, 0]
    assert np.array_equal(dram.memory[64:80], before[64:80])
    assert words([6]) == dram.memory[:8].tobytes()
    assert words([5]) == dram.memory[56:64].tobytes() == dram.memory[80:88].tobytes()


@pytest.mark.parametrize("address", [BASE - 8, BASE + SIZE, 0, 1 << 39])
def test_outside_the_memory_is_a_decode_error(address: int) -> None:
    dram = make()
    before = dram.memory.copy()
    master = Master(reads=[(address, 1)], writes=[(address, [(1, FULL)])])
    master.run(dram)
    assert [resp for _, _, resp, _ in master.beats] == [3]
    assert [resp for _, resp in master.answers] == [3]
    assert np.array_equal(dram.memory, before)


LEGAL: dict[str, Any] = {
    "arvalid": 1,
    "araddr": BASE,
    "arsize": 3,
    "arburst": 1,
    "awvalid": 1,
    "awaddr": BASE,
    "awsize": 3,
    "awburst": 1,
}


@pytest.mark.parametrize(
    ("change", "channel", "text"),
    [
        ({"arsize": 2}, Channel.AR, "size = 2, a full beat is 3"),
        ({"awburst": 0}, Channel.AW, "burst = 0"),
        ({"araddr": BASE + 4}, Channel.AR, "no multiple of 8"),
        ({"awaddr": BASE + 4088, "awlen": 1}, Channel.AW, "cross 4 KiB"),
        ({"arlen": 255, "araddr": BASE + 2056}, Channel.AR, "256 beats from 0x80000808 cross"),
    ],
)
def test_illegal_addresses(change: dict[str, int], channel: Channel, text: str) -> None:
    with pytest.raises(AxiProtocolError, match=text) as caught:
        make().step(AxiInputs(**LEGAL | change))
    assert caught.value.channel == channel
    assert caught.value.cycle == 0


@pytest.mark.parametrize("prefix", ["ar", "aw", "w"])
def test_valid_and_payload_hold(prefix: str) -> None:
    fields = {"ar": {"araddr": BASE + 8}, "aw": {"awlen": 1}, "w": {"wdata": 1}}[prefix]
    changes = [(fields, "payload changed"), ({f"{prefix}valid": 0}, "valid fell")]
    if prefix != "w":
        changes.append(({f"{prefix}id": 1}, "payload changed"))
    for change, text in changes:
        dram = make()
        legal = LEGAL | {"wvalid": 1, "wlast": 1}
        dram.step(AxiInputs(**legal))
        with pytest.raises(AxiProtocolError, match=text) as caught:
            dram.step(AxiInputs(**legal | change))
        assert caught.value.channel.name == prefix.upper()
        assert caught.value.cycle == 1


@pytest.mark.parametrize(("length", "last"), [(0, 0), (1, 1)])
def test_wlast_in_place(length: int, last: int) -> None:
    dram = make()
    inputs = AxiInputs(**LEGAL | {"awlen": length, "arvalid": 0, "wvalid": 1, "wlast": last})
    dram.step(inputs)
    dram.step(inputs)
    with pytest.raises(AxiProtocolError, match=f"wlast = {last} with {length + 1} beats left"):
        dram.step(inputs)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"read_latency": -1}, "dram.read_latency = -1"),
        ({"write_interval": 0}, "dram.write_interval = 0"),
        ({"read_outstanding": 0}, "dram.read_outstanding = 0"),
        ({"stall_w": 256}, "dram.stall_w = 256: must be from 0 to 255"),
        ({"seed": -1}, "dram.seed = -1"),
    ],
)
def test_bad_parameters(parameters: dict[str, int], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        DramParameters(**parameters)


def test_bad_construction() -> None:
    with pytest.raises(ConfigError, match="start < stop"):
        ErrorRange(start=4, stop=4)
    with pytest.raises(ConfigError, match="SLVERR or DECERR"):
        ErrorRange(start=0, stop=4, response=Response.OKAY)
    good: dict[str, Any] = {
        "memory": np.zeros(4096, np.uint8),
        "base": 0,
        "beat_bytes": 8,
        "parameters": DramParameters(),
    }
    for change, text in (
        ({"memory": np.zeros(100, np.uint8)}, "memory_bytes = 100"),
        ({"base": 64}, "dram.base = 64"),
        ({"beat_bytes": 12}, "dram.beat_bytes = 12"),
    ):
        with pytest.raises(ConfigError, match=text):
            DramModel(**good | change)


def test_outputs_start_at_zero() -> None:
    assert make().outputs == AxiOutputs()
