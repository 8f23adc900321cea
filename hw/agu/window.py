"""Guards across the channels of a row: which of them exist."""

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import MoverConfig
from ..errors import ConfigError
from .multiple import multiple
from .row import COEFFICIENT_BITS, GUARD_BITS

__all__ = ["ChannelWindows"]


class ChannelWindows(wiring.Component):
    """Tells which channels of a row lie inside every affine window of their BD.

    A channel exists iff, for each guard, ``0 <= value + coefficient * index < limit``, with its
    index along the guard's spatial dimension. The sum is exact, whatever the operands.

    Only the indices differ between channels, and their products are small: so the distances to
    both ends of the window are cut to what a product can still cross, and every index along the
    longest dimension then takes two short comparisons, unless a distance is so long that its sign
    decides. Channels with the same index share them.

    Operands in a cycle with `load` show in `exists` from the next cycle on, until the next `load`.
    `exists` is combinational from registers.

    Parameters
    ----------
    mover
        A scratchpad mover with guards.

    Members
    -------
    load : 1
    values : array of `mover.guards`, signed 32
        The guards' running values.
    limits : array of `mover.guards`, 31
    coefficients : array of `mover.guards`, signed 16
    dimensions : array of `mover.guards`, ``range(len(mover.spatial_bounds))``
        Only if there is more than one dimension. One beyond them makes no channel exist.
    exists : `mover.channels`
        Channel 0 lowest.

    Raises
    ------
    ConfigError
        The mover has no guards, or is no scratchpad mover.
    """

    def __init__(self, *, mover: MoverConfig) -> None:
        where = f"movers.{mover.name}"
        if not mover.is_scratchpad:
            raise ConfigError(f"{where}.kind", mover.kind, "only a scratchpad mover has channels")
        if not mover.guards:
            raise ConfigError(f"{where}.guards", mover.guards, "there must be a guard")
        self._mover = mover
        dimensions = len(mover.spatial_bounds)
        members = {
            "load": In(1),
            "values": In(data.ArrayLayout(signed(GUARD_BITS), mover.guards)),
            "limits": In(data.ArrayLayout(unsigned(GUARD_BITS - 1), mover.guards)),
            "coefficients": In(data.ArrayLayout(signed(COEFFICIENT_BITS), mover.guards)),
            "exists": Out(mover.channels),
        }
        if dimensions > 1:
            chosen = Shape.cast(range(dimensions))
            members["dimensions"] = In(data.ArrayLayout(chosen, mover.guards))
        super().__init__(members)

    @property
    def mover(self) -> MoverConfig:
        return self._mover

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inside = [self._guard(m, guard) for guard in range(self._mover.guards)]
        exists = inside[0]
        for each in inside[1:]:
            exists = exists & each
        m.d.comb += self.exists.eq(exists)
        return m

    def _guard(self, m: Module, guard: int) -> Signal:
        """The channels inside window `guard`."""
        bounds = self._mover.spatial_bounds
        last = max(bounds) - 1
        most = 1 << COEFFICIENT_BITS - 1
        # As wide as a product. A distance of more bits has a sign that no product changes.
        near = Shape.cast(range(-1, most * last + 1)).width

        value, coefficient = Signal(signed(GUARD_BITS)), self.coefficients[guard]
        beyond = Signal(signed(GUARD_BITS + 1))
        m.d.comb += [value.eq(self.values[guard]), beyond.eq(value - self.limits[guard])]
        # The greatest product with which a distance stays negative: its complement. They are kept
        # as unsigned numbers of the same order: a comparison of signed ones needs two carries.
        low = Signal(near, name=f"low_{guard}")
        high = Signal(near, name=f"high_{guard}")
        above, below = Signal(name=f"above_{guard}"), Signal(name=f"below_{guard}")
        outside = Signal(name=f"outside_{guard}")
        products = [Signal(near, name=f"product_{guard}_{i}") for i in range(1, last + 1)]
        with m.If(self.load):
            m.d.sync += [
                low.eq(_ordered(~value, near)),
                high.eq(_ordered(~beyond, near)),
                above.eq(~value[-1] & ~_takes(value, near)),
                below.eq(beyond[-1] & ~_takes(beyond, near)),
                outside.eq(
                    (value[-1] & ~_takes(value, near)) | (~beyond[-1] & ~_takes(beyond, near))
                ),
            ]
            m.d.sync += [
                term.eq(_ordered(multiple(coefficient, index), near))
                for index, term in enumerate(products, 1)
            ]
        indices = Signal(last + 1, name=f"indices_{guard}")
        terms = [_ordered(Const(0, near), near), *products]
        m.d.comb += indices.eq(
            Cat(~outside & (above | (term > low)) & (below | (term <= high)) for term in terms)
        )

        inside = Signal(self._mover.channels, name=f"inside_{guard}")
        if len(bounds) == 1:
            m.d.comb += inside.eq(indices)
            return inside
        dimension = Signal(range(len(bounds)), name=f"dimension_{guard}")
        with m.If(self.load):
            m.d.sync += dimension.eq(self.dimensions[guard])
        stride = 1
        with m.Switch(dimension):
            for axis, bound in enumerate(bounds):
                with m.Case(axis):
                    m.d.comb += inside.eq(
                        Cat(
                            indices[channel // stride % bound]
                            for channel in range(self._mover.channels)
                        )
                    )
                stride *= bound
        return inside


def _takes(value: Signal, width: int) -> Value:
    """Whether `width` signed bits are enough for signed `value`."""
    beyond = value[width - 1 :]
    return beyond.all() | ~beyond.any()


def _ordered(value: Value, width: int) -> Value:
    """So many bits of a signed number as an unsigned one of the same order."""
    return (value.as_signed() ^ Const(-1 << width - 1, signed(width)))[:width]
