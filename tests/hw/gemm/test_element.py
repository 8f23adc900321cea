from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import run
from weft.hw.config import ArrayConfig
from weft.hw.gemm.element import Element, element_control


def factors(array: ArrayConfig) -> st.SearchStrategy[int]:
    """What it multiplies: int8, or the difference of two."""
    low, high = (-255, 255) if array.zero_points else (-128, 127)
    return st.one_of(st.sampled_from([low, -1, 0, high]), st.integers(low, high))


@settings(max_examples=40, deadline=None)
@given(
    ku=st.sampled_from([1, 3, 8]),
    zero_points=st.booleans(),
    c=st.sampled_from([None, 0, -1, 2**31 - 1, -(2**31)]),
    data=st.data(),
)
def test_a_result_stands_two_cycles_after_its_last_step(ku, zero_points, c, data) -> None:
    array = ArrayConfig(mu=1, nu=1, ku=ku, zero_points=zero_points)
    vectors = st.lists(factors(array), min_size=ku, max_size=ku)
    steps = data.draw(st.lists(st.tuples(vectors, vectors), min_size=1, max_size=4))
    dut = Element(array=array)

    def packed(values: list[int]) -> int:
        bits = array.factor_bits
        return sum((value % (1 << bits)) << bits * k for k, value in enumerate(values))

    async def testbench(ctx):
        if c is not None:
            ctx.set(dut.i_c, c & 0xFFFF_FFFF)
            ctx.set(dut.hold, 1)
            await ctx.tick()
            # Its own from now on: what follows in the chain passes it by.
            ctx.set(dut.i_c, 0x1234_5678)
            ctx.set(dut.hold, 0)
            await ctx.tick()
        for index, (a, b) in enumerate(steps):
            ctx.set(dut.i_a, packed(a))
            ctx.set(dut.i_b, packed(b))
            first = index == 0
            control = {
                "valid": 1,
                "first": first,
                "preload": first and c is not None,
                "last": index == len(steps) - 1,
            }
            ctx.set(dut.i_control, element_control().const(control))
            await ctx.tick()
            assert ctx.get(dut.o_a) == packed(a)
            assert ctx.get(dut.o_b) == packed(b)
        ctx.set(dut.i_control, element_control().const({}))
        ctx.set(dut.i_result, 99)
        await ctx.tick()
        dot = sum(x * y for a, b in steps for x, y in zip(a, b, strict=True))
        total = (dot + (c or 0)) & 0xFFFF_FFFF
        for _ in range(3):
            assert ctx.get(dut.o_result) == total
            await ctx.tick()
        ctx.set(dut.release, 1)
        await ctx.tick()
        assert ctx.get(dut.o_result) == 99

    run(dut, [testbench])
