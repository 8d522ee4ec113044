"""Live changes: restart, scale and release, one replica after another, no request lost."""
