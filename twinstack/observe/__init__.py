"""Seeing what goes on: captures read and reported by service; given files, plans or a World."""
