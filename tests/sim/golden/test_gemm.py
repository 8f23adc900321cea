import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.sim.golden.gemm import beat_of, matmul, tile_of

LOW = 1 << 32


def wrapped(value: int) -> int:
    return (value + LOW // 2) % LOW - LOW // 2


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    extremes=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_matmul_is_the_sum_over_k(shape: tuple[int, int, int], extremes: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    M, N, K = shape
    low = 127 if extremes else -128
    a = random.integers(low, 128, (M, K), dtype=np.int8)
    b = random.integers(low, 128, (K, N), dtype=np.int8)
    c = random.integers(LOW // 2 - 9, LOW // 2, (M, N)).astype(np.int32)
    result, added = matmul(a, b), matmul(a, b, c)
    for m in range(M):
        for n in range(N):
            dot = sum(int(a[m, k]) * int(b[k, n]) for k in range(K))
            assert result[m, n] == dot
            assert added[m, n] == wrapped(dot + int(c[m, n]))


def test_a_beat_has_its_first_element_lowest() -> None:
    assert beat_of(np.array([[1, 2], [3, -1]], np.int8)) == 0xFF03_0201
    assert beat_of(np.array([[1, -2]], np.int32)) == 0xFFFF_FFFE_0000_0001
    assert (tile_of(0xFFFF_FFFE_0000_0001, (1, 2)) == [[1, -2]]).all()
