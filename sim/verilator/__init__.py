"""The compiled engine: Verilator on the emitted Verilog, the clock loop and the DRAM in C++."""

from .engine import VerilatorSimulation

__all__ = ["VerilatorSimulation"]
