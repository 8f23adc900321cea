"""Movers tied together by locks alone, on the functional model and on the RTL."""

from typing import Any

import numpy as np
import pytest

import weft
from support.engines import FASTEST
from support.pages import named_config
from weft.hw.bus.fault import FaultCode
from weft.hw.bus.registers import LOCK_FAULT_BIT
from weft.hw.mover import Descriptor
from weft.sim.golden.system import SystemModel
from weft.sw.descriptor import BufferDescriptor
from weft.sw.device import Device

TINY = named_config("tiny")
WORD = TINY.memory.word_bytes
FULL, FREE = 5, 6
ROWS = 4
"""Of a beat of the DMA, in a block."""


@pytest.fixture(scope="module")
def rtl() -> Any:
    return weft.simulate("tiny", FASTEST)


@pytest.fixture(params=["early", "late", "rtl"])
def dev(request: pytest.FixtureRequest) -> Any:
    """The model with sources that run as soon, or as late, as they can; the hardware."""
    if request.param == "rtl":
        device = request.getfixturevalue("rtl")
        device.reset()
        return device
    return Device(SystemModel(TINY, prefetch=request.param == "early"), TINY)


def write(dev: Any, mover: str, slot: int, **fields: Any) -> None:
    spec = Descriptor(TINY, TINY.mover(mover))
    words = BufferDescriptor(**fields).encode(spec)
    dev.registers.write_slot(mover, slot, dict(enumerate(words)))


def push(dev: Any, mover: str, slot: int, **fields: int) -> None:
    dev.registers.write_fields(mover, "PUSH", descriptor=slot, **fields)


def wait(dev: Any) -> None:
    """For the last task's interrupt."""
    assert dev.transport.wait_interrupt(20_000)
    dev.registers.write("system", "IRQ_DONE", 0xFFFF)


