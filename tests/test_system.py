"""The whole system: driver, RTL and DRAM model together."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weft
from support.engines import FASTEST_FIRST, needs_compiler
from weft.config import load_config
from weft.hw.bus.axi import Response
from weft.hw.config import SequencerConfig
from weft.sim.dram import DramParameters, ErrorRange
from weft.sim.simulation import MEMORY_BASE, MEMORY_BYTES
from weft.sw.allocator import Allocator
from weft.sw.descriptor import BufferDescriptor
from weft.sw.device import Device
from weft.sw.errors import (
    BusError,
    DescriptorError,
    DeviceError,
    DeviceMismatchError,
    DeviceTimeout,
    NotDeviceMemory,
    QueueFullError,
)


def operands(dev: Any, M: int, N: int, K: int, seed: int = 0) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    a, b = dev.allocate((M, K), np.int8), dev.allocate((K, N), np.int8)
    a[:] = random.integers(-128, 128, (M, K))
    b[:] = random.integers(-128, 128, (K, N))
    return a, b, dev.allocate((M, N), np.int32)


LARGE = ("python", pytest.param("verilator", marks=[needs_compiler, pytest.mark.soak]))
"""Engines for systems other than tiny, whose models take minutes to compile."""


@pytest.fixture(scope="module", params=FASTEST_FIRST)
def engine(request: pytest.FixtureRequest) -> str:
    """Each of the two."""
    return str(request.param)


@pytest.fixture(scope="module")
def shared_tiny(engine: str) -> Any:
    """One simulation for the tests that leave it as they found it."""
    return weft.simulate("tiny", engine)


@pytest.fixture
def tiny(shared_tiny: Any) -> Any:
    shared_tiny.reset()
    return shared_tiny


@pytest.fixture(scope="module")
def prompt_tiny(engine: str) -> Any:
    """One whose memory answers at once."""
    return weft.simulate("tiny", engine, latency=0)


def product(a: Any, b: Any) -> Any:
    return (a.astype(np.int64) @ b.astype(np.int64)).astype(np.int32)


@contextmanager
def allocations(dev: Any) -> Iterator[list[Any]]:
    """The arrays that are allocated meanwhile."""
    arrays: list[Any] = []
    real = dev.allocator.allocate

    def allocate(*arguments: Any) -> Any:
        arrays.append(real(*arguments))
        return arrays[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dev.allocator, "allocate", allocate)
        yield arrays


def check_without_a_copy(dev: Any, M: int, N: int, K: int) -> None:
    """The product is exact, and neither host nor DMA put a byte anywhere but into the result and
    the program, whose memory is given back."""
    a, b, out = operands(dev, M, N, K)
    memory, copies, buffers = dev.transport.memory, dev.stats.host_copies, dev.buffers
    before = memory[: 1 << 20].copy()
    with allocations(dev) as programs:
        report = dev.gemm(a, b, out=out)
    np.testing.assert_array_equal(out, product(a, b))
    assert [array.dtype for array in programs] == [np.uint64] * (dev.config.sequencer is not None)
    assert dev.buffers == buffers
    for array in (out, *programs):
        start = array.device_address - dev.transport.memory_base
        assert start + array.nbytes <= before.size
        before[start : start + array.nbytes] = memory[start : start + array.nbytes]
    np.testing.assert_array_equal(memory[: before.size], before)
    assert report.bytes_written == out.nbytes
    assert dev.stats.host_copies == copies
    for array in (a, b, out):
        dev.free(array)


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1), (7, 5, 3), (4, 4, 4), (8, 20, 8), (65, 33, 17), (9, 1, 70), (1, 40, 5)],
)
def test_odd_shapes_are_exact_without_a_host_copy(tiny: Any, shape: tuple[int, int, int]) -> None:
    check_without_a_copy(tiny, *shape)


@pytest.mark.parametrize(
    ("shape", "transposed"),
    [
        ((5, 7, 9), "a"),
        ((9, 6, 5), "b"),
        ((12, 20, 17), "ab"),
        ((1, 1, 6), "ab"),
        ((3, 40, 1), "ab"),
    ],
)
def test_operands_that_lie_transposed(
    tiny: Any, shape: tuple[int, int, int], transposed: str
) -> None:
    check_transposed(tiny, shape, transposed)


@pytest.mark.parametrize(
    "shape",
    [
        (9, 10, 11),
        (1, 3, 1),
        *(pytest.param(large, marks=pytest.mark.soak) for large in ((5, 70, 200), (4, 16, 1664))),
    ],
)
def test_a_row_that_is_added_to_every_row(tiny: Any, shape: tuple[int, int, int]) -> None:
    """Only the words of one row of a tile are read for it, however many rows there are."""
    a, b, out = operands(tiny, *shape)
    bias = tiny.allocate(shape[1], np.int32)
    bias[:] = np.random.default_rng(1).integers(-(1 << 31), 1 << 31, shape[1])
    tiny.clear_counters()
    report = tiny.gemm(a, b, out=out, c=bias)
    wanted = product(a, b).astype(np.int64) + bias
    np.testing.assert_array_equal(out, wanted.astype(np.int32))
    assert report.bytes_read >= a.nbytes + b.nbytes + bias.nbytes
    if report.tiles == 1:
        tiles = -(-shape[0] // 4) * -(-shape[1] // 4)
        assert tiny.counters()["C"]["accesses"] == 4 * tiles
    for array in (a, b, out, bias):
        tiny.free(array)


@pytest.mark.soak
@pytest.mark.parametrize("engine", FASTEST_FIRST)
def test_random_operands_that_lie_transposed(engine: str) -> None:
    dev, toss = weft.simulate("tiny", engine), random.Random(5)
    for _ in range(20):
        shape = (toss.randint(1, 70), toss.randint(1, 70), toss.choice([1, 9, 64, 200]))
        check_transposed(dev, shape, toss.choice(["a", "b", "ab"]))


def check_transposed(dev: Any, shape: tuple[int, int, int], transposed: str) -> None:
    """The product is exact, and takes no memory but for the program."""
    M, N, K = shape
    draw = np.random.default_rng(sum(shape))
    a = dev.allocate((K, M), np.int8).T if "a" in transposed else dev.allocate((M, K), np.int8)
    b = dev.allocate((N, K), np.int8).T if "b" in transposed else dev.allocate((K, N), np.int8)
    a[:], b[:] = draw.integers(-128, 128, (M, K)), draw.integers(-128, 128, (K, N))
    out = dev.allocate((M, N), np.int32)
    copies = dev.stats.host_copies
    with allocations(dev) as programs:
        report = dev.gemm(a, b, out=out)
    np.testing.assert_array_equal(out, product(a, b))
    assert [array.dtype for array in programs] == [np.uint64]
    assert dev.stats.host_copies == copies
    assert report.bytes_read >= a.nbytes + b.nbytes
    for array in (a.T if "a" in transposed else a, b.T if "b" in transposed else b, out):
        dev.free(array)


@pytest.mark.soak
@pytest.mark.parametrize("engine", LARGE)
def test_odd_shapes_on_the_default_system(engine: str) -> None:
    dev = weft.simulate("datamaestro", engine)
    for shape in ((1, 1, 1), (7, 5, 3), (8, 200, 8)):
        check_without_a_copy(dev, *shape)


@pytest.mark.soak
@pytest.mark.parametrize("shape", [(96, 88, 8), (4, 16, 1664)])
def test_twice_the_scratchpad(tiny: Any, shape: tuple[int, int, int]) -> None:
    M, N, K = shape
    needed = M * K + K * N + 4 * M * N
    assert needed >= 2 * tiny.config.memory.bytes
    check_without_a_copy(tiny, M, N, K)


def test_c_is_added_and_wraps(tiny: Any) -> None:
    a, b, out = operands(tiny, 10, 9, 11)
    c = tiny.allocate((10, 9), np.int32)
    c[:] = 2**31 - 1
    tiny.gemm(a, b, out=out, c=c)
    expected = a.astype(np.int64) @ b.astype(np.int64) + c
    np.testing.assert_array_equal(out, expected.astype(np.uint32).astype(np.int32))


def test_operands_may_be_views_with_any_row_pitch(tiny: Any) -> None:
    big = tiny.allocate((20, 31), np.int8)
    big[:] = np.random.default_rng(1).integers(-128, 128, big.shape)
    out = tiny.allocate((30, 40), np.int32)
    a, b = big[3:12, 5:18], big[2:15, 1:8]
    tiny.gemm(a, b, out=out[4:13, 9:16])
    np.testing.assert_array_equal(out[4:13, 9:16], product(a, b))
    untouched = np.ones(out.shape, bool)
    untouched[4:13, 9:16] = False
    assert not np.asarray(out)[untouched].any()


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 20))]
)
def test_latency_and_backpressure_change_cycles_and_never_results(
    seed: int, engine: str, prompt_tiny: Any
) -> None:
    random = np.random.default_rng(seed)
    dev = weft.simulate(
        "tiny",
        engine,
        latency=int(random.integers(0, 101)),
        backpressure=float(random.uniform(0, 0.9)),
        seed=seed,
    )
    M, N, K = (int(n) for n in random.integers(1, 30, 3))
    a, b, out = operands(dev, M, N, K, seed)
    report = dev.gemm(a, b, out=out)
    np.testing.assert_array_equal(out, product(a, b))
    prompt_tiny.reset()
    a, b, out = operands(prompt_tiny, M, N, K, seed)
    assert prompt_tiny.gemm(a, b, out=out).cycles_total <= report.cycles_total


def run_json(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "weft", "run", "gemm", *arguments, "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("engine", LARGE)
def test_the_demo_s_figures(engine: str) -> None:
    result = run_json("--m", "64", "--n", "64", "--k", "64", "--engine", engine)
    assert result["ok"]
    assert result["max_abs_error"] == 0
    assert result["cycles_ideal"] == 512
    assert result["cycles_active"] <= 544
    assert result["cycles_span"] <= 560
    assert result["macs"] == 64**3
    assert set(result["movers"]) == {*"ABCDESXY", "MM2S0", "S2MM0"}
    # A is read once a row of tiles, which its repeater gives again, B once a step, D written once a
    # tile.
    assert result["movers"]["A"]["accesses"] == 64 * 8
    assert result["movers"]["B"]["accesses"] == 512 * 8
    assert result["movers"]["D"]["accesses"] == 64 * 32
    assert result["movers"]["C"]["accesses"] == 0
    assert result["dma"]["bytes_read"] == 2 * 64 * 64
    assert result["dma"]["bytes_written"] == 4 * 64 * 64
    # No bubble between tiles.
    assert result["array"]["steps"] == result["cycles_ideal"]
    assert result["array"]["bubbles"] == 0


@needs_compiler
@pytest.mark.soak
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((128, 128, 128), ("--accumulate", "--transpose-a", "--transpose-b")),
        ((256, 256, 256), ("--accumulate",)),
        ((256, 256, 256), ("--accumulate", "--transpose-a", "--transpose-b")),
        ((200, 136, 168), ("--transpose-a", "--transpose-b")),
        ((200, 136, 168), ("--accumulate", "--transpose-a", "--transpose-b")),
        ((128, 512, 128), ("--accumulate",)),
        ((128, 128, 1000), ("--accumulate", "--transpose-a", "--transpose-b", "--out", "int8")),
        ((512, 512, 512), ("--accumulate",)),
    ],
)
def test_a_product_keeps_the_array_busy(shape: Any, options: Any) -> None:
    m, n, k = map(str, shape)
    result = run_json("--m", m, "--n", n, "--k", k, *options, "--engine", "verilator")
    assert result["ok"]
    assert result["utilization_temporal"] >= 0.99


@needs_compiler
@pytest.mark.soak
@pytest.mark.parametrize(
    ("options", "active", "span"),
    [
        (("--accumulate",), 537, 553),
        (("--out", "int8"), 542, 552),
        (("--out", "int8", "--accumulate"), 542, 558),
    ],
)
def test_the_array_s_movers_begin_with_the_last_operand(
    options: Any, active: int, span: int
) -> None:
    size = ("--m", "64", "--n", "64", "--k", "64")
    result = run_json(*size, *options, "--engine", "verilator")
    assert result["ok"]
    assert result["cycles_active"] == active <= 544
    assert result["cycles_span"] == span <= 560


def places() -> Allocator:
    """What gives the addresses that a new device gives."""
    return Allocator(np.zeros(MEMORY_BYTES, np.uint8), MEMORY_BASE)


def faulty(engine: str, **errors: tuple[ErrorRange, ...]) -> Any:
    return weft.simulate("tiny", engine, dram=DramParameters(**errors))


def test_read_error_names_mover_descriptor_and_address(engine: str) -> None:
    a, _, _ = operands(places(), 8, 8, 40)
    start = a.device_address + 5 * 40
    dev = faulty(engine, read_errors=(ErrorRange(start=start, stop=start + 1),))
    a, b, out = operands(dev, 8, 8, 40)
    beat = start & -(dev.config.dma.data_bytes)
    message = r"mover MM2S0, BD \d+, address (0x[0-9a-f]+): the bus answered a read with SLVERR"
    with pytest.raises(DeviceError, match=message) as caught:
        dev.gemm(a, b, out=out)
    burst = dev.config.dma.burst_beats * dev.config.dma.data_bytes
    assert beat - burst < caught.value.address <= beat
    # Usable again after a reset, with operands that the faulty range does not touch.
    dev.reset()
    a, b, out = operands(dev, 8, 8, 8)
    dev.gemm(a, b, out=out)
    np.testing.assert_array_equal(out, product(a, b))


def test_write_error_names_mover_descriptor_and_address(engine: str) -> None:
    _, _, out = operands(places(), 8, 8, 8)
    hit = out.device_address + 100
    bad = ErrorRange(start=hit, stop=hit + 1, response=Response.DECERR)
    dev = faulty(engine, write_errors=(bad,))
    a, b, out = operands(dev, 8, 8, 8)
    with pytest.raises(DeviceError, match=r"mover S2MM0, BD \d+, .* a write with DECERR") as caught:
        dev.gemm(a, b, out=out)
    assert abs(caught.value.address - hit) < 4096


def test_full_queue_is_refused_by_the_driver_and_flagged_by_the_hardware(tiny: Any) -> None:
    depth = tiny.config.mover("X").queue_depth
    tiny.write_descriptor("X", 0, reading(tiny.config.mover("X")))
    # S2MM0 has no task, so nobody takes X's stream, and the queue fills.

    def push_until_full() -> None:
        for _ in range(depth + 50):
            tiny.push("X", 0)

    with pytest.raises(QueueFullError, match="X"):
        push_until_full()
    tiny.registers.write_fields("X", "PUSH", descriptor=0)
    assert tiny.registers.read("X", "REFUSED") == 1
    assert tiny.registers.fields("X", "STATUS")["refused"]
    with pytest.raises(QueueFullError, match="refused"):
        tiny.program.check()


def reading(mover: Any) -> BufferDescriptor:
    strides = np.cumprod((1, *mover.spatial_bounds))[:-1] * 4
    return BufferDescriptor(
        base=0, bounds=(50,), strides=(0,), spatial_strides=tuple(int(s) for s in strides)
    )


@pytest.mark.parametrize("offset", [0x0FFC, 0x2, 0x50000, 1 << 20])
def test_unmapped_or_misaligned_register_is_a_bus_error(tiny: Any, offset: int) -> None:
    for access in (
        lambda: tiny.transport.read_register(offset),
        lambda: tiny.transport.write_register(offset, 1),
    ):
        with pytest.raises(BusError, match=f"{offset:#x}"):
            access()
    assert tiny.registers.read("system", "IDENTITY") == 0x54464557


def test_impossible_descriptor_is_refused_by_the_driver(tiny: Any) -> None:
    good = reading(tiny.config.mover("X"))
    with pytest.raises(DescriptorError, match="address = 16384: channel 0 leaves"):
        tiny.write_descriptor("X", 0, replace(good, base=16384))
    with pytest.raises(DescriptorError, match="bounds"):
        tiny.write_descriptor("X", 0, replace(good, bounds=(70_000,)))


def test_impossible_descriptor_is_flagged_by_the_hardware(tiny: Any) -> None:
    slot = tiny.registers.map.slot_address("X", 3)
    tiny.registers.transport.write_register(slot, 0)
    tiny.registers.write_fields("X", "PUSH", descriptor=3, interrupt=1)
    assert tiny.transport.wait_interrupt(100)
    with pytest.raises(DeviceError, match=r"mover X, BD 3, .*: the descriptor is not valid"):
        tiny.program.check()
    assert tiny.registers.read("X", "RETIRED") == 1


def test_a_prefetched_descriptor_is_blamed_itself(tiny: Any) -> None:
    good = replace(reading(tiny.config.mover("X")), bounds=(3,))
    tiny.write_descriptor("X", 0, good)
    # The driver would refuse the second one, so its words are written past it.
    words = tiny.program.encode("X", good)
    words[3] = tiny.config.memory.bytes - tiny.config.memory.word_bytes
    for index, word in enumerate(words):
        slot = tiny.registers.map.slot_address("X", 9)
        tiny.transport.write_register(slot + 4 * index, word)
    tiny.push("X", 0)
    tiny.registers.write_fields("X", "PUSH", descriptor=9)
    assert tiny.transport.wait_interrupt(100)
    message = "mover X, BD 9, address 0x4000: an address lies outside the scratchpad"
    with pytest.raises(DeviceError, match=message):
        tiny.program.check()


def test_another_configuration_is_refused_before_anything_else(tiny: Any) -> None:
    other = replace(tiny.config, memory=replace(tiny.config.memory, aging=3))
    with pytest.raises(DeviceMismatchError, match=r"built from configuration [0-9a-f]{8}"):
        Device(tiny.transport, other)


def test_timeout_shows_every_mover(tiny: Any) -> None:
    tiny.write_descriptor("X", 0, reading(tiny.config.mover("X")))
    token = tiny.push("X", 0, interrupt=True)
    with pytest.raises(DeviceTimeout, match="X has retired 0 tasks") as caught:
        tiny.wait("X", token, timeout=300)
    for mover in tiny.config.movers:
        assert mover.name in str(caught.value)


@pytest.mark.parametrize("size", [1, 15, 16, 100, 257])
def test_bytes_go_to_the_scratchpad_and_back(tiny: Any, size: int) -> None:
    there, back = tiny.allocate(size, np.uint8), tiny.allocate(size + 2, np.uint8)
    there[:] = np.random.default_rng(size).integers(0, 256, size)
    back[:] = 0xAA
    tiny.send(there, to=tiny.scratchpad(64)).wait(10_000)
    tiny.recv(back[1:-1], from_=tiny.scratchpad(64)).wait(10_000)
    np.testing.assert_array_equal(back[1:-1], there)
    assert back[0] == back[-1] == 0xAA


def test_repeats_empty_tasks_and_several_descriptors_in_flight(tiny: Any) -> None:
    beat = tiny.config.dma.data_bytes
    data, back = tiny.allocate(2 * beat, np.uint8), tiny.allocate(6 * beat, np.uint8)
    data[:] = np.random.default_rng(0).integers(0, 256, data.size)
    nothing = BufferDescriptor(base=data.device_address, bounds=(0,), strides=(0,), run_length=1)
    tiny.write_descriptor("MM2S0", 0, replace(nothing, bounds=(1,), run_length=data.size))
    tiny.write_descriptor("MM2S0", 1, nothing)
    y = reading(tiny.config.mover("Y"))
    for slot, (beats, at) in enumerate([(1, 0), (0, 0), (5, 1)]):
        walk = replace(y, base=at * beat, bounds=(beats,), strides=(beat,))
        tiny.write_descriptor("Y", slot, walk)
    for slot in (0, 1, 1, 2):
        last = tiny.push("Y", slot, repeat=1 + 2 * (slot == 1), interrupt=slot == 2)
    tiny.push("MM2S0", 1, repeat=256)
    tiny.push("MM2S0", 0, repeat=3)
    tiny.push("MM2S0", 1)
    tiny.wait("Y", last, timeout=2000)
    tiny.recv(back, from_=tiny.scratchpad(0)).wait(2000)
    np.testing.assert_array_equal(back, np.tile(data, 3))
    assert tiny.registers.read("Y", "RETIRED") == 4
    assert tiny.registers.read("MM2S0", "RETIRED") == 3


class GaveUpError(Exception):
    """The host's, in the middle of a product."""


