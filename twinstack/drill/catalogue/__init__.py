"""The drills, a module for each area; each has a tuple `DRILLS`."""
