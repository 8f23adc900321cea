"""The systolic array as a stream operator."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.streams import compute_beat
from ..bus.wires import adopt
from ..config import ArrayConfig
from .collector import Collector
from .counters import COUNTERS, Counters
from .feeder import Feeder
from .mesh import Mesh
from .outlet import Outlet
from .preloader import Preloader
from .quantizer import Quantizer
from .rescaler import STAGES

__all__ = ["GemmArray"]


class GemmArray(wiring.Component):
    """Multiplies tiles: D[m][n] = C[m][n] + sum over k of A[m][k] * B[k][n], modulo 2**32.

    A beat of A and one of B make a step, mu * nu * ku multiply-accumulates; the steps after one
    with A's ``mark`` up to the next, inclusive, make a tile, and a tile one beat of D. Whether
    tiles add to C is said by A's operator word; each that does takes one beat of C. With
    ``array.zero_points`` A and B are less a zero point that the word says.

    With ``array.quantizer`` the word also says whether a tile goes to D, to E or to both. E is D
    rescaled to int8 (:class:`~weft.hw.gemm.quantizer.Quantizer`) with parameters that S gives for
    every tile that goes there.

    Timing. One step a cycle, without a gap between tiles of mu steps or more, with C or without;
    a shorter tile takes mu cycles. Exactly: the steps with ``mark`` of two tiles, and the first
    steps of two tiles that follow one another and both have C, are at least mu cycles apart. The D
    beat is first offered ``latency`` = 2*mu + nu + 1 cycles after the step with ``mark`` is taken,
    that of E ``latency_e``, which is STAGES (5) cycles more.
    A beat of C that finds its chain free is taken mu-1 cycles after it is offered, and the tile's
    first step from that cycle on.

    Back-pressure. Nothing stalls once it is in: the step with ``mark`` waits for a free slot in D
    (``slots`` tiles, enough for full rate while ``d`` is ready), and in E, and for parameters. A
    tile for both has both, and then neither waits for the other. ``a.ready`` and ``b.ready`` depend
    on each other's valid, on ``operator.valid``, ``c.valid`` and A's ``mark`` in the same cycle;
    ``c.ready``, ``s.ready``, ``d.valid`` and ``e.valid`` come from registers, ``d.payload`` and
    ``e.payload`` from an asynchronous read.

    Counters. The activity of cycle t is in them from t+2 on; with ``clear_counters`` in cycle t
    they are 0 in t+1, and cycle t is the first counted again. A step is *wanted* while a tile is
    open, an operator word is there, or a beat of A or B is.

    Parameters
    ----------
    array : :class:`~weft.hw.config.ArrayConfig`
    parameter_bits
        Width of a beat of S; by default all of a tile's parameters.

    Attributes
    ----------
    latency, latency_e : int
    slots, slots_e : int
        Tiles on their way to D, to E, at most.
    feeder : :class:`~weft.hw.gemm.feeder.Feeder`

    Members
    -------
    a : stream of :func:`~weft.hw.bus.streams.compute_beat`
        [mu][ku] int8, k fastest, element 0 in the lowest byte. ``end`` ends the BD.
    b : stream of :func:`~weft.hw.bus.streams.compute_beat`
        [ku][nu] int8, n fastest.
    c, d : stream of :func:`~weft.hw.bus.streams.compute_beat`
        [mu][nu] int32, n fastest. D has ``mark`` always, ``end`` of the step with ``mark``, and
        ``error`` if a beat of A, B or C that went into the tile had it.
    e : stream of :func:`~weft.hw.bus.streams.compute_beat`; only with a quantizer
        [mu][nu] int8, n fastest; the rest as D's, and ``error`` of S as well.
    s : stream of :func:`~weft.hw.bus.streams.compute_beat`; only with a quantizer
        nu :func:`~weft.hw.gemm.parameters.quantizer_parameters` a tile, in one beat or more.
    operator : stream of 32
        One :func:`~weft.hw.gemm.feeder.array_operator` for each BD of A, taken with its ``end``
        beat. What the array is without it ignores: the driver keeps that zero.
    clear_counters : 1
    active : 32
        Cycles from a step to the giving of the last result that is due, summed over the maximal
        stretches of this.
    steps : 32
        Steps taken.
    bubbles : 32
        Cycles without a step between two steps of a stretch.
    starved_a, starved_b : 32
        Cycles in which a step was wanted and there was no A (or no operator word), no B.
    starved_c : 32
        Cycles in which A and B were there, but not the tile's C.
    blocked_d, blocked_e : 32
        Cycles in which a step waited for nothing but a slot in D; but a slot in E.
    starved_s : 32
        Cycles in which a step waited for nothing but parameters.

    Source: weft's own schedule on an output-stationary systolic array; the array's place between
    streams is that of DataMaestro's GeMM core (section IV).
    """

    def __init__(self, *, array: ArrayConfig, parameter_bits: int | None = None) -> None:
        self._array = array
        self._parameter_bits = parameter_bits or array.s_bits
        # From a tile's ticket to its first row: a register, and the mesh.
        self._delay = 1 + array.mu + array.nu
        self._collector = Collector(
            rows=array.mu, lanes=array.nu, lane_bits=array.accumulator_bits, delay=self._delay
        )
        self._quantizer = None
        if array.quantizer:
            self._quantizer = Quantizer(
                array=array, parameter_bits=self._parameter_bits, delay=self._delay
            )
        self.feeder = Feeder(array=array)
        members = {
            "a": In(stream.Signature(compute_beat(array.a_bits))),
            "b": In(stream.Signature(compute_beat(array.b_bits))),
            "c": In(stream.Signature(compute_beat(array.d_bits))),
            "d": Out(stream.Signature(compute_beat(array.d_bits))),
            "operator": In(stream.Signature(32)),
            "clear_counters": In(1),
            **{name: Out(32) for name in COUNTERS},
        }
        if self._quantizer is not None:
            members["e"] = Out(stream.Signature(compute_beat(array.e_bits)))
            members["s"] = In(stream.Signature(compute_beat(self._parameter_bits)))
        super().__init__(members)

    @property
    def array(self) -> ArrayConfig:
        return self._array

    @property
    def parameter_bits(self) -> int:
        return self._parameter_bits

    @property
    def latency(self) -> int:
        return self._delay + self._array.mu

    @property
    def latency_e(self) -> int:
        return self.latency + STAGES

    @property
    def slots(self) -> int:
        return self._collector.slots

    @property
    def slots_e(self) -> int:
        return 0 if self._quantizer is None else self._quantizer.slots

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.feeder = feeder = self.feeder
        m.submodules.preloader = preloader = Preloader(array=self._array)
        m.submodules.mesh = mesh = Mesh(array=self._array)
        m.submodules.collector = collector = self._collector
        m.submodules.counters = counters = Counters()

        for name in ("a", "b", "operator"):
            adopt(feeder, name, getattr(self, name))
        adopt(preloader, "c", self.c)
        adopt(feeder, "i_preload", wiring.flipped(preloader.o))

        adopt(mesh, "i_control", feeder.o_control)
        adopt(mesh, "i_a", feeder.o_a)
        adopt(mesh, "i_b", feeder.o_b)
        adopt(mesh, "i_c", preloader.o_c)
        adopt(mesh, "hold", preloader.hold)

        adopt(collector, "i_row", mesh.o_d)
        adopt(collector, "o", self.d)
        if self._quantizer is not None:
            self._elaborate_quantizer(m, mesh, self._quantizer)
        else:
            adopt(feeder, "o_ticket", wiring.flipped(collector.i_ticket))
            adopt(collector, "release", mesh.release)
            adopt(feeder, "in_flight", collector.in_flight)

        adopt(counters, "activity", feeder.o_activity)
        adopt(counters, "clear", self.clear_counters)
        for name in COUNTERS:
            adopt(counters, name, getattr(self, name))
        return m

    def _elaborate_quantizer(self, m: Module, mesh: Mesh, quantizer: Quantizer) -> None:
        """E beside D."""
        feeder, collector = self.feeder, self._collector
        m.submodules.quantizer = quantizer
        m.submodules.outlet = outlet = Outlet(array=self._array, delay=self._delay)
        adopt(feeder, "o_ticket", wiring.flipped(outlet.i_ticket))
        adopt(outlet, "wanted", feeder.o_wanted)
        adopt(feeder, "lacking", outlet.lacking)
        adopt(outlet, "release", mesh.release)
        for block, name in ((collector, "d"), (quantizer, "e")):
            adopt(block, "i_ticket", wiring.flipped(getattr(outlet, f"o_{name}")))
            adopt(block, "release", getattr(outlet, f"release_{name}"))
        adopt(outlet, "starved", quantizer.starved)
        adopt(quantizer, "i_row", mesh.o_d)
        adopt(quantizer, "s", self.s)
        adopt(quantizer, "e", self.e)
        m.d.comb += feeder.in_flight.eq(collector.in_flight | quantizer.in_flight)
