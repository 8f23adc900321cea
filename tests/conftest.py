"""For every test."""

import gc

# An elaborated system is a million objects that live: to look for garbage among them again and
# again takes a tenth of a simulation's start.
gc.set_threshold(200_000, 50, 50)
