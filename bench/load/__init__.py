"""Load generators, and programs to compare with."""
