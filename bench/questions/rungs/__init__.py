"""The rungs of the ladder: what each adds, how it is set up, and what proves its path."""
