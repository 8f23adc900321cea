"""The device over the functional model: products, transfers, and every way to fail."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.pages import named_config
from weft.hw.bus.registers import RegisterError
from weft.hw.errors import WeftError
from weft.sim.golden.system import SystemModel
from weft.sw import BufferDescriptor, Device, MemRef, Transport
from weft.sw.errors import (
    AllocationError,
    BusError,
    DescriptorError,
    DeviceError,
    DeviceMismatchError,
    DeviceTimeout,
    MappingError,
    NotDeviceMemory,
    QueueFullError,
)
from weft.sw.gemm import GemmProblem
from weft.sw.gemm_layout import GemmForm, TileShape
from weft.sw.gemm_tiling import plan_product

TINY, DEFAULT = named_config("tiny"), named_config("datamaestro")
PLAIN = replace(TINY, memory=replace(TINY.memory, groups=(16,)))
"""One addressing mode: the operands share all banks."""
BY_HOST = replace(TINY, sequencer=None)
"""The host plays its products over the register bus."""

OTHER = BufferDescriptor(base=16, bounds=(2,), strides=(16,), spatial_strides=(4, 8))


def opened(config: Any = TINY, **options: Any) -> Device:
    return Device(SystemModel(config, **options), config)


def filled(dev: Device, shape: tuple[int, ...], dtype: Any, random: Any) -> Any:
    array, limits = dev.allocate(shape, dtype), np.iinfo(dtype)
    array[:] = random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return array


def product(a: Any, b: Any, c: Any = 0) -> Any:
    total = np.asarray(a, np.int64) @ np.asarray(b, np.int64) + np.asarray(c, np.int64)
    return (total % (1 << 32)).astype(np.uint32).view(np.int32)


def check_product(dev: Device, M: int, N: int, K: int, with_c: bool, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    a, b = filled(dev, (M, K), np.int8, random), filled(dev, (K, N), np.int8, random)
    out = dev.allocate((M, N), np.int32)
    c = filled(dev, (M, N), np.int32, random) if with_c else None
    buffers = dev.buffers
    report = dev.gemm(a, b, out, c)
    assert report.via == ("registers" if dev.config.sequencer is None else "program")
    assert dev.buffers == buffers
    np.testing.assert_array_equal(out, product(a, b, c if with_c else 0))
    assert dev.stats.host_copies == 0
    assert report.macs == M * N * K
    return report


def test_the_model_is_a_transport() -> None:
    assert isinstance(SystemModel(TINY), Transport)


@settings(max_examples=25, deadline=None)
@given(
    config=st.sampled_from([TINY, PLAIN, BY_HOST]),
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    with_c=st.booleans(),
    prefetch=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_product(
    config: Any, shape: tuple[int, int, int], with_c: bool, prefetch: bool, seed: int
) -> None:
    check_product(opened(config, prefetch=prefetch), *shape, with_c, seed)


@pytest.mark.parametrize("with_c", [False, True])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (7, 5, 3), (65, 33, 17), (8, 200, 8), (64, 64, 128), (10, 9, 600)]
)
def test_odd_shapes_and_shapes_beyond_the_scratchpad(
    shape: tuple[int, int, int], with_c: bool
) -> None:
    M, N, K = shape
    report = check_product(opened(), M, N, K, with_c)
    problem = GemmProblem(shape=TileShape(m=M, n=N, k=K), with_c=with_c)
    tiles = plan_product(TINY, problem, GemmForm()).tasks()
    assert report.tiles == len(tiles)
    assert (len(tiles) > 1) == (shape in [(65, 33, 17), (64, 64, 128), (10, 9, 600)])
    assert report.cycles_ideal >= -(-M // 4) * -(-N // 4) * -(-K // 4)
    loads = sum(task.a.load + task.b.load + task.d.freed for task in tiles)
    assert report.dma_calls == loads + with_c * sum(task.d.load for task in tiles)
    assert report.bytes_written == 4 * M * N


def test_the_default_system() -> None:
    report = check_product(opened(DEFAULT), 65, 33, 17, True)
    assert report.cycles_ideal == 9 * 5 * 3
    assert report.bytes_read == 65 * 17 + 17 * 33 + 4 * 65 * 33


@pytest.mark.parametrize("prefetch", [False, True])
def test_operands_may_be_views_and_c_may_be_the_result(prefetch: bool) -> None:
    dev, random = opened(prefetch=prefetch), np.random.default_rng(5)
    big = filled(dev, (40, 50), np.int8, random)
    results = filled(dev, (30, 60), np.int32, random)
    a, b = big[3:20, 5:31], big[30:3:-1, 40:49][:26]
    out = results[1:18, 7:16]
    before, expected = results.copy(), product(a, b, out)
    dev.gemm(a, MemRef.from_numpy(b), out, out)
    np.testing.assert_array_equal(out, expected)
    before[1:18, 7:16] = expected
    np.testing.assert_array_equal(results, before)


def test_operands_that_cannot_be_are_refused_before_anything_moves() -> None:
    dev = opened()
    a, b = dev.allocate((8, 6), np.int8), dev.allocate((6, 4), np.int8)
    out = dev.allocate((8, 4), np.int32)
    both = dev.allocate((64, 64), np.int8)
    for operands, text in (
        ((a, b, out[:4]), r"out has shape \(4, 4\): with a of \(8, 6\) must be \(8, 4\)"),
        ((a, a, out), r"b has shape \(8, 6\)"),
        ((a, b, out, out[:4]), r"c has shape \(4, 4\)"),
        ((a.view(np.uint8), b, out), "a has dtype uint8: must be int8"),
        ((a, b, b), "out has dtype int8: must be int32"),
        ((a[0], b, out), r"a has shape \(6,\): must be a matrix, not empty"),
        ((a[:0], b, out[:0]), "must be a matrix, not empty"),
        ((a[:, ::2], b[:3], out), r"a has strides \(6, 2\): the elements of a row or a column"),
        (
            (both[:8, :6], b, both.reshape(-1)[8:136].view(np.int32).reshape(8, 4)),
            "out lies over a",
        ),
        ((a, b, out, moved_by_one(out)), "out lies over c"),
    ):
        with pytest.raises(MappingError, match=text):
            dev.gemm(*operands)
    broadcast = MemRef(
        address=out.device_address, offset=0, sizes=(8, 4), strides=(0, 1), dtype=out.dtype
    )
    with pytest.raises(MappingError, match="its rows overlap"):
        dev.gemm(a, b, broadcast)
    assert dev.stats.dma_calls == 0


@pytest.mark.parametrize(
    ("mover", "values", "text"),
    [
        ("A", {"loops": 2}, r"descriptor of A: bounds = .* at most 2 loops"),
        ("X", {"loops": 2}, r"descriptor of X: bounds = .* at most 2 loops"),
        ("MM2S0", {"guards": 1}, "takes 2 guards; MM2S0 has 1"),
        ("S2MM0", {"guards": 0}, "S2MM0 has no guard"),
    ],
)
def test_a_product_beyond_a_mover_is_refused_before_anything_moves(
    mover: str, values: dict[str, Any], text: str
) -> None:
    dev = opened(with_movers([mover], **values))
    a, b = dev.allocate((9, 70), np.int8), dev.allocate((70, 31), np.int8)
    with pytest.raises(WeftError, match=text):
        dev.gemm(a, b, dev.allocate((9, 31), np.int32))
    for each in dev.config.movers:
        assert dev.registers.read(each.name, "RETIRED") == 0
        assert not dev.registers.fields(each.name, "STATUS")["busy"]


def with_movers(names: list[str], **values: Any) -> Any:
    movers = [replace(m, **values) if m.name in names else m for m in TINY.movers]
    return replace(TINY, movers=tuple(movers))


@pytest.mark.parametrize("room", [1, pytest.param(2, marks=pytest.mark.soak)])
@pytest.mark.parametrize("sequencer", [TINY.sequencer, None])
def test_short_queues_make_a_product_wait(room: int, sequencer: Any) -> None:
    names = [mover.name for mover in TINY.movers]
    config = with_movers(names, queue_depth=room, descriptors=room)
    dev = opened(replace(config, sequencer=sequencer), prefetch=True)
    check_product(dev, 20, 30, 600, True)


def test_a_program_that_memory_cannot_hold_is_refused_before_anything_moves() -> None:
    dev = opened(memory_bytes=4096)
    a, b = dev.allocate((30, 20), np.int8), dev.allocate((20, 20), np.int8)
    out = dev.allocate((30, 20), np.int32)
    buffers = dev.buffers
    with pytest.raises(AllocationError, match=r"a program of \d+ words: \d+ bytes for .* are free"):
        dev.gemm(a, b, out)
    assert dev.buffers == buffers
    assert dev.registers.read("MM2S0", "RETIRED") == 0
    assert dev.stats.dma_calls == 0


def test_what_the_device_may_still_reach_is_given_back_with_the_next_reset() -> None:
    dev = opened()
    free, array = dev.allocator.free_bytes, dev.allocate(100, np.uint8)
    dev.allocator.leave(array)
    assert dev.buffers == [(array.device_address, 100)]
    dev.reset()
    assert dev.buffers == []
    assert dev.allocator.free_bytes == free
    dev.reset()
    assert dev.allocator.free_bytes == free


def test_fill_priority_is_as_it_was_told_behind_a_reset_too() -> None:
    dev = opened(DEFAULT)
    for on in (True, False, True):
        dev.set_fill_priority(on)
        for _ in range(2):
            assert dev.registers.fields("system", "ARBITRATION")["fill_priority"] == on
            dev.reset()
    assert opened(DEFAULT).registers.fields("system", "ARBITRATION")["fill_priority"] == 1
    with pytest.raises(RegisterError, match="ARBITRATION"):
        opened().set_fill_priority(True)


def test_an_unknown_mover_is_named() -> None:
    dev = opened()
    for attempt in (
        lambda: dev.push("Z", 0),
        lambda: dev.wait("Z", 0),
        lambda: dev.write_descriptor("Z", 0, OTHER),
    ):
        with pytest.raises(WeftError, match="mover 'Z': must be one of A, B, C, D, X, Y, MM2S0"):
            attempt()


def moved_by_one(out: Any) -> MemRef:
    """`out` moved by one element: not the same matrix, but over it."""
    return replace(MemRef.from_numpy(out), offset=-1)


def test_a_result_between_the_rows_of_an_operand_is_fine() -> None:
    dev = opened()
    memory = dev.allocate((8, 64), np.int8)
    out = memory[:, 16:32].view(np.int32)
    memory[:, :6] = np.arange(48).reshape(8, 6)
    b = dev.allocate((6, 4), np.int8)
    b[:] = 3
    expected = product(memory[:, :6], b)
    dev.gemm(memory[:, :6], b, out)
    np.testing.assert_array_equal(out, expected)


@settings(max_examples=30, deadline=None)
@given(
    length=st.integers(0, 90),
    offset=st.integers(0, 100),
    step=st.integers(1, 3),
    prefetch=st.booleans(),
)
def test_what_is_sent_comes_back(length: int, offset: int, step: int, prefetch: bool) -> None:
    dev, random = opened(prefetch=prefetch), np.random.default_rng(length)
    source = filled(dev, (length * step + 1,), np.int8, random)
    target = dev.allocate((3, 200), np.int8)
    piece, back = source[: length * step : step], target[1, 4 : 4 + length * 2 : 2]
    where = dev.scratchpad(4 * offset)
    dev.send(piece, to=where).wait(timeout=10_000)
    dev.recv(MemRef.from_numpy(target[2])[:length], from_=where).wait()
    dev.recv(back, from_=where).wait()
    np.testing.assert_array_equal(target[2, :length], piece)
    np.testing.assert_array_equal(back, piece)
    target[2, :length] = 0
    back[:] = 0
    assert not target.any()
    assert dev.stats.dma_calls == 3
    assert dev.stats.bytes_read == length
    assert dev.stats.bytes_written == 2 * length


def test_a_send_writes_no_byte_beyond_its_end() -> None:
    dev = opened()
    data = dev.allocate((64,), np.uint8)
    data[:] = 1
    dev.send(data, to=dev.scratchpad(0)).wait()
    data[:] = 2
    dev.send(data[:19], to=dev.scratchpad(0)).wait()
    dev.recv(data, from_=dev.scratchpad(0)).wait()
    assert data.tolist() == [2] * 19 + [1] * 45


def test_transfers_that_cannot_be_are_refused() -> None:
    dev = opened()
    array, where = dev.allocate((64,), np.int8), dev.scratchpad(0)
    with pytest.raises(MappingError, match="mode = 'rows': must be one of sg, row, naive"):
        dev.send(array, to=where, mode="rows")
    with pytest.raises(MappingError, match="mode = ''"):
        dev.recv(array, from_=where, mode="")
    with pytest.raises(NotDeviceMemory, match="not in device memory"):
        dev.send(np.zeros(4, np.int8), to=where)
    with pytest.raises(NotDeviceMemory, match="source covers 0x10 to 0x14"):
        dev.send(
            MemRef(address=16, offset=0, sizes=(4,), strides=(1,), dtype=np.dtype(np.int8)),
            to=where,
        )
    with pytest.raises(NotDeviceMemory, match="not in device memory"):
        dev.gemm(np.zeros((4, 4), np.int8), array, array)
    for offset in (-4, 2, 1 << 14):
        with pytest.raises(MappingError, match=f"scratchpad offset {offset}: must be a multiple"):
            dev.scratchpad(offset)
    with pytest.raises(DescriptorError, match="leaves the scratchpad of 16384 bytes"):
        dev.send(array, to=dev.scratchpad((1 << 14) - 32))
    with pytest.raises(MappingError, match="pieces of 81 bytes, which are not whole words of 4"):
        dev.send(dev.allocate((2, 4, 4, 4, 8), np.int8)[:, :3, :3, :3, :6:2], to=where)
    assert dev.registers.read("MM2S0", "RETIRED") == 0
    dev.send(array, to=where).wait()


def test_another_configuration_or_device_is_refused_before_anything_is_written() -> None:
    model = SystemModel(TINY)
    with pytest.raises(DeviceMismatchError, match=r"driver was given tiny \("):
        Device(model, replace(TINY, dma=replace(TINY.dma, read_outstanding=8)))  # type: ignore[type-var]
    model.system["IDENTITY"] = 0x1234
    with pytest.raises(DeviceMismatchError, match="identity register reads 0x00001234"):
        Device(model, TINY)
    assert model.writes == 0


def test_a_read_error_names_mover_descriptor_and_address_and_reset_recovers() -> None:
    base = 0x8000_0000
    dev = opened(read_errors=[range(base + 128, base + 130)])
    first, array = dev.allocate((64,), np.int8), dev.allocate((128,), np.int8)
    dev.send(first, to=dev.scratchpad(0)).wait()
    transfer = dev.send(array, to=dev.scratchpad(0))
    with pytest.raises(DeviceError, match=r"mover MM2S0, BD 0, address 0x80000080: .*SLVERR") as e:
        transfer.wait()
    assert (e.value.mover, e.value.descriptor, e.value.address) == ("MM2S0", 0, base + 128)
    with pytest.raises(DeviceError):
        dev.send(first, to=dev.scratchpad(0)).wait()
    dev.reset()
    first[:] = 7
    dev.send(first, to=dev.scratchpad(0)).wait()
    dev.recv(array[:64], from_=dev.scratchpad(0)).wait()
    assert (array[:64] == 7).all()


def test_a_write_error_ends_a_product() -> None:
    base = 0x8000_0000
    dev = opened(write_errors=[range(base + 200, base + 201)])
    a, b = dev.allocate((8, 8), np.int8), dev.allocate((8, 8), np.int8)
    out = dev.allocate((8, 8), np.int32)
    with pytest.raises(DeviceError, match=r"mover S2MM0, BD 0, address 0x800000c8: .*a write with"):
        dev.gemm(a, b, out)


def test_a_wait_that_never_ends_tells_what_every_mover_does() -> None:
    dev = opened()
    array = dev.allocate((64,), np.int8)
    dev.send(array, to=dev.scratchpad(0)).wait()
    # The scratchpad end alone: its stream never comes.
    token = dev.push("Y", 0, interrupt=True)
    start = dev.transport.cycles
    with pytest.raises(DeviceTimeout, match=r"Y has retired 1 tasks, not 2, after 500 cycles") as e:
        dev.wait("Y", token, timeout=500)
    # The message takes reads of its own.
    assert 500 <= dev.transport.cycles - start < 1000
    for mover in TINY.movers:
        assert f"{mover.name}: " in str(e.value)
    assert "Y: 1 of 2 tasks retired; BD 0 at 0x0 (1 in flight)" in str(e.value)
    assert "A: 0 of 0 tasks retired, idle" in str(e.value)
    assert isinstance(e.value, TimeoutError)
    dev.reset()
    dev.send(array, to=dev.scratchpad(0)).wait()


def test_a_full_queue_is_refused_before_the_push() -> None:
    dev = opened()
    array = dev.allocate((64,), np.int8)
    dev.send(array, to=dev.scratchpad(0)).wait()
    depth = TINY.mover("Y").queue_depth
    tokens = [dev.push("Y", 0) for _ in range(depth + 1)]
    with pytest.raises(QueueFullError, match=f"the queue of Y holds {depth} of {depth} tasks"):
        dev.push("Y", 0)
    with pytest.raises(QueueFullError, match="the queue of Y"):
        dev.send(array, to=dev.scratchpad(0))
    assert dev.registers.read("Y", "REFUSED") == 0
    assert dev.registers.read("MM2S0", "LEVEL") == 0
    for _ in tokens:
        dev.push("MM2S0", 0)
        dev.wait("Y", tokens.pop(0))
    dev.push("Y", 0)


def test_a_push_that_somebody_else_lost_is_reported() -> None:
    dev = opened()
    array = dev.allocate((64,), np.int8)
    dev.send(array, to=dev.scratchpad(0)).wait()
    for _ in range(TINY.mover("Y").queue_depth + 2):
        dev.registers.write_fields("Y", "PUSH", descriptor=0)
    with pytest.raises(QueueFullError, match="full queue of Y was refused"):
        dev.send(array, to=dev.scratchpad(0)).wait()


def test_a_repeated_task_retires_once_and_needs_no_interrupt() -> None:
    dev = opened()
    array = dev.allocate((64,), np.int8)
    dev.send(array, to=dev.scratchpad(0)).wait()
    dev.push("MM2S0", 0, repeat=3)
    dev.wait("Y", dev.push("Y", 0, repeat=3), timeout=1000)
    assert dev.registers.read("Y", "RETIRED") == 2
    assert dev.registers.read("MM2S0", "RETIRED") == 2


def test_impossible_pushes_and_waits_are_refused() -> None:
    dev = opened()
    dev.send(dev.allocate((64,), np.int8), to=dev.scratchpad(0)).wait()
    with pytest.raises(DescriptorError, match="slot = 3: no descriptor was written there"):
        dev.push("Y", 3)
    for repeat in (0, 257):
        with pytest.raises(DescriptorError, match=f"repeat = {repeat}: must be from 1 to 256"):
            dev.push("Y", 0, repeat)
    with pytest.raises(DescriptorError, match="token = 2: only 1 tasks were pushed"):
        dev.wait("Y", 2)


def test_a_descriptor_costs_only_the_words_that_differ_and_never_a_running_task() -> None:
    model = SystemModel(TINY)
    dev = Device(model, TINY)
    array = dev.allocate((256,), np.int8)

    def writes(piece: Any) -> int:
        before = model.writes
        dev.send(piece, to=dev.scratchpad(0)).wait()
        return model.writes - before

    first, again, moved = writes(array[:64]), writes(array[:64]), writes(array[64:128])
    # Two pushes and an interrupt to clear; a new base is one word more.
    assert again == 3
    assert moved == again + 1
    assert first > 20
    with pytest.raises(WeftError, match="must be from 0 to 15"):
        dev.write_descriptor("Y", 16, OTHER)
    dev.push("Y", 0)
    with pytest.raises(DescriptorError, match="slot = 0: a task that uses it has not retired"):
        dev.write_descriptor("Y", 0, OTHER)
    dev.write_descriptor("Y", 1, OTHER)


def test_unmapped_registers_are_bus_errors() -> None:
    dev = opened()
    with pytest.raises(BusError, match="register access at 0x1ffc was answered") as e:
        dev.transport.read_register(0x1FFC)
    assert e.value.address == 0x1FFC
    with pytest.raises(BusError):
        dev.registers.read("Y", "PUSH")
    with pytest.raises(WeftError, match="no page 'Z'"):
        dev.registers.read("Z", "LEVEL")
    with pytest.raises(WeftError, match=r"PUSH.descriptor = 256: must be from 0 to 255"):
        dev.registers.write_fields("Y", "PUSH", descriptor=256)


def test_counters_have_every_mover_and_the_array() -> None:
    dev = opened()
    check_product(dev, 9, 5, 6, False)
    assert set(dev.counters()) == {mover.name for mover in TINY.movers}
    assert set(dev.counters()["A"]) == {"active", "starved", "blocked", "conflict", "accesses"}
    assert dev.array_counters()["array_steps"] == 3 * 2 * 2
    cycles = dev.array_counters()["cycles"]
    dev.clear_counters()
    assert dev.array_counters()["cycles"] < cycles
