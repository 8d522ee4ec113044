"""The page that shows worlds live: its picture, its server."""
