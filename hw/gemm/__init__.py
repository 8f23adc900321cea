"""The systolic array as a stream operator."""

from .array import C_PRESENT, GemmArray

__all__ = ["C_PRESENT", "GemmArray"]
