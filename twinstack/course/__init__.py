"""Lessons that build parts of the stack by hand: each is a subset of the plan's steps."""
