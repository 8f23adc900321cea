"""What makes Amaranth's simulator faster on designs with many memories."""

from typing import Any

from amaranth.hdl import (
    Cat,
    Const,
    MemoryData,
    MemoryInstance,
    Module,
    Mux,
    Signal,
    Value,
)
from amaranth.lib.memory import Memory

__all__ = ["SimulationPlatform"]


class SimulationPlatform:
    """Elaborates memories so that an idle one costs next to nothing.

    Amaranth's simulator spreads the write enable of a memory over the bits of a word, and wakes
    every asynchronous reader, on each clock edge, whether anything is written or not. Here a write
    that is not enabled goes to an address beyond the memory instead, where the simulator drops it
    at once; bytes that are not enabled are filled in with what stands in the word. What is read is
    the same in every cycle. The contents cannot be reached through ``Memory.data``.

    Use: ``Simulator(Fragment.get(design, SimulationPlatform()))``.
    """

    def get_memory(self, memory: Memory) -> Module:
        """Called by the elaboration of each `memory`."""
        m = Module()
        address_bits = (memory.depth - 1).bit_length()
        depth = (1 << address_bits) + 1
        beyond = (1 << address_bits + 1) - 1
        contents = MemoryData(shape=memory.shape, depth=depth, init=list(memory.init))
        instance = MemoryInstance(data=contents, attrs=memory.attrs)

        def extended(address: Value) -> Value:
            return Cat(address, Const(0, 1))

        numbers: dict[Any, int] = {}
        for number, port in enumerate(memory.write_ports):
            data, enable = Value.cast(port.data), Value.cast(port.en)
            address = extended(port.addr)
            if len(enable) > 1 and len(memory.write_ports) > 1:
                # Two ports might write different bytes of one word at once.
                numbers[port] = instance.write_port(
                    domain=port.domain, addr=address, data=data, en=enable
                )
                continue
            if len(enable) > 1:
                present = Signal(len(data), name=f"present_{number}")
                merged = Signal(len(data), name=f"merged_{number}")
                instance.read_port(
                    domain="comb", addr=address, data=present, en=Const(1), transparent_for=()
                )
                size = len(data) // len(enable)
                with m.If(enable.all()):
                    m.d.comb += merged.eq(data)
                with m.Elif(enable.any()):
                    m.d.comb += merged.eq(
                        Cat(
                            Mux(bit, data.word_select(i, size), present.word_select(i, size))
                            for i, bit in enumerate(enable)
                        )
                    )
                data = merged
            numbers[port] = instance.write_port(
                domain=port.domain,
                addr=Mux(enable.any(), address, beyond),
                data=data,
                en=Const(1),
            )
        for port in memory.read_ports:
            instance.read_port(
                domain=port.domain,
                addr=extended(port.addr),
                data=port.data,
                en=port.en,
                transparent_for=tuple(numbers[write] for write in port.transparent_for),
            )
        m.submodules.contents = instance
        return m
