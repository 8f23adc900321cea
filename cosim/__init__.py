"""The emitted Verilog before AXI models that are not weft's own: ``python -m cosim``.

From the root of the repository. cocotb drives a simulator; cocotbext-axi is the memory and the
master of the registers; weft's driver programs the system through them.
"""