@pytest.mark.parametrize("mover", ["MM2S0", pytest.param("S2MM0", marks=pytest.mark.soak)])
def test_a_reset_in_mid_flight_leaves_a_device_that_works(
    mover: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev = weft.simulate("tiny", engine, latency=40, backpressure=0.4, seed=1)
    a, b, out = operands(dev, 7, 9, 13)

    buffers, wait = dev.buffers, dev.transport.wait_interrupt

    def give_up(timeout: int) -> bool:
        while not dev.registers.fields(mover, "STATUS")["busy"]:
            assert not wait(1)
        wait(25)
        raise GaveUpError

    with monkeypatch.context() as patch:
        patch.setattr(dev.transport, "wait_interrupt", give_up)
        with pytest.raises(GaveUpError):
            dev.gemm(a, b, out)
    assert dev.registers.fields(mover, "STATUS")["busy"]
    # The sequencer may fetch from its program until it is stopped.
    assert len(dev.buffers) == len(buffers) + 1
    # The memory checks the protocol in every cycle, before, during and after the reset.
    dev.reset()
    assert dev.buffers == buffers
    check_as_new(dev, a, b, out)


@pytest.mark.soak
@pytest.mark.parametrize("mover", ["MM2S0", "S2MM0"])
def test_a_reset_while_the_host_plays_a_product(
    mover: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(load_config("tiny"), sequencer=None)
    dev = weft.simulate(config, "python", latency=40, backpressure=0.4, seed=1)
    a, b, out = operands(dev, 7, 9, 13)

    def push(name: str, *task: Any, real: Any = dev.program.push, **options: Any) -> int:
        token = real(name, *task, **options)
        if name == mover:
            dev.transport.wait_interrupt(25)
            raise GaveUpError
        return token

    with monkeypatch.context() as patch:
        patch.setattr(dev.program, "push", push)
        with pytest.raises(GaveUpError):
            dev.gemm(a, b, out)
    assert dev.registers.fields(mover, "STATUS")["busy"]
    dev.reset()
    check_as_new(dev, a, b, out)


def check_as_new(dev: Any, a: Any, b: Any, out: Any) -> None:
    """No mover remembers anything, and a product is right."""
    for each in dev.config.movers:
        assert not dev.registers.fields(each.name, "STATUS")["busy"]
        assert dev.registers.read(each.name, "RETIRED") == 0
    dev.gemm(a, b, out)
    np.testing.assert_array_equal(out, product(a, b))


@pytest.mark.parametrize(
    ("memory", "movers", "dma", "system"),
    [
        (
            {"crossbar_stages": 2},
            {"address_depth": 2, "data_depth": 3, "ports": 2},
            {"burst_beats": 1},
            {"sequencer": None},
        ),
        (
            {
                "crossbar_stages": 3,
                "groups": (16,),
                "fill_priority": True,
                "bank_counters": True,
            },
            {"shares_ports_with": ""},
            {},
            {},
        ),
        pytest.param(
            {"rows": 16, "groups": (1, 16, 8)},
            {"queue_depth": 1, "descriptors": 1},
            {},
            {"sequencer": SequencerConfig(arguments=1, fetch_beats=4)},
            marks=pytest.mark.soak,
        ),
    ],
)
def test_other_systems(memory: Any, movers: Any, dma: Any, system: Any) -> None:
    tiny = load_config("tiny")
    assert tiny.dma is not None
    config = replace(
        tiny,
        memory=replace(tiny.memory, **memory),
        movers=tuple(
            replace(mover, **movers) if mover.is_scratchpad or "queue_depth" in movers else mover
            for mover in tiny.movers
        ),
        dma=replace(tiny.dma, **dma),
        **system,
    )
    dev = weft.simulate(config, "python", latency=7, backpressure=0.3)
    check_without_a_copy(dev, 5, 9, 33)
    banks = dev.bank_conflicts()
    assert len(banks) == (config.memory.banks if config.memory.bank_counters else 0)
    assert not banks or any(banks)
    dev.clear_counters()
    assert not any(dev.bank_conflicts())


def test_host_memory_is_refused(tiny: Any) -> None:
    host = np.zeros((4, 4), np.int8)
    with pytest.raises(NotDeviceMemory, match="not in device memory"):
        tiny.gemm(host, host, out=np.zeros((4, 4), np.int32))
