"""The version of the distribution and of the generated hardware."""

__all__ = ["__version__"]

__version__ = "0.1.0"
