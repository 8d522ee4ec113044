"""Observation: captures, connections, topology and health of a World, never importing one."""
