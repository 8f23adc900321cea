"""Accelerators that are no part of weft, built with it."""
