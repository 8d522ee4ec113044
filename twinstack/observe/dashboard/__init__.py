"""The dashboard: its page, its map, its server."""
