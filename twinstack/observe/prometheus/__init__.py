"""A real Prometheus beside the worlds: its files, its processes, up and down."""
