"""The assembled system, in the order of the architecture's drawing.

::

    DRAM ==AXI4==> a share of the port, if there is more than one of a direction
                     ||
                   MM2S, S2MM
                     ||  dense byte streams
                   Y, X
                     ||
                   scratchpad
                     ||
                   A, B, C, D, E, S
                     ||
                   systolic array, quantizer
    host ==AXI4-Lite==> bridge -> a register page for the system and one a mover <- sequencer
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Module, ResetInserter, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, flipped

from .bus import AxiLiteBridge, PageDecoder, SystemControl
from .bus.axi import Axi4Signature, AxiLiteSignature
from .bus.merge import Merge
from .bus.registers import RegisterMap
from .bus.wires import adopt
from .config import ARRAY_PORTS, SWITCH, AcceleratorConfig
from .dma import Mm2sPort, S2mmPort
from .dma.dense import DenseBeats
from .dma.recorder import Recorder
from .dma.share import ReadShare, WriteShare, id_bits
from .dma.switch import StreamSwitch
from .gemm import COUNTERS, GemmArray
from .memory import PortShare, Scratchpad, memory_ports
from .mover import LockBank, LockHost, Mover
from .mover.locks import lock_set
from .observer import Observer, trace_layout
from .registry import EXTENSIONS
from .sequencer import Sequencer
from .streamer import ReadPort, WritePort
from .unit import unit_streams
from .version import VERSION

__all__ = ["Accelerator"]

_PORTS: dict[str, Any] = {
    "read": ReadPort,
    "write": WritePort,
    "mm2s": Mm2sPort,
    "s2mm": S2mmPort,
}
_READ = ("ar", "r")
_WRITE = ("aw", "w", "b")


class Accelerator(wiring.Component):
    """Scratchpad, movers, array and DMA behind one control port.

    Structure only: neighbours share their interface objects, and what each does in a cycle stands
    with it. A soft reset (CONTROL.reset) waits for the bus to drain and then resets everything but
    the bridge and the system's page.

    Parameters
    ----------
    config
        The system.
    observed
        Whether there is a `trace`. It adds logic, and changes nothing else.
    unit
        An accelerator of the user's own, in place of ports: its members are named after movers
        bound to ``export`` and are their streams, of
        :func:`~weft.hw.bus.streams.compute_beat`: an input where the mover reads, an output where
        it writes. A soft reset resets it, and so does an abort of all of its movers together.

    Raises
    ------
    ConfigError
        A member of `unit` is no stream of a mover bound to ``export``.

    Members
    -------
    control : AXI4-Lite slave
        The registers.
    bus : AXI4 master; only with a DMA
        DRAM.
    irq : 1
        Level interrupt, see IRQ_DONE and IRQ_FAULT.
    trace : :func:`~weft.hw.observer.trace_layout`; only if `observed`
        What everybody does in this cycle.

    Attributes
    ----------
    bus_id_bits : int
        Width of the bus's IDs: as many as tell the readers and the writers on it apart. With one of
        each there is no ID, and the bus is theirs.
    exports : dict of str to stream of :func:`~weft.hw.bus.streams.compute_beat`
        The streams of the movers bound to ``export``, as those movers see them; without those
        that `unit` has.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        *,
        observed: bool = False,
        unit: wiring.Component | None = None,
    ) -> None:
        self._config = config
        self._observed = observed
        self._unit = unit
        self._registers = RegisterMap(config)
        self._movers = {
            mover.name: Mover(
                config=config, index=index, port=_PORTS[mover.kind](config=config, mover=mover)
            )
            for index, mover in enumerate(config.movers)
        }
        # Who uses the bus: its channels, and whether it is of the high class.
        self._sequencer = None if config.sequencer is None else Sequencer(config=config)
        programs = [] if self._sequencer is None else [(self._sequencer, True)]
        self._recorder = None
        if config.dma is not None and config.dma.records:
            self._recorder = Recorder(dma=config.dma, clients=len(config.movers))
        records = [] if self._recorder is None else [(self._recorder, True)]
        self._readers = [*self._on_bus("mm2s"), *programs]
        self._writers = [*self._on_bus("s2mm"), *programs, *records]
        self.bus_id_bits = id_bits(max(1, len(self._readers), len(self._writers)))
        members = {
            "control": In(AxiLiteSignature(address_bits=self._registers.address_bits)),
            "irq": Out(1),
        }
        if config.dma is not None:
            dma = config.dma
            members["bus"] = Out(
                Axi4Signature(
                    address_bits=dma.address_bits,
                    data_bits=dma.data_bits,
                    id_bits=self.bus_id_bits,
                )
            )
        if observed:
            members["trace"] = Out(trace_layout(config))
        super().__init__(members)
        self._array = None
        if config.array is not None:
            parameters = config.bound_to("array.s")
            bits = None if parameters is None else config.beat_bits(parameters)
            self._array = GemmArray(array=config.array, parameter_bits=bits)
        self._extensions = {
            mover.name: {
                name: EXTENSIONS[name].load(EXTENSIONS[name].bytes)(width=config.dma.data_bits)
                for name in mover.byte_extensions
                if config.dma is not None
            }
            for mover in config.movers
        }
        self._switch = None
        if config.dma is not None and config.switch_sources:
            self._switch = StreamSwitch(
                sources=len(config.switch_sources),
                sinks=len(config.switch_sinks),
                width=config.dma.data_bits,
            )
        if not self.bus_id_bits:
            for clients, channels in ((self._readers, _READ), (self._writers, _WRITE)):
                for port, _ in clients:
                    for channel in channels:
                        setattr(self.bus, channel, getattr(port, channel))
        self.exports = {
            name: mover.stream
            for name, mover in self._movers.items()
            if mover.config.bind == "export"
        }
        self._units: dict[str, Any] = {}
        if unit is not None:
            self._units = {name: self.exports.pop(name) for name in unit_streams(config, unit)}

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    @property
    def observed(self) -> bool:
        return self._observed

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.control = control = SystemControl(config=self._config, version=VERSION)
        address_bits = self._registers.address_bits
        m.submodules.bridge = bridge = AxiLiteBridge(address_bits=address_bits)
        adopt(bridge, "axil", self.control)
        adopt(control, "irq", self.irq)
        cores: list[Any] = [mover.core for mover in self._movers.values()]
        sequencers = [self._sequencer] if self._sequencer is not None else []
        masters: list[Any] = [bridge, *sequencers]
        m.submodules.pages = pages = PageDecoder(register_map=self._registers, masters=len(masters))
        adopt(pages, "masters", [flipped(master.access) for master in masters])
        blocks = [control, *cores, *sequencers]
        adopt(pages, "pages", [flipped(block.registers) for block in blocks])
        resettable = ResetInserter(control.reset)
        for name, mover in self._movers.items():
            m.submodules[name] = resettable(mover)
        for name, block in self._bus_shares():
            m.submodules[name] = resettable(block)
        for name, block in self._scratchpad(control):
            m.submodules[name] = resettable(block)
        for name, block, owners in self._operators(control):
            ended = self._ended(owners, control)
            m.submodules[name] = ResetInserter(control.reset | ended)(block)

        if self._switch is not None:
            self._elaborate_switch(m, self._switch)
        recorders = [] if self._recorder is None else [self._recorder]
        for recorder in recorders:
            adopt(recorder, "clients", [flipped(core.records) for core in cores])
            adopt(recorder, "drain", control.drain)
            m.submodules.recorder = resettable(recorder)
        for name, block in self._locks(control, cores):
            m.submodules[name] = resettable(block)
        for name, block in self._programs(control, cores):
            m.submodules[name] = resettable(block)

        for core in cores:
            adopt(core, "clear_counters", control.clear_counters)
        for name in ("done", "faulted", "refused", "fault_code", "fault_descriptor"):
            m.d.comb += getattr(control, name).eq(Cat(getattr(core, name) for core in cores))
        for index, mover in enumerate(self._movers.values()):
            m.d.comb += [
                mover.drain.eq(control.drain | control.stopping[index]),
                mover.abort.eq(control.abort[index]),
                control.idle[index].eq(mover.idle),
            ]
        dram = [mover.port for mover in self._movers.values() if not mover.config.is_scratchpad]
        for sequencer in sequencers:
            adopt(sequencer, "drain", control.drain)
        dram += [*sequencers, *recorders]
        array_side = [m for m in self._movers.values() if m.config.bind in ARRAY_PORTS]
        rows = [mover.core.port.rows for mover in array_side]
        m.d.comb += [
            control.bus_idle.eq(Cat(port.idle for port in dram).all()),
            control.issued.eq(reduce(or_, (row.valid & row.ready for row in rows), 0)),
            control.written.eq(
                reduce(or_, (mover.core.port.activity.written for mover in array_side), 0)
            ),
        ]
        if self._observed:
            m.submodules.observer = observer = Observer(
                config=self._config, movers=self._movers, array=self._array
            )
            adopt(observer, "reset", control.reset)
            adopt(observer, "clear_counters", control.clear_counters)
            adopt(observer, "trace", self.trace)
        return m

    def _on_bus(self, kind: str) -> Iterator[tuple[Any, bool]]:
        """Port and class of the movers of `kind`."""
        for mover in self._movers.values():
            if mover.config.kind == kind:
                yield mover.port, mover.config.high_priority

    def _bus_shares(self) -> Iterator[tuple[str, Any]]:
        """What stands between the bus and those who read or write, if it is not one of each."""
        dma = self._config.dma
        if dma is None or not self.bus_id_bits:
            return
        for name, share, channels, clients in (
            ("share_reads", ReadShare, _READ, self._readers),
            ("share_writes", WriteShare, _WRITE, self._writers),
        ):
            if not clients:
                continue
            ports, priorities = zip(*clients, strict=True)
            block = share(dma=dma, priorities=priorities, bits=self.bus_id_bits)
            for channel in channels:
                adopt(block, channel, [flipped(getattr(port, channel)) for port in ports])
                adopt(block, f"bus_{channel}", getattr(self.bus, channel))
            yield name, block

    def _ended(self, owners: Sequence[str], control: SystemControl) -> Value:
        """Whether all of `owners` are being aborted, if there are any."""
        aborted = [
            control.abort[index]
            for index, mover in enumerate(self._config.movers)
            if mover.name in owners
        ]
        return Cat(aborted).all() if aborted else Const(0)

    def _locks(self, control: SystemControl, cores: list[Any]) -> Iterator[tuple[str, Any]]:
        """The locks. Their clients are the movers, the host and the sequencer."""
        host = LockHost(page=control.page, locks=self._config.locks)
        programs = [] if self._sequencer is None else [self._sequencer.locks]
        clients = [*(core.locks for core in cores), host.client, *programs]
        bank = LockBank(locks=self._config.locks, clients=len(clients), urgent=[len(cores)])
        adopt(bank, "clients", [flipped(client) for client in clients])
        if self._sequencer is None:
            adopt(bank, "set", flipped(host.set))
        else:
            sets = Merge(lock_set())
            adopt(sets, "first", flipped(host.set))
            adopt(sets, "second", flipped(self._sequencer.lock_set))
            adopt(bank, "set", flipped(sets.o))
            yield "lock_sets", sets
        for name in ("values", "overflow", "underflow", "unknown"):
            adopt(host, name, getattr(bank, name))
        for name in host.registers:
            adopt(host, name, getattr(control, name))
        adopt(control, "lock_fault", bank.fault)
        yield "locks", bank
        yield "lock_host", host

    def _programs(self, control: SystemControl, cores: list[Any]) -> Iterator[tuple[str, Any]]:
        """The sequencer, if there is one."""
        sequencer = self._sequencer
        if sequencer is None:
            return
        adopt(sequencer, "first_error", control.first_error)
        adopt(control, "program_done", sequencer.done)
        adopt(control, "program_failed", sequencer.failed)
        for index, core in enumerate(cores):
            adopt(core, "push", flipped(sequencer.push[index]))
            adopt(core, "retired", sequencer.retired[index])
        yield "sequencer", sequencer

    def _scratchpad(self, control: SystemControl) -> Iterator[tuple[str, Any]]:
        """The memory, and a share for each port of several channels."""
        memory = self._config.memory
        ports, wires = list(memory_ports(self._config)), []
        for port in ports:
            clients = [self._movers[name].port.memory[channel] for name, channel in port.channels]
            if len(clients) == 1:
                wires += clients
                continue
            share = PortShare(memory=memory, reads=port.reads)
            adopt(share, "clients", [flipped(client) for client in clients])
            wires.append(share.memory)
            yield f"share_{port.name}", share
        scratchpad = Scratchpad(memory=memory, requesters=[port.requester for port in ports])
        adopt(scratchpad, "ports", [flipped(wire) for wire in wires])
        if memory.fill_priority:
            adopt(scratchpad, "fill_priority", control.fill_priority)
        if memory.bank_counters:
            adopt(scratchpad, "clear_counters", control.clear_counters)
            adopt(scratchpad, "bank_conflicts", control.bank_conflicts)
        yield "scratchpad", scratchpad

    def _operators(self, control: SystemControl) -> Iterator[tuple[str, Any, Sequence[str]]]:
        """What stands between the movers' streams, and the movers of whose data alone it keeps."""
        streams: dict[str, Any] = {}
        for name, mover in self._movers.items():
            config, source = mover.config, mover.stream
            if not (config.is_source and config.moves_bytes):
                continue
            if config.is_scratchpad:
                dense = DenseBeats(width=source.payload.shape()["data"].width)
                adopt(dense, "i", flipped(source))
                source = dense.o
                yield f"dense_{name}", dense, ()
            for extension, operator in self._extensions[name].items():
                adopt(operator, "i", flipped(source))
                told = getattr(mover.core, f"extension_{extension}")
                adopt(operator, "operator", flipped(told))
                source = operator.o
                if EXTENSIONS[extension].result:
                    adopt(mover.core, "result", flipped(operator.o_result))
                if extension == "compare":
                    adopt(operator, "route", flipped(mover.core.route))
                yield f"extension_{name}_{extension}", operator, (name,)
            if config.bind == SWITCH:
                streams[name] = source
            else:
                adopt(self._movers[config.bind].port, "i", flipped(source))
        switch = self._switch
        if switch is not None:
            sources, sinks = self._config.switch_sources, self._config.switch_sinks
            adopt(switch, "i", [flipped(streams[name]) for name in sources])
            adopt(switch, "o", [flipped(self._sink(name)[0]) for name in sinks])
            adopt(switch, "source_routes", [flipped(self._source_route(name)) for name in sources])
            adopt(switch, "sink_routes", [flipped(self._sink(name)[1]) for name in sinks])
            yield "switch", switch, ()
        if self._unit is not None:
            for name, exported in self._units.items():
                adopt(self._unit, name, flipped(exported))
            yield "unit", self._unit, tuple(self._units)
        array = self._array
        if array is None:
            return
        bound = {mover.config.bind: mover for mover in self._movers.values()}
        for bind in array.array.ports:
            mover = bound[bind]
            adopt(array, bind.removeprefix("array."), flipped(mover.stream))
        adopt(array, "operator", flipped(bound["array.a"].core.operator))
        adopt(array, "clear_counters", control.clear_counters)
        for name in COUNTERS:
            adopt(control, f"array_{name}", getattr(array, name))
        yield "array", array, [bound[bind].config.name for bind in array.array.ports]

    def _source_route(self, name: str) -> Any:
        """Where the switch is to take a BD of this source."""
        mover = self._movers[name]
        if not mover.config.compares:
            return mover.core.route
        return self._extensions[name]["compare"].source_route

    def _sink(self, name: str) -> tuple[Any, Any, Value]:
        """What takes a stream of the switch for a mover: the stream, its routes, and ``finished``.

        A source takes one to compare it with its own.
        """
        mover = self._movers[name]
        if not mover.config.compares:
            return mover.port.i, mover.core.route, mover.port.finished
        compare = self._extensions[name]["compare"]
        return compare.i_other, compare.sink_route, compare.finished

    def _elaborate_switch(self, m: Module, switch: StreamSwitch) -> None:
        """What movers and switch say to each other beside their streams."""
        sources, sinks = self._config.switch_sources, self._config.switch_sinks
        waiting = {name: switch.source_waiting[index] for index, name in enumerate(sources)}
        for index, name in enumerate(sinks):
            # A source that compares is one of both, with a BD for one of them at a time.
            waiting[name] = waiting.get(name, 0) | switch.sink_waiting[index]
        m.d.comb += [self._movers[name].core.apart.eq(apart) for name, apart in waiting.items()]
        for index, name in enumerate(sources):
            m.d.comb += switch.flush[index].eq(self._movers[name].abort)
        for index, name in enumerate(sinks):
            mover, (_, _, finished) = self._movers[name], self._sink(name)
            m.d.comb += switch.finished[index].eq(finished)
            if mover.config.kind == "s2mm":  # only a DRAM port keeps a part of a beat
                m.d.comb += [
                    switch.holding[index].eq(mover.port.holding),
                    mover.port.bound.eq(switch.bound[index]),
                ]
