"""A signal in overlapping frames, times a window: movers around a unit that is no GeMM."""
