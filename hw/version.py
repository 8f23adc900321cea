"""The version of the distribution, which the generated hardware shows in a register."""

from importlib import metadata

__all__ = ["__version__"]

__version__ = metadata.version("weft")
