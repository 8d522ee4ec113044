"""Estimates with intervals, and what they decide: of benchmarks, and of canaries."""
