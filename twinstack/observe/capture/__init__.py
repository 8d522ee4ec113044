"""Capture a world's links into pcapng files."""
