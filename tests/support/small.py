"""The smallest system: one mover and two banks. It elaborates in a second."""

__all__ = ["SMALL"]

SMALL = """
name = "small"

[memory]
banks = 2
bank_bits = 16
rows = 16
groups = [2, 1]

[[movers]]
name = "W"
kind = "write"
bind = "export"
spatial_bounds = [2]
loops = 1
address_depth = 2
data_depth = 2
descriptors = 1
queue_depth = 1
"""
