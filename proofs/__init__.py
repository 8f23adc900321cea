"""Formal proofs of weft's gateware: ``python -m proofs``, from the root of the repository."""