def locks(dev: Any) -> list[int]:
    count = -(-TINY.locks // 4)
    words = [dev.registers.fields("system", f"LOCKS_{index}") for index in range(count)]
    return [value for word in words for value in word.values()]


def spatial(mover: str) -> tuple[int, ...]:
    """Consecutive words."""
    bounds = TINY.mover(mover).spatial_bounds
    return tuple(WORD * int(np.prod(bounds[:level])) for level in range(len(bounds)))


@pytest.mark.parametrize("swapped", [False, True])
def test_a_copy_in_both_orders_three_times_without_reset(dev: Any, swapped: bool) -> None:
    """Blocks go through a ring of two regions: chains for the regions, iteration for the DRAM end,
    repeats for the rounds; four movers, each pushed once, in either order."""
    beat = TINY.dma.data_bytes
    rounds, block = 2, ROWS * beat
    source = dev.allocate(2 * rounds * block, np.uint8)
    target = dev.allocate(2 * rounds * block, np.uint8)
    loop = {"bounds": (ROWS,), "strides": (beat,)}
    for slot in (0, 1):
        chain = {"use_next": 1, "next": 1} if slot == 0 else {}
        region = {"base": 512 * slot, **loop, **chain}
        fill = {"acquire_enable": 1, "acquire_id": FREE, "acquire_value": 1}
        write(
            dev,
            "Y",
            slot,
            **region,
            **fill,
            release_id=FULL,
            release_delta=1,
            spatial_strides=spatial("Y"),
        )
        drain = {"acquire_enable": 1, "acquire_id": FULL, "acquire_value": 1}
        write(
            dev,
            "X",
            slot,
            **region,
            **drain,
            release_id=FREE,
            release_delta=1,
            spatial_strides=spatial("X"),
        )
    whole = {"run_length": block, "iteration_size": 2 * rounds, "iteration_stride": block}
    write(dev, "MM2S0", 3, base=source.device_address, **whole)
    write(dev, "S2MM0", 4, base=target.device_address, **whole)
    dev.registers.write_fields("system", "LOCK_SET", id=FREE, value=2)
    pushes = [
        ("MM2S0", 3, {"repeat": 2 * rounds - 1}),
        ("Y", 0, {"repeat": rounds - 1}),
        ("X", 0, {"repeat": rounds - 1}),
        ("S2MM0", 4, {"repeat": 2 * rounds - 1, "interrupt": 1}),
    ]
    for run in range(3):
        source[:] = np.random.default_rng(run).integers(0, 256, source.size)
        for mover, slot, fields in reversed(pushes) if swapped else pushes:
            push(dev, mover, slot, **fields)
        wait(dev)
        np.testing.assert_array_equal(target, source)
        assert locks(dev)[FULL] == 0
        assert locks(dev)[FREE] == 2
        for mover, _, _ in pushes:
            assert dev.registers.read(mover, "RETIRED") == run + 1
    assert dev.registers.read("system", "FIRST_ERROR") == 0


def test_a_push_with_a_base_moves_the_first_bd(dev: Any) -> None:
    source, target = dev.allocate(256, np.uint8), dev.allocate(256, np.uint8)
    source[:] = np.arange(256)
    beat = TINY.dma.data_bytes
    write(dev, "MM2S0", 0, base=0, run_length=beat)
    write(dev, "S2MM0", 0, base=0, run_length=beat)
    write(dev, "Y", 0, base=0, bounds=(1,), strides=(0,), spatial_strides=spatial("Y"))
    gate = {"acquire_enable": 1, "acquire_id": 0, "acquire_value": 1}
    write(dev, "X", 0, base=0, bounds=(1,), strides=(0,), spatial_strides=spatial("X"), **gate)
    write(
        dev,
        "Y",
        1,
        base=0,
        bounds=(1,),
        strides=(0,),
        spatial_strides=spatial("Y"),
        release_delta=1,
    )
    for mover, base in (
        ("MM2S0", source.device_address + 9),
        ("S2MM0", target.device_address + 70),
    ):
        dev.registers.write(mover, "BASE_LOW", base % (1 << 32))
        dev.registers.write(mover, "BASE_HIGH", base >> 32)
        push(dev, mover, 0, rebase=1, interrupt=int(mover == "S2MM0"))
    push(dev, "Y", 1)
    push(dev, "X", 0)
    wait(dev)
    expected = np.zeros(256, np.uint8)
    expected[70 : 70 + beat] = source[9 : 9 + beat]
    np.testing.assert_array_equal(target, expected)


def test_a_lock_that_would_overflow_is_an_error_of_its_client(dev: Any) -> None:
    dev.registers.write("system", "IRQ_FAULT_MASK", 1 << LOCK_FAULT_BIT)
    dev.registers.write_fields("system", "LOCK_SET", id=3, value=63)
    dev.registers.write_fields("system", "LOCK_RELEASE", id=3, delta=1)
    assert dev.transport.wait_interrupt(100)
    assert dev.registers.fields("system", "FIRST_ERROR") == {
        "valid": 1,
        "mover": len(TINY.movers),
        "code": FaultCode.LOCK_OVERFLOW,
        "descriptor": 3,
    }
    assert dev.registers.fields("system", "LOCK_ERRORS")["locks"] == 1 << 3
    for value, granted, left in ((60, 1, 3), (4, 0, 3)):
        dev.registers.write_fields("system", "LOCK_ACQUIRE", id=3, value=value)
        while not (result := dev.registers.fields("system", "LOCK_RESULT"))["done"]:
            pass
        assert (result["granted"], locks(dev)[3]) == (granted, left)


def test_a_slot_in_use_keeps_what_it_has(dev: Any) -> None:
    gate = {"acquire_enable": 1, "acquire_id": 1, "acquire_value": 1}
    line = {"bounds": (1,), "strides": (0,), "spatial_strides": spatial("X")}
    write(dev, "X", 2, base=0, **line, **gate)
    push(dev, "X", 2)
    push(dev, "X", 2)
    write(dev, "X", 2, base=0, **line)
    error = dev.registers.fields("X", "ERROR")
    assert error == {"code": FaultCode.DESCRIPTOR_IN_USE, "descriptor": 2}
    assert dev.registers.fields("system", "FIRST_ERROR")["code"] == FaultCode.DESCRIPTOR_IN_USE
    assert dev.registers.read("X", "RETIRED") == 0
