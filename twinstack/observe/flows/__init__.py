"""Connections and denied packets as one list in the order of time: allowed, or dropped."""
