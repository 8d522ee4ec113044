"""Worlds watched while they run: one watcher a world, whatever number of people look."""
