"""What goes on in a system, cycle by cycle, as one packed value."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig, MoverConfig
from .gemm import GemmArray
from .gemm.feeder import step_activity
from .mover import Mover
from .mover.flight import in_flight
from .mover.monitor import Counted

__all__ = ["Observer", "mover_trace", "trace_layout", "unpack"]


def mover_trace(config: AcceleratorConfig, mover: MoverConfig) -> data.StructLayout:
    """A mover in a cycle.

    ``counted``: which of its counters this cycle is added to, a
    :class:`~weft.hw.mover.monitor.Counted`. ``conflict``: whether it is added to CONFLICT.
    ``held``: the next BD waits for room in a side queue. ``locked``: it waits for its lock.
    ``in_flight``: executions in flight, the oldest of which is BD slot ``descriptor``, without rows
    if ``empty`` and the last of its task if ``last``. ``retired``: that one retires. ``queue``:
    tasks pushed and not yet loaded. ``fill``, of some kinds: that of the memory port.
    """
    fields: dict[str, Any] = {
        "counted": Counted,
        "conflict": 1,
        "held": 1,
        "locked": 1,
        "in_flight": range(in_flight(config, mover) + 1),
        "descriptor": range(mover.descriptors),
        "last": 1,
        "retired": 1,
        "empty": 1,
        "queue": range(mover.queue_depth + 1),
    }
    fill = _fill_limit(config, mover)
    if fill:
        fields["fill"] = range(fill + 1)
    return data.StructLayout(fields)


def _fill_limit(config: AcceleratorConfig, mover: MoverConfig) -> int:
    """The largest ``fill`` of a memory port; 0 where none is told."""
    if mover.kind == "read":
        return mover.address_depth + mover.data_depth + 1
    if config.dma is None or mover.kind == "write":
        return 0
    return config.dma.read_buffer if mover.kind == "mm2s" else config.dma.write_buffer


def trace_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The system in a cycle.

    ``reset``: everything is being reset. ``clear``: counters are zeroed; what this cycle would add
    to them is lost. ``movers``: a :func:`mover_trace` for each name. ``array``, if there is one: a
    :func:`~weft.hw.gemm.feeder.step_activity` as the counters take it, which is that of the cycle
    before.
    """
    movers = {mover.name: mover_trace(config, mover) for mover in config.movers}
    fields = {"reset": 1, "clear": 1, "movers": data.StructLayout(movers)}
    if config.array is not None:
        fields["array"] = step_activity()
    return data.StructLayout(fields)


def unpack(layout: data.StructLayout, value: int) -> dict[str, Any]:
    """The fields of a packed `value` by name, those of structures inside as such a mapping."""
    fields: dict[str, Any] = {}
    for name, field in layout:
        part = value >> field.offset & (1 << field.width) - 1
        inner = isinstance(field.shape, data.StructLayout)
        fields[str(name)] = unpack(field.shape, part) if inner else part
    return fields


class Observer(wiring.Component):
    """Gathers `trace` where it arises. Combinational.

    It stands at the level of the system, and not in its blocks, so that a system that is not
    observed is without a trace of it.

    Parameters
    ----------
    config
        The system.
    movers
        By name.
    array
        If there is one.

    Members
    -------
    reset, clear_counters : 1
    trace : :func:`trace_layout`
    """

    def __init__(
        self,
        *,
        config: AcceleratorConfig,
        movers: Mapping[str, Mover],
        array: GemmArray | None,
    ) -> None:
        self._config = config
        self._movers = movers
        self._array = array
        super().__init__(
            {"reset": In(1), "clear_counters": In(1), "trace": Out(trace_layout(config))}
        )

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    @property
    def movers(self) -> Mapping[str, Mover]:
        return self._movers

    @property
    def array(self) -> GemmArray | None:
        return self._array

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.trace.reset.eq(self.reset), self.trace.clear.eq(self.clear_counters)]
        for name, mover in self._movers.items():
            core, now = mover.core, self.trace.movers[name]
            oldest = core.flight.oldest
            m.d.comb += [
                now.counted.eq(core.monitor.counted()),
                now.conflict.eq(core.port.activity.conflict),
                now.held.eq(core.admission.held),
                now.locked.eq(core.monitor.locked),
                now.in_flight.eq(core.flight.level),
                now.descriptor.eq(oldest.descriptor),
                now.last.eq(oldest.last),
                now.retired.eq(core.flight.retired),
                now.empty.eq(oldest.empty),
                now.queue.eq(core.tasks.level),
            ]
            if _fill_limit(self._config, mover.config):
                m.d.comb += now.fill.eq(mover.port.fill)
        if self._array is not None:
            m.d.comb += self.trace.array.eq(self._array.feeder.o_activity)
        return m
