"""The systolic array as a stream operator."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.streams import compute_beat
from ..bus.wires import adopt
from ..config import ArrayConfig
from .collector import Collector
from .counters import COUNTERS, Counters
from .feeder import C_PRESENT, Feeder
from .mesh import Mesh
from .preloader import Preloader

__all__ = ["C_PRESENT", "GemmArray"]


class GemmArray(wiring.Component):
    """Multiplies tiles: D[m][n] = C[m][n] + sum over k of A[m][k] * B[k][n], modulo 2**32.

    A beat of A and one of B make a step, mu * nu * ku multiply-accumulates; the steps after one
    with A's ``mark`` up to the next, inclusive, make a tile, and a tile one beat of D. Whether
    tiles add to C is said by A's operator word; each that does takes one beat of C.

    Timing. One step a cycle, without a gap between tiles of mu steps or more, with C or without;
    a shorter tile takes mu cycles. Exactly: the steps with ``mark`` of two tiles, and the first
    steps of two tiles that follow one another and both have C, are at least mu cycles apart. The D
    beat is first offered ``latency`` = 2*mu + nu + 1 cycles after the step with ``mark`` is taken.
    A beat of C that finds its chain free is taken mu-1 cycles after it is offered, and the tile's
    first step from that cycle on.

    Back-pressure. Nothing stalls once it is in: the step with ``mark`` waits for a free slot in D
    (``slots`` tiles, enough for full rate while ``d`` is ready). ``a.ready`` and ``b.ready`` depend
    on each other's valid, on ``operator.valid``, ``c.valid`` and A's ``mark`` in the same cycle;
    ``c.ready`` and ``d.valid`` come from registers, ``d.payload`` from an asynchronous read.

    Counters. The activity of cycle t is in them from t+2 on; with ``clear_counters`` in cycle t
    they are 0 in t+1, and cycle t is the first counted again. A step is *wanted* while a tile is
    open, an operator word is there, or a beat of A or B is.

    Parameters
    ----------
    array : :class:`~weft.hw.config.ArrayConfig`

    Attributes
    ----------
    latency : int
    slots : int
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
    operator : stream of 32
        One word for each BD of A, taken with its ``end`` beat. Bit 0 (:data:`C_PRESENT`): the tiles
        that begin in this BD add to C. The driver keeps the other bits zero.
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
    blocked_d : 32
        Cycles in which a step waited for nothing but a slot in D.

    Source: weft's own schedule on an output-stationary systolic array; the array's place between
    streams is that of DataMaestro's GeMM core (section IV).
    """

    def __init__(self, *, array: ArrayConfig) -> None:
        self._array = array
        self._collector = Collector(array=array)
        self.feeder = Feeder(array=array)
        super().__init__(
            {
                "a": In(stream.Signature(compute_beat(array.a_bits))),
                "b": In(stream.Signature(compute_beat(array.b_bits))),
                "c": In(stream.Signature(compute_beat(array.d_bits))),
                "d": Out(stream.Signature(compute_beat(array.d_bits))),
                "operator": In(stream.Signature(32)),
                "clear_counters": In(1),
                **{name: Out(32) for name in COUNTERS},
            }
        )

    @property
    def array(self) -> ArrayConfig:
        return self._array

    @property
    def latency(self) -> int:
        return 2 * self._array.mu + self._array.nu + 1

    @property
    def slots(self) -> int:
        return self._collector.slots

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

        adopt(feeder, "o_ticket", wiring.flipped(collector.i_ticket))
        adopt(feeder, "in_flight", collector.in_flight)
        adopt(collector, "i_d", mesh.o_d)
        adopt(collector, "release", mesh.release)
        adopt(collector, "d", self.d)

        adopt(counters, "activity", feeder.o_activity)
        adopt(counters, "clear", self.clear_counters)
        for name in COUNTERS:
            adopt(counters, name, getattr(self, name))
        return m
