"""Worlds watched while they run: one watcher per world, for any number of readers."""
