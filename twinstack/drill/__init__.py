"""Faults to find and repair by hand in a running stack, and the proof that a repair is whole."""
