"""Tests that run inside the simulator; ``python -m cosim`` runs them all."""
