"""One lane of the quantizer: int32 to int8."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .parameters import Rounding, parameters_of, quantizer_parameters

__all__ = ["READERS", "STAGES", "Rescaler"]

STAGES = 5
"""Registers from a lane's input to its output."""

READERS: dict[str, tuple[int, tuple[str, ...]]] = {
    "i_scale": (0, ("multiplier", "zero_in")),
    "i_shift": (3, ("shift", "rounding")),
    "i_range": (STAGES, ("zero_out", "low", "high")),
}
"""A lane's ports for parameters: how many cycles after its input, and which."""

ACCUMULATOR_BITS = 32
RESULT_BITS = 8
WINDOW = RESULT_BITS + 2
"""Bits of a quotient that a zero point cannot bring back into a result's range, and its sign."""
HIGH_WORD = ACCUMULATOR_BITS - 1
"""What a doubling high multiplication divides by: 2 to the power of this."""


class Rescaler(wiring.Component):
    """Rescales an int32 a cycle to int8: ``(x - zero_in) * multiplier / 2**shift + zero_out``.

    Every step is exact: the difference has 33 bits and the product 64; ``zero_in`` may therefore
    hold a bias, negated. The quotient is rounded by one of two rules.

    - ONNX: to the nearest integer, a half to the even one.
    - TFLite: ``high = floor(product / 2**t + 1/2)`` with ``t = min(shift, 31)``, saturated to
      int32; then ``high / 2**(shift - t)`` to the nearest, a half away from zero. With a
      ``zero_in`` of 0 that is gemmlowp's SaturatingRoundingDoublingHighMul of ``x << (31 - t)`` and
      RoundingDivideByPOT, bit by bit wherever that left shift does not overflow; TFLite's own
      shift, which is positive to the left, is ``31 - shift``.

    Zero point and range follow: above ``high`` it is ``high``, else below ``low`` it is ``low``.

    Timing. What is given in cycle t stands in ``o`` in t+STAGES, from registers through an adder
    and two comparisons. Stages, each a register: the difference; its products with the halves of
    the multiplier; their sum; the first of TFLite's roundings; the shift and the verdict of the
    second. Parameters are taken where they are needed. The multiplier is two of 33 x 16 bit.

    Members
    -------
    stages : STAGES
        Bit s: s cycles ago there was an ``i``. What no stage has is not moved on.
    i : 32
        x, signed.
    i_scale, i_shift, i_range : parameters
        As :data:`READERS` says.
    o : 8
        Signed.

    Source: "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference" (Jacob et al., 2018) and gemmlowp's fixedpoint.h; ONNX operator QLinearMatMul.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "stages": In(STAGES),
                "i": In(ACCUMULATOR_BITS),
                **{port: In(parameters_of(*names)) for port, (_, names) in READERS.items()},
                "o": Out(RESULT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shapes = {name: field.shape for name, field in quantizer_parameters()}

        difference = Signal(signed(ACCUMULATOR_BITS + 1))
        multiplier = Signal(shapes["multiplier"])
        with m.If(self.stages[0]):
            m.d.sync += [
                difference.eq(self.i.as_signed() - self.i_scale.zero_in),
                multiplier.eq(self.i_scale.multiplier),
            ]

        half = len(multiplier) // 2
        halves = (multiplier[:half], multiplier[half:].as_signed())
        by_low, by_high = (Signal((difference * part).shape()) for part in halves)
        with m.If(self.stages[1]):
            m.d.sync += [by_low.eq(difference * halves[0]), by_high.eq(difference * halves[1])]

        # The difference of two int32 is never -2**32, so that this is enough.
        product = Signal(signed(2 * ACCUMULATOR_BITS))
        with m.If(self.stages[2]):
            m.d.sync += product.eq(by_low + (by_high << half))

        # TFLite's high word; where that is not what is rounded twice, one rounding does.
        rounded = Signal.like(product)
        shift = Signal.like(self.i_shift)
        word = (product + (1 << HIGH_WORD - 1))[HIGH_WORD : len(product)]
        sign, overflow = word[-1], word[-1] ^ word[-2]
        word = Cat(Mux(overflow, ~sign.replicate(HIGH_WORD), word[:HIGH_WORD]), sign)
        twice = (self.i_shift.rounding == Rounding.TFLITE) & (self.i_shift.shift > HIGH_WORD)
        with m.If(self.stages[3]):
            m.d.sync += [
                rounded.eq(Mux(twice, Cat(Const(0, HIGH_WORD), word).as_signed(), product)),
                shift.eq(self.i_shift),
            ]

        # Below the quotient's bits stands the first that is shifted out.
        window, sticky, outside = _shifted(m, Cat(Const(0, 1), rounded), shift.shift, WINDOW + 1)
        negative = rounded[-1]
        tie_goes_up = Mux(
            shift.rounding == Rounding.ONNX,
            window[1],
            ~(negative & (shift.shift > HIGH_WORD)),
        )
        quotient = Signal(signed(WINDOW))
        up = Signal()
        with m.If(self.stages[4]):
            saturated = Cat((~negative).replicate(WINDOW - 1), negative)
            m.d.sync += [
                quotient.eq(Mux(outside, saturated, window[1:])),
                up.eq(window[0] & (sticky | tie_goes_up)),
            ]

        result = Signal(signed(WINDOW + 1))
        limits = self.i_range
        m.d.comb += [
            result.eq(quotient + limits.zero_out + up),
            self.o.eq(
                Mux(
                    result > limits.high,
                    limits.high,
                    Mux(result < limits.low, limits.low, result),
                )
            ),
        ]
        return m


def _shifted(m: Module, value: Value, amount: Value, width: int) -> tuple[Value, Value, Value]:
    """The signed `value`, shifted right by `amount`, in `width` bits.

    And whether a bit was lost on the right, and whether the rest does not fit. It shrinks on the
    way: a digit of base 4 after the other, the highest first, and no bit goes further than it may
    be wanted.
    """
    lost: list[Value] = []
    beyond: list[Value] = []
    sign = value[-1]
    present = value
    for low in range(len(amount) - 2, -2, -2):
        digit, step = amount[low : low + 2], 1 << low
        wanted = width + step - 1
        present = Cat(present, sign.replicate(max(wanted + 3 * step - len(present), 0)))
        passes = (digit != 0, digit[1], digit == 3)
        for index, passed in enumerate(passes):
            first = index * step
            lost.append(passed & present[first : first + step].any())
            top = present[wanted + first - 1 :][: step + 1]
            beyond.append(~passed & top.any() & ~top.all())
        stage = Signal(wanted, name=f"shifted_{low}")
        choices = [present[index * step :][:wanted] for index in range(4)]
        m.d.comb += stage.eq(
            Mux(
                digit[1],
                Mux(digit[0], choices[3], choices[2]),
                Mux(digit[0], choices[1], choices[0]),
            )
        )
        present = stage
    return present, Cat(lost).any(), Cat(beyond).any()
