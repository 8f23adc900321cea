"""weft: streamers, a scatter-gather DMA and a systolic GeMM, generated from Python.

The public names load on first use, so that ``import weft.hw.agu`` pulls in no driver.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .hw.version import __version__

if TYPE_CHECKING:
    from .engines import simulate
    from .hw.gemm.parameters import Rounding
    from .sw.memref import MemRef
    from .sw.quantization import Quantization
    from .sw.sequence import RuntimeSequence

__all__ = [
    "MemRef",
    "Quantization",
    "Rounding",
    "RuntimeSequence",
    "__version__",
    "simulate",
]

_HOMES = {
    "MemRef": ".sw.memref",
    "Quantization": ".sw.quantization",
    "Rounding": ".hw.gemm.parameters",
    "RuntimeSequence": ".sw.sequence",
    "simulate": ".engines",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
