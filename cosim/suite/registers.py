"""The register port before ``AxiLiteMaster``."""

import random

import pytest
from cocotb.task import resume
from cocotbext.axi import AxiResp

from cosim.bench import Bench, cosimulated
from weft.hw.bus.registers import IDENTITY
from weft.sw.errors import BusError


@cosimulated(None, 1, 2)
def identity_and_hash(bench: Bench, seed: int | None) -> None:
    dev = bench.open()
    assert dev.registers.read("system", "IDENTITY") == IDENTITY
    assert dev.registers.read("system", "CONFIG_HASH") == int(dev.config.hash[:8], 16)


@cosimulated(None, 1, 2)
def accesses_under_way_together(bench: Bench, seed: int | None) -> None:
    """The master sends as many as its queues hold; each has its own answer."""
    registers = bench.open().registers
    names = [("X", "BASE_LOW"), ("X", "BASE_HIGH"), ("Y", "BASE_LOW"), ("MM2S0", "BASE_HIGH")]
    places = [registers.map.page(page).address(name) for page, name in names]
    draws = random.Random(seed)

    @resume
    async def rounds() -> None:
        for _ in range(10):
            values = [draws.randbytes(4) for _ in places]
            events = [
                bench.master.init_write(place, value)
                for place, value in zip(places, values, strict=True)
            ]
            identities = [bench.master.init_read(0, 4) for _ in range(3)]
            for event in [*events, *identities]:
                await event.wait()
                assert event.data.resp == AxiResp.OKAY
            for event in identities:
                assert int.from_bytes(event.data.data, "little") == IDENTITY
            reads = [bench.master.init_read(place, 4) for place in places]
            for event, value in zip(reads, values, strict=True):
                await event.wait()
                assert event.data.data == value

    rounds()


@cosimulated(None, 1)
def what_is_no_register_is_an_error(bench: Bench, seed: int | None) -> None:
    transport = bench.open().transport
    for address in (0x0FFC, 0x8FFC, 0x2FFFC):
        with pytest.raises(BusError):
            transport.read_register(address)
        with pytest.raises(BusError):
            transport.write_register(address, 1)
        assert transport.read_register(0) == IDENTITY


@cosimulated(None, 1)
def a_strobe_missing_is_an_error(bench: Bench, seed: int | None) -> None:
    registers = bench.open().registers
    place = registers.map.page("X").address("BASE_LOW")
    registers.write("X", "BASE_LOW", 0x1234_5678)

    @resume
    async def write(address: int, data: bytes) -> AxiResp:
        return (await bench.master.write(address, data)).resp

    assert write(place, b"\xff") == AxiResp.SLVERR
    assert write(place + 1, b"\xff\xff\xff") == AxiResp.SLVERR
    assert registers.read("X", "BASE_LOW") == 0x1234_5678
    assert write(place, b"\1\2\3\4") == AxiResp.OKAY
    assert registers.read("X", "BASE_LOW") == 0x0403_0201
